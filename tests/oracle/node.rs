//! What Node was seen to do, in the words in which it is compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use crate::{client::Notes, outcome::Outcome};

/// The file.
#[derive(Deserialize)]
pub(crate) struct Observations {
    pub(crate) results: HashMap<String, Observed>,
}

#[derive(Deserialize)]
pub(crate) struct Observed {
    frameworks: HashMap<String, Framework>,
}

/// What one of Node's frameworks did in all of its runs.
#[derive(Deserialize)]
struct Framework {
    same_as: Option<String>,
    #[serde(default)]
    outcome: Vec<Class>,
    #[serde(default)]
    hooks: Vec<HashMap<String, usize>>,
    #[serde(default)]
    quirks: Vec<Vec<String>>,
    #[serde(default)]
    constraints: Vec<Constraints>,
    #[serde(default)]
    client: Vec<Notes>,
    #[serde(default)]
    client_variants: Vec<ClientVariant>,
    #[serde(default)]
    variants_per_exchange: Vec<Variant>,
}

#[derive(Deserialize)]
struct Class {
    class: Outcome,
}

#[derive(Deserialize)]
struct Constraints {
    x: usize,
    before: Vec<String>,
}

#[derive(Deserialize)]
struct ClientVariant {
    log: Vec<Notes>,
}

#[derive(Deserialize)]
struct Variant {
    /// The events of each exchange, in their order.
    seq: Vec<Vec<String>>,
}

/// An event that Node and we have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hook {
    /// `req.data`: `on_request_data`.
    RequestData,
    /// `req.end`: `on_request_end`.
    RequestEnd,
    /// `req.aborted`, which may also be `req.error`: a request that is not fully read when the exchange breaks.
    RequestAborted,
    /// `req.close`: `on_request_close`.
    RequestClose,
    /// `res.finish`: `on_finish`.
    Finish,
    /// `res.close`: `on_close`.
    Close,
}

/// One exchange, as Node had it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// One of these.
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) quirks: Vec<String>,
    pub(crate) counts: BTreeMap<Hook, usize>,
    /// What came before what, in every run.
    pub(crate) before: BTreeSet<(Hook, Hook)>,
}

/// What Node did in some run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) seen: Vec<Notes>,
}

// ===== impl Observed =====

impl Observed {
    /// All that a framework did, the usual first; none if it was not recorded.
    pub(crate) fn runs(&self, framework: &str) -> Vec<Run> {
        let Some(framework) = self.framework(framework) else { return Vec::new() };
        let usual = framework.usual();
        let exchanges = framework.variants_per_exchange.iter().map(|variant| variant.like(&usual));
        let exchanges: Vec<_> = std::iter::once(usual.clone()).chain(exchanges).collect();
        let logs = framework.client_variants.iter().map(|variant| &variant.log);
        let logs: Vec<_> = std::iter::once(&framework.client).chain(logs).collect();
        let pairs =
            exchanges.iter().flat_map(|exchanges| logs.iter().map(move |log| (exchanges, log)));
        pairs
            .map(|(exchanges, log)| Run { exchanges: exchanges.clone(), seen: (*log).clone() })
            .collect()
    }

    fn framework(&self, name: &str) -> Option<&Framework> {
        let framework = self.frameworks.get(name)?;
        match &framework.same_as {
            Some(other) => self.frameworks.get(other),
            None => Some(framework),
        }
    }
}

// ===== impl Framework =====

impl Framework {
    fn usual(&self) -> Vec<Exchange> {
        let exchanges = self.outcome.iter().zip(&self.hooks).enumerate();
        exchanges
            .map(|(x, (class, hooks))| {
                let constraints = self.constraints.iter().find(|constraints| constraints.x == x);
                let order = Order::new(constraints.map_or(&[], |constraints| &constraints.before));
                let names = hooks.iter().map(|(name, count)| (name.as_str(), *count));
                let names = names.filter(|(name, _)| !order.is_after_close(name));
                let quirks = self.quirks.get(x).cloned().unwrap_or_default();
                Exchange::new(class.class, quirks, names, order.of_hooks())
            })
            .collect()
    }
}

// ===== impl Variant =====

