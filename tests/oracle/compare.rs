//! How one run of ours differs from one of Node's.

use std::fmt;

use serde_json::Value;
use tower_lifecycle::{EventKind, RequestClose, testing::Recording};

use crate::{
    client::Notes,
    node::{Exchange, Hook, Run},
    outcome::Outcome,
    scenario::Scenario,
};

/// What we did in a scenario.
#[derive(Debug)]
pub(crate) struct Ours {
    pub(crate) exchanges: Vec<Recording>,
    pub(crate) seen: Vec<Notes>,
}

/// One difference.
#[derive(Clone, Debug)]
pub(crate) enum Difference {
    /// Not as many exchanges.
    Count { node: usize, ours: usize },
    /// Another outcome.
    Outcome { exchange: usize, node: Outcome, ours: Outcome },
    /// A hook more or less often.
    Hook { exchange: usize, hook: Hook, node: usize, ours: usize },
    /// Hooks in another order.
    Order { exchange: usize, first: Hook, then: Hook },
    /// Something else seen by the client.
    Seen { step: u64, action: String, field: String, node: Value, ours: Value },
    /// A promise of ours that is broken, whatever Node does.
    Broken { exchange: usize, what: String },
}

/// What is not compared. How the end of a body is marked is the server's choice: that it was complete is compared.
const FREE: [&str; 3] = ["step", "do", "framing"];

/// Ours with the exchanges in the order of Node's where they may begin in any: streams of HTTP/2 are tasks.
pub(crate) fn align(node: &Run, ours: &Ours) -> Ours {
    let mut left = ours.exchanges.clone();
    let mut aligned = Vec::new();
    for (index, node) in node.exchanges.iter().enumerate() {
        let distance = |ours: &Recording| {
            let mut differences = Vec::new();
            exchanges(index, node, ours, &mut differences);
            differences.len()
        };
        let nearest = (0..left.len()).min_by_key(|at| distance(&left[*at]));
        aligned.extend(nearest.map(|at| left.remove(at)));
    }
    aligned.extend(left);
    Ours { exchanges: aligned, seen: ours.seen.clone() }
}

/// All differences.
pub(crate) fn compare(scenario: &Scenario, node: &Run, ours: &Ours) -> Vec<Difference> {
    let mut differences: Vec<_> = impossible(scenario, ours).collect();
    if node.exchanges.len() != ours.exchanges.len() {
        let (node, ours) = (node.exchanges.len(), ours.exchanges.len());
        differences.push(Difference::Count { node, ours });
    }
    for (index, (node, ours)) in node.exchanges.iter().zip(&ours.exchanges).enumerate() {
        exchanges(index, node, ours, &mut differences);
    }
    seen(&node.seen, &ours.seen, &mut differences);
    differences
}

/// Verdicts that name a cause that there was not.
fn impossible(scenario: &Scenario, ours: &Ours) -> impl Iterator<Item = Difference> {
    ours.exchanges.iter().enumerate().filter_map(|(exchange, ours)| {
        let close = ours.summary()?.close;
        let what = format!("what can have happened: {close}");
        (!Outcome::can_be(close.reason, scenario)).then_some(Difference::Broken { exchange, what })
    })
}

fn exchanges(exchange: usize, node: &Exchange, ours: &Recording, into: &mut Vec<Difference>) {
    match Outcome::of(ours) {
        Ok(outcome) if node.outcomes.contains(&outcome) => {}
        Ok(ours) => into.push(Difference::Outcome { exchange, node: node.outcomes[0], ours }),
        Err(what) => into.push(Difference::Broken { exchange, what }),
    }
    if ours.summary().is_some() {
        if let Err(what) = grammar(ours) {
            into.push(Difference::Broken { exchange, what });
        }
    }
    // Of an upgraded exchange Node has no response, and its request is not told of.
    if node.outcomes == [Outcome::Upgraded] {
        return;
    }
    let told = Told::new(ours);
    let compared = |hook: &Hook| !told.is_bodiless(node) || !hook.is_of_a_body();
    for hook in Hook::ALL.into_iter().filter(compared) {
        let (node, ours) = (node.count(hook), told.count(hook));
        if node != ours {
            into.push(Difference::Hook { exchange, hook, node, ours });
        }
    }
    for &(first, then) in node.before.iter().filter(|(a, b)| compared(a) && compared(b)) {
        if let (Some(a), Some(b)) = (told.last(first), told.first(then)) {
            if a > b {
                into.push(Difference::Order { exchange, first, then });
            }
        }
    }
}

/// The grammar of the library itself.
fn grammar(ours: &Recording) -> Result<(), String> {
    let check = std::panic::AssertUnwindSafe(|| ours.assert_grammar());
    std::panic::catch_unwind(check).map_err(|_| format!("the grammar, by {ours}"))
}

