//! A scenario and what came of it, as rules ask about it.

use std::collections::HashSet;

use serde_json::Value;
use tower_lifecycle::{EventKind, Reason};

use crate::{
    compare::{Difference, Ours},
    node::{Exchange, Run},
    scenario::{Act, Action, Op, Scenario},
};

pub(crate) struct Case<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) node: &'a Run,
    pub(crate) ours: &'a Ours,
}

impl Case<'_> {
    pub(super) fn node(&self, exchange: usize) -> &Exchange {
        &self.node.exchanges[exchange]
    }

    pub(super) fn reason(&self, exchange: usize) -> Option<Reason> {
        Some(self.ours.exchanges.get(exchange)?.summary()?.close.reason)
    }

    pub(super) fn status(&self, exchange: usize) -> Option<u16> {
        let status = |hook: &EventKind| match hook {
            EventKind::Response(status) => Some(status.as_u16()),
            _ => None,
        };
        self.ours.exchanges.get(exchange)?.hooks.iter().find_map(status)
    }

    /// Whether the client or a handler had the server do one of these.
    pub(super) fn acts(&self, actions: &[Action]) -> bool {
        let by_client = self.scenario.client.iter().filter_map(|step| match step.act {
            Act::Server { action } => Some(action),
            _ => None,
        });
        let by_handler = self.scenario.ops().filter_map(|op| match op {
            Op::Server { action } => Some(*action),
            _ => None,
        });
        by_client.chain(by_handler).any(|action| actions.contains(&action))
    }

    /// Whether a client sends something behind a whole request to which it has not read the answer.
    pub(super) fn sends_behind_a_request(&self) -> bool {
        let mut waiting = HashSet::new();
        self.scenario.client.iter().any(|step| match &step.act {
            Act::Send(_) if waiting.contains(&step.conn) => true,
            Act::Send(send) if send.is_bodiless_request() => {
                waiting.insert(&step.conn);
                false
            }
            Act::ReadResponse(_) => {
                waiting.remove(&step.conn);
                false
            }
            _ => false,
        })
    }

    pub(super) fn node_saw(&self, step: u64, field: &str) -> Option<&Value> {
        self.node.seen.iter().find(|notes| notes["step"] == step)?.get(field)
    }

    pub(super) fn we_saw(&self, step: u64, field: &str) -> Option<&Value> {
        self.ours.seen.iter().find(|notes| notes["step"] == step)?.get(field)
    }

    /// Whether it is part of seeing no answer at all where Node sent one.
    pub(super) fn got_nothing(&self, difference: &Difference) -> bool {
        let Difference::Seen { step, action, .. } = difference else { return false };
        let got = |key: &str| self.we_saw(*step, key);
        match action.as_str() {
            "read_response" => got("got").is_some_and(|got| got == "none"),
            "read_bytes" => got("ok") == Some(&false.into()),
            _ => false,
        }
    }

    /// The same, where what Node sent was one of these.
    pub(super) fn got_nothing_but(&self, difference: &Difference, statuses: &[u64]) -> bool {
        let Difference::Seen { step, .. } = difference else { return false };
        let status = self.node_saw(*step, "status").and_then(Value::as_u64);
        status.is_some_and(|status| statuses.contains(&status)) && self.got_nothing(difference)
    }
}