impl Variant {
    /// The exchanges of this run. How it differs is in its events alone.
    fn like(&self, usual: &[Exchange]) -> Vec<Exchange> {
        let exchange = |(x, events): (usize, &Vec<String>)| {
            let quirks = usual.get(x).map(|exchange| exchange.quirks.clone()).unwrap_or_default();
            let names: Vec<&str> = events.iter().map(|event| base(event)).collect();
            let close = names.iter().position(|name| *name == "res.close");
            let before = &names[..close.map_or(names.len(), |close| close + 1)];
            let mut exchange = Exchange::new(
                Outcome::NeverClosed,
                quirks,
                before.iter().map(|name| (*name, 1)),
                BTreeSet::new(),
            );
            exchange.outcomes = match close {
                None => vec![Outcome::NeverClosed],
                Some(_) if before.contains(&"res.finish") => vec![Outcome::Finished],
                Some(_) => vec![Outcome::CutBeforeHead, Outcome::CutMidResponse],
            };
            if names.contains(&"req.close") {
                exchange.counts.insert(Hook::RequestClose, 1);
            }
            exchange
        };
        self.seq.iter().enumerate().map(exchange).collect()
    }
}

// ===== impl Exchange =====

impl Exchange {
    fn new<'a>(
        outcome: Outcome,
        quirks: Vec<String>,
        names: impl Iterator<Item = (&'a str, usize)>,
        before: BTreeSet<(Hook, Hook)>,
    ) -> Self {
        let upgraded = quirks.iter().any(|quirk| quirk == "upgrade_no_res");
        let outcome = if upgraded { Outcome::Upgraded } else { outcome };
        let mut counts = BTreeMap::new();
        for (name, count) in names {
            // On HTTP/2 Node's `finish` comes before each `close`: it counts if the response was ended.
            let counts_not = name == "res.finish" && outcome != Outcome::Finished;
            if let Some(hook) = Hook::of(name).filter(|_| !counts_not) {
                let many = matches!(hook, Hook::RequestData | Hook::RequestAborted);
                counts.insert(hook, if many { 1 } else { count });
            }
        }
        Self { outcomes: vec![outcome], quirks, counts, before }
    }

    pub(crate) fn count(&self, hook: Hook) -> usize {
        self.counts.get(&hook).copied().unwrap_or(0)
    }

    pub(crate) fn has_quirk(&self, quirk: &str) -> bool {
        self.quirks.iter().any(|it| it == quirk)
    }
}

// ===== impl Hook =====

impl Hook {
    pub(crate) const ALL: [Self; 6] = [
        Self::RequestData,
        Self::RequestEnd,
        Self::RequestAborted,
        Self::RequestClose,
        Self::Finish,
        Self::Close,
    ];

    /// By the name that Node gives it.
    fn of(name: &str) -> Option<Self> {
        Some(match base(name) {
            "req.data" => Self::RequestData,
            "req.end" => Self::RequestEnd,
            "req.aborted" | "req.error" => Self::RequestAborted,
            "req.close" => Self::RequestClose,
            "res.finish" => Self::Finish,
            "res.close" => Self::Close,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RequestData => "req.data",
            Self::RequestEnd => "req.end",
            Self::RequestAborted => "req.aborted",
            Self::RequestClose => "req.close",
            Self::Finish => "res.finish",
            Self::Close => "res.close",
        }
    }
}

/// The name of an event, without the code of its error, nor the sign that there were many.
fn base(event: &str) -> &str {
    event.split(['(', '+']).next().unwrap_or(event)
}

// ===== Order =====

/// The order of events that held in every run.
struct Order<'a>(BTreeSet<(&'a str, &'a str)>);

impl<'a> Order<'a> {
    /// The file leaves out what follows from the rest.
    fn new(before: &'a [String]) -> Self {
        let pairs = before.iter().filter_map(|pair| pair.split_once(" < "));
        let mut pairs: BTreeSet<_> = pairs.collect();
        loop {
            let follows = |&(a, b): &(&'a str, &'a str)| {
                let pairs = &pairs;
                pairs.iter().filter(move |(c, _)| *c == b).map(move |(_, d)| (a, *d))
            };
            let more: BTreeSet<_> = pairs.iter().flat_map(follows).collect();
            let known = pairs.len();
            pairs.extend(more);
            if pairs.len() == known {
                return Self(pairs);
            }
        }
    }

    /// Whether it is an afterthought: of an exchange that is over nothing is told. But a request that closes late closes.
    fn is_after_close(&self, name: &str) -> bool {
        let is_late = |(a, b): &(&str, &str)| *a == "res.close" && base(b) == name;
        name != "req.close" && self.0.iter().any(is_late)
    }

    fn of_hooks(&self) -> BTreeSet<(Hook, Hook)> {
        let late = |name: &str| self.0.contains(&("res.close", name));
        let in_time = self.0.iter().filter(|(a, b)| base(a) != "res.close" && !late(b));
        in_time
            .filter_map(|(a, b)| Some((Hook::of(a)?, Hook::of(b)?)))
            .filter(|(a, b)| a != b)
            .collect()
    }
}