fn seen(node: &[Notes], ours: &[Notes], into: &mut Vec<Difference>) {
    let step = |notes: &Notes| notes.get("step").and_then(Value::as_u64);
    // There the bytes that are left are frames of the connection.
    let http2 = node.iter().any(|notes| notes["do"] == "h2_read");
    let is_free = |field: &str| FREE.contains(&field) || http2 && field == "n";
    for node in node.iter().filter(|node| is_read(node)) {
        let ours = ours.iter().find(|ours| step(ours) == step(node));
        let nothing = Notes::new();
        let ours = ours.unwrap_or(&nothing);
        let mut fields: Vec<&String> = node.keys().chain(ours.keys()).collect();
        fields.sort();
        fields.dedup();
        for field in fields.into_iter().filter(|field| !is_free(field)) {
            let (theirs, ours) = (value(node, field), value(ours, field));
            if theirs != ours {
                into.push(Difference::Seen {
                    step: step(node).unwrap_or_default(),
                    action: node["do"].as_str().unwrap_or_default().to_owned(),
                    field: field.clone(),
                    node: theirs,
                    ours,
                });
            }
        }
    }
}

/// Whether a step at which something is to be seen. What a sender notices of a peer that is gone is chance.
fn is_read(notes: &Notes) -> bool {
    matches!(notes["do"].as_str(), Some("read_response" | "read_bytes" | "read_all" | "h2_read"))
}

fn value(notes: &Notes, field: &str) -> Value {
    match notes.get(field) {
        Some(Value::String(text)) if field == "connection" => text.to_lowercase().into(),
        // Node's answers are of HTTP/1.1, which keeps a connection that says nothing of it.
        Some(Value::Null) if field == "connection" => "keep-alive".into(),
        value => value.cloned().unwrap_or_default(),
    }
}

// ===== Told =====

/// Where in the hooks of an exchange of ours are those that Node has too.
struct Told<'a> {
    ours: &'a Recording,
    hooks: Vec<(Hook, usize)>,
}

impl<'a> Told<'a> {
    fn new(ours: &'a Recording) -> Self {
        let of_node = |(at, hook)| Some((counterpart(hook)?, at));
        let hooks = ours.hooks.iter().enumerate().filter_map(of_node);
        let hooks = hooks.chain(aborted(ours).map(|at| (Hook::RequestAborted, at))).collect();
        Self { ours, hooks }
    }

    fn count(&self, hook: Hook) -> usize {
        let count = self.at(hook).count();
        if hook == Hook::RequestData { count.min(1) } else { count }
    }

    fn first(&self, hook: Hook) -> Option<usize> {
        self.at(hook).min()
    }

    fn last(&self, hook: Hook) -> Option<usize> {
        self.at(hook).max()
    }

    fn at(&self, hook: Hook) -> impl Iterator<Item = usize> {
        self.hooks.iter().filter(move |(it, _)| *it == hook).map(|(_, at)| *at)
    }

    /// Whether there is nothing to be read. With us that is the end, right at the beginning; Node tells it when somebody
    /// has asked, or never.
    fn is_bodiless(&self, node: &Exchange) -> bool {
        let ended = |hook: &EventKind| matches!(hook, EventKind::RequestEnd(end) if end.bytes == 0);
        node.count(Hook::RequestData) == 0 && self.ours.hooks.get(1).is_some_and(ended)
    }
}

fn counterpart(hook: &EventKind) -> Option<Hook> {
    Some(match hook {
        EventKind::RequestData(_) => Hook::RequestData,
        EventKind::RequestEnd(_) => Hook::RequestEnd,
        EventKind::RequestClose(_) => Hook::RequestClose,
        EventKind::Finish(_) => Hook::Finish,
        EventKind::Close(_) => Hook::Close,
        _ => return None,
    })
}

/// Where it was told that the request of an exchange that broke was not fully read.
fn aborted(ours: &Recording) -> Option<usize> {
    let broke = ours.summary().is_some_and(|summary| !summary.close.reason.is_complete());
    let short = |hook: &EventKind| match hook {
        EventKind::RequestError(_) => true,
        EventKind::RequestClose(close) => *close != RequestClose::Complete,
        _ => false,
    };
    ours.hooks.iter().position(short).filter(|_| broke)
}

// ===== impl Hook =====

impl Hook {
    /// Whether there is a point in it only where there is something to be read.
    pub(crate) fn is_of_a_body(self) -> bool {
        matches!(self, Self::RequestEnd | Self::RequestAborted)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { node, ours } => write!(f, "{node} exchanges, ours {ours}"),
            Self::Outcome { exchange, node, ours } => write!(f, "#{exchange} {node}, ours {ours}"),
            Self::Hook { exchange, hook, node, ours } => {
                write!(f, "#{exchange} {} {node}, ours {ours}", hook.name())
            }
            Self::Order { exchange, first, then } => {
                write!(f, "#{exchange} {} before {}, ours after", first.name(), then.name())
            }
            Self::Seen { step, action, field, node, ours } => {
                write!(f, "step {step} {action}: {field} {node}, ours {ours}")
            }
            Self::Broken { exchange, what } => write!(f, "#{exchange} is against {what}"),
        }
    }
}
