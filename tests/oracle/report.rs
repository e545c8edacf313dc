//! The verdict on a scenario, and the lines that are printed.

use std::{
    fmt,
    io::{self, Write},
};

use crate::{
    compare::{Difference, Ours, align, compare},
    node::{Observed, Run},
    rules::{self, Case},
    scenario::Scenario,
};

/// From good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Judgement {
    NotApplicable,
    Equal,
    Explained,
    Different,
}

/// What one of Node's frameworks and we came to in a scenario.
pub(crate) struct Verdict {
    framework: String,
    judgement: Judgement,
    /// The rules, or the differences without one.
    why: Vec<String>,
    /// What we did, if that is to be looked at.
    ours: Vec<String>,
}

/// A scenario counts as its worst framework.
#[derive(Default)]
pub(crate) struct Counts {
    lines: Vec<String>,
    worst: Vec<Judgement>,
}

/// One verdict for each framework.
pub(crate) fn judge(scenario: &Scenario, node: &Observed, ours: &Ours) -> Vec<Verdict> {
    let limits = rules::limits().filter(|limit| (limit.excludes)(scenario));
    let limits: Vec<_> = limits.map(|limit| limit.name.to_owned()).collect();
    let verdict = |framework: &String| {
        if limits.is_empty() {
            let runs = node.runs(framework);
            let verdicts = runs.iter().map(|run| judge_run(scenario, framework, run, ours));
            let unknown = || Verdict::failed(&format!("there is no recording of {framework}"));
            return verdicts.min_by_key(|verdict| verdict.judgement).unwrap_or_else(unknown);
        }
        let (framework, judgement) = (framework.clone(), Judgement::NotApplicable);
        Verdict { framework, judgement, why: limits.clone(), ours: Vec::new() }
    };
    scenario.frameworks.iter().map(verdict).collect()
}

fn judge_run(scenario: &Scenario, framework: &str, node: &Run, ours: &Ours) -> Verdict {
    let aligned = scenario.is_http2().then(|| align(node, ours));
    let ours = aligned.as_ref().unwrap_or(ours);
    let case = Case { scenario, node, ours };
    let differences = compare(scenario, node, ours);
    let rule =
        |difference: &Difference| rules::rules().find(|rule| (rule.explains)(&case, difference));
    let mut names: Vec<String> = Vec::new();
    let mut unexplained = Vec::new();
    for difference in &differences {
        match rule(difference) {
            Some(rule) => names.push(rule.name.to_owned()),
            None => unexplained.push(difference.to_string()),
        }
    }
    names.sort();
    names.dedup();
    let framework = framework.to_owned();
    if !unexplained.is_empty() {
        let exchanges = ours.exchanges.iter().map(ToString::to_string);
        let seen = ours.seen.iter().map(|notes| serde_json::to_string(notes).unwrap_or_default());
        let ours = exchanges.chain(seen).collect();
        return Verdict { framework, judgement: Judgement::Different, why: unexplained, ours };
    }
    let judgement = if names.is_empty() { Judgement::Equal } else { Judgement::Explained };
    Verdict { framework, judgement, why: names, ours: Vec::new() }
}

/// What would be said if Node had done something else, for each thing that it could have done otherwise. Of what is equal
/// as it is.
pub(crate) fn judge_doctored<'a>(
    scenario: &'a Scenario,
    node: &Observed,
    ours: &'a Ours,
) -> impl Iterator<Item = (String, Judgement)> {
    let runs = scenario.frameworks.iter().take(1).flat_map(|framework| node.runs(framework));
    let judge = |run: &Run| judge_run(scenario, "doctored", run, ours).judgement;
    let equal = runs.filter(move |run| judge(run) == Judgement::Equal);
    equal.flat_map(|run| run.doctored()).map(move |(what, run)| (what, judge(&run)))
}

// ===== impl Verdict =====

impl Verdict {
    /// There was nothing to compare.
    pub(crate) fn failed(why: &str) -> Self {
        let (framework, judgement) = ("-".to_owned(), Judgement::Different);
        Self { framework, judgement, why: vec![why.to_owned()], ours: Vec::new() }
    }

    pub(crate) fn is_different(&self) -> bool {
        self.judgement == Judgement::Different
    }
}

// ===== impl Counts =====

impl Counts {
    pub(crate) fn add(&mut self, id: &str, verdicts: &[Verdict]) {
        for Verdict { framework, judgement, why, ours } in verdicts {
            let line = format!("{id:32} {framework:9} {judgement:14} {}", why.join("; "));
            self.lines.push(line.trim_end().to_owned());
            self.lines.extend(ours.iter().map(|line| format!("    {line}")));
        }
        let judgements = verdicts.iter().map(|verdict| verdict.judgement);
        self.worst.push(judgements.max().unwrap_or(Judgement::Different));
    }

    pub(crate) fn different(&self) -> usize {
        self.of(Judgement::Different)
    }

    /// Past the capture of the test harness: it is what this test is run for.
    pub(crate) fn print(&self) {
        let _ = writeln!(io::stdout().lock(), "\n{self}");
    }

    fn of(&self, judgement: Judgement) -> usize {
        self.worst.iter().filter(|it| **it == judgement).count()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        let all = [
            Judgement::Equal,
            Judgement::Explained,
            Judgement::NotApplicable,
            Judgement::Different,
        ];
        let counts = all.map(|judgement| format!("{} {judgement}", self.of(judgement)));
        write!(f, "{} scenarios: {}", self.worst.len(), counts.join(", "))
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Equal => "equal",
            Self::Explained => "explained",
            Self::NotApplicable => "not applicable",
            Self::Different => "DIFFERENT",
        })
    }
}
