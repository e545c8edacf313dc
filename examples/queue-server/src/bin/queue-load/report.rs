//! What is printed: tables on standard output, the progress on standard error.

use std::{cell::RefCell, time::Duration};

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    cli::{Plan, SPARE},
    machine,
};

#[derive(Debug)]
pub(crate) struct Report {
    bar: ProgressBar,
    verdicts: RefCell<Vec<Verdict>>,
}

#[derive(Debug)]
struct Verdict {
    what: String,
    budget: String,
    measured: String,
    met: bool,
    /// A server that does not meet it is wrong, not slow.
    must: bool,
}

impl Report {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{bar:30} {pos:>6}/{len:6} {elapsed:>4} {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar, verdicts: RefCell::default() }
    }

    /// What the figures depend on.
    pub(crate) fn opening(&self, plan: &Plan) {
        let Plan { clients, wanted, descriptors, .. } = *plan;
        self.say(&format!("{}.", machine::described()));
        self.say(&format!(
            "{clients} clients{}: server and clients need {} open files each, and may have {descriptors}.",
            if clients < wanted { format!(" rather than {wanted}") } else { String::new() },
            clients + SPARE
        ));
    }

    /// What is done now, in so many steps.
    pub(crate) fn stage(&self, name: &str, steps: usize) {
        self.bar.reset();
        self.bar.set_length(steps as u64);
        self.bar.set_message(name.to_owned());
    }

    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }

    pub(crate) fn table(&self, title: &str, head: &[&str], rows: &[Vec<String>]) {
        let mut lines = vec![String::new(), format!("### {title}"), String::new()];
        lines.push(format!("| {} |", head.join(" | ")));
        let numbers = head.iter().skip(1).map(|_| "---:|").collect::<String>();
        lines.push(format!("|---|{numbers}"));
        lines.extend(rows.iter().map(|row| format!("| {} |", row.join(" | "))));
        self.bar.suspend(|| println!("{}", lines.join("\n")));
    }

    pub(crate) fn budget(&self, what: &str, budget: &str, measured: String, met: bool) {
        self.judge(what, budget, measured, met, false);
    }

    /// What may not be at all.
    pub(crate) fn none(&self, what: &str, measured: usize) {
        self.judge(what, "0", measured.to_string(), measured == 0, true);
    }

    fn judge(&self, what: &str, budget: &str, measured: String, met: bool, must: bool) {
        let (what, budget) = (what.to_owned(), budget.to_owned());
        self.verdicts.borrow_mut().push(Verdict { what, budget, measured, met, must });
    }

    /// Whether all is right, fast enough or not.
    pub(crate) fn closing(&self) -> bool {
        self.bar.finish_and_clear();
        let verdicts = self.verdicts.borrow();
        let rows: Vec<Vec<String>> = verdicts
            .iter()
            .map(|verdict| {
                let Verdict { what, budget, measured, .. } = verdict;
                let met = if verdict.met { "met" } else { "**missed**" };
                vec![what.clone(), budget.clone(), measured.clone(), met.to_owned()]
            })
            .collect();
        self.table("Budgets", &["of the queue server", "budget", "measured", ""], &rows);
        verdicts.iter().all(|verdict| verdict.met || !verdict.must)
    }
}

/// Times, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn of(times: impl IntoIterator<Item = u64>) -> Self {
        let mut histogram =
            Histogram::new_with_bounds(1, 1 << 40, 3).unwrap_or_else(|_| unreachable!());
        for time in times {
            histogram.saturating_record(time);
        }
        Self(histogram)
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// That share of them is no longer; nothing if there are none.
    pub(crate) fn at(&self, share: f64) -> Option<u64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(share))
    }

    pub(crate) fn p50(&self) -> Option<u64> {
        self.at(0.5)
    }

    pub(crate) fn p99(&self) -> Option<u64> {
        self.at(0.99)
    }

    /// `p50 | p99 | max`, as cells.
    pub(crate) fn cells(&self) -> [String; 3] {
        [0.5, 0.99, 1.0].map(|share| text(self.at(share)))
    }

    /// Whether p99 is within the budget, and there is one.
    pub(crate) fn within(&self, budget: Duration) -> bool {
        self.p99().is_some_and(|time| Duration::from_nanos(time) <= budget)
    }
}

/// For people.
pub(crate) fn text(nanoseconds: Option<u64>) -> String {
    match nanoseconds {
        None => String::new(),
        Some(time) if time < 10_000_000 => format!("{} µs", time / 1_000),
        Some(time) if time < 10_000_000_000 => format!("{} ms", time / 1_000_000),
        Some(time) => format!("{} s", time / 1_000_000_000),
    }
}

pub(crate) fn ratio(this: f64, other: f64) -> String {
    if other > 0.0 { format!("{:.2}", this / other) } else { String::new() }
}

/// Near enough for a table.
#[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
