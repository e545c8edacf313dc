//! What an exchange came to: Node's classes, and which verdicts are the same. `docs/node.md` has the table for people.

use std::fmt;

use serde::Deserialize;
use tower_lifecycle::{EventKind, Reason, Stage, testing::Recording};

use crate::scenario::Scenario;

/// As the recordings class them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Finished,
    EndedNotFlushed,
    CutMidResponse,
    CutBeforeHead,
    Upgraded,
    NeverClosed,
}

pub(crate) const ALL: [Outcome; 6] = [
    Outcome::Finished,
    Outcome::EndedNotFlushed,
    Outcome::CutMidResponse,
    Outcome::CutBeforeHead,
    Outcome::Upgraded,
    Outcome::NeverClosed,
];

struct Row {
    outcome: Outcome,
    reasons: &'static [Reason],
    stages: &'static [Stage],
    /// Whether there may be, and whether there must be, a finish.
    finish: &'static [bool],
}

/// All that can break an exchange.
const BROKEN: &[Reason] = &[
    Reason::Disconnected,
    Reason::Reset,
    Reason::StreamReset,
    Reason::TransportFailed,
    Reason::RequestFailed,
    Reason::ServiceFailed,
    Reason::ResponseFailed,
    Reason::LengthMismatch,
    Reason::Panicked,
    Reason::Cancelled,
    Reason::Shutdown,
    Reason::Unknown,
];

/// After the last frame only the connection can break it.
const UNFLUSHED: &[Reason] = &[
    Reason::Disconnected,
    Reason::Reset,
    Reason::StreamReset,
    Reason::TransportFailed,
    Reason::Shutdown,
    Reason::Unknown,
];

const TABLE: &[Row] = &[
    Row {
        outcome: Outcome::Finished,
        reasons: &[Reason::Complete],
        stages: &[Stage::Done],
        finish: &[true],
    },
    Row {
        outcome: Outcome::Upgraded,
        reasons: &[Reason::Upgraded],
        stages: &[Stage::Done],
        finish: &[true],
    },
    Row {
        outcome: Outcome::EndedNotFlushed,
        reasons: UNFLUSHED,
        stages: &[Stage::Flush],
        finish: &[false],
    },
    Row {
        outcome: Outcome::CutMidResponse,
        reasons: BROKEN,
        stages: &[Stage::Response],
        finish: &[false],
    },
    Row {
        outcome: Outcome::CutBeforeHead,
        reasons: BROKEN,
        stages: &[Stage::Request, Stage::Handler],
        // A failed upload may be answered.
        finish: &[true, false],
    },
];

impl Outcome {
    /// What ours came to, or the verdict that stands for nothing in Node.
    pub(crate) fn of(exchange: &Recording) -> Result<Self, String> {
        let Some(summary) = exchange.summary() else { return Ok(Self::NeverClosed) };
        let close = summary.close;
        let finish = exchange.hooks.iter().any(|hook| matches!(hook, EventKind::Finish(_)));
        let row = TABLE.iter().find(|row| {
            row.reasons.contains(&close.reason)
                && row.stages.contains(&close.stage)
                && row.finish.contains(&finish)
        });
        row.map(|row| row.outcome).ok_or_else(|| format!("{close}, finish: {finish}"))
    }

    /// Whether something in the scenario can have brought this about.
    ///
    /// What a client's leaving looks like is up to the kernel too, and all clients leave in the end.
    pub(crate) fn can_be(reason: Reason, scenario: &Scenario) -> bool {
        match reason {
            // A peer that breaks the rules of HTTP/2 has its connection dropped.
            Reason::Shutdown => scenario.drops_connections() || scenario.resets_streams(),
            Reason::StreamReset | Reason::TransportFailed => scenario.resets_streams(),
            Reason::Panicked | Reason::Cancelled | Reason::Unknown => false,
            _ => true,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::EndedNotFlushed => "ended_not_flushed",
            Self::CutMidResponse => "cut_mid_response",
            Self::CutBeforeHead => "cut_before_head",
            Self::Upgraded => "upgraded",
            Self::NeverClosed => "never_closed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
