//! Connections: who leaves, who is told, and what is taken from them.

use serde_json::Value;
use tower_lifecycle::{Reason, testing::Recording};

use super::{Case, Rule};
use crate::{
    compare::Difference,
    node::Hook,
    outcome::Outcome,
    scenario::{Act, Action, Op, Step},
};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "request and FIN together", explains: request_and_fin },
    Rule { name: "race by design", explains: race },
    Rule { name: "one request at a time", explains: one_at_a_time },
    Rule { name: "bytes behind a pending request", explains: bytes_behind },
    Rule { name: "graceful close", explains: graceful_close },
    Rule { name: "header timeout", explains: header_timeout },
    Rule { name: "kept alive by HTTP/1.0", explains: http10 },
    Rule { name: "GOAWAY with an error", explains: goaway },
    Rule { name: "destroyed session", explains: destroyed_session },
    Rule { name: "broken HTTP/2", explains: broken_http2 },
    Rule { name: "listener for what is no request", explains: client_error },
    Rule { name: "CONNECT without a listener", explains: connect },
    Rule { name: "refused upgrade", explains: refused_upgrade },
];

fn request_and_fin(case: &Case<'_>, difference: &Difference) -> bool {
    let sends_and_leaves = case.scenario.client.windows(2).any(|steps| {
        let leaves = matches!(steps[1].act, Act::HalfClose | Act::Close { .. });
        matches!(steps[0].act, Act::Send(_)) && leaves && steps[0].conn == steps[1].conn
    });
    sends_and_leaves
        && match difference {
            Difference::Count { node, ours } => *node == ours + 1,
            Difference::Outcome {
                node: Outcome::Finished, ours: Outcome::CutBeforeHead, ..
            }
            | Difference::Hook { hook: Hook::Finish, node: 1, ours: 0, .. } => true,
            difference => case.got_nothing(difference),
        }
}

fn race(case: &Case<'_>, difference: &Difference) -> bool {
    case.scenario.race
        && match difference {
            // Node has no flush that can fail in between.
            Difference::Outcome { node, ours, .. } => [node, ours].into_iter().all(|outcome| {
                matches!(
                    outcome,
                    Outcome::Finished | Outcome::EndedNotFlushed | Outcome::CutBeforeHead
                )
            }),
            Difference::Hook { hook, .. } => {
                matches!(hook, Hook::Finish | Hook::RequestEnd | Hook::RequestAborted)
            }
            Difference::Seen { action, .. } => action == "read_response",
            _ => false,
        }
}

fn one_at_a_time(case: &Case<'_>, difference: &Difference) -> bool {
    match difference {
        Difference::Count { node, ours } => {
            node > ours && case.scenario.client.iter().any(Step::pipelines)
        }
        _ => false,
    }
}

fn bytes_behind(case: &Case<'_>, difference: &Difference) -> bool {
    case.sends_behind_a_request()
        && match difference {
            Difference::Outcome {
                node: Outcome::CutBeforeHead, ours: Outcome::Finished, ..
            }
            | Difference::Hook { hook: Hook::Finish, node: 0, ours: 1, .. } => true,
            Difference::Seen { field, ours, .. } if field == "n" => ours.is_null(),
            // Nothing, or the answer to the request before.
            Difference::Seen { step, .. } => {
                case.node_saw(*step, "status").is_some_and(|status| *status == 400)
            }
            _ => false,
        }
}

fn graceful_close(case: &Case<'_>, difference: &Difference) -> bool {
    let Difference::Seen { field, node, ours, .. } = difference else { return false };
    case.acts(&[Action::Close])
        && match field.as_str() {
            "connection" => node == "keep-alive" && ours == "close",
            "end" => node == "timeout" && ours == "eof",
            _ => false,
        }
}

fn header_timeout(case: &Case<'_>, difference: &Difference) -> bool {
    case.scenario.server.limit(|limits| limits.headers_timeout).is_some()
        && case.ours.exchanges.is_empty()
        && case.got_nothing_but(difference, &[408])
}

fn http10(case: &Case<'_>, difference: &Difference) -> bool {
    case.scenario.client.iter().any(Step::keeps_http10)
        && matches!(difference, Difference::Seen { field, node, ours, .. }
            if field == "connection" && node == "close" && ours == "keep-alive")
}

fn goaway(case: &Case<'_>, difference: &Difference) -> bool {
    let fails = |step: &Step| matches!(step.act, Act::H2Goaway { code: Some(1..), .. });
    case.scenario.client.iter().any(fails)
        && match difference {
            Difference::Outcome { ours: Outcome::Finished, .. }
            | Difference::Hook { hook: Hook::Finish, node: 0, ours: 1, .. } => true,
            Difference::Seen { action, .. } => action == "h2_read",
            _ => false,
        }
}

fn destroyed_session(case: &Case<'_>, difference: &Difference) -> bool {
    let by_handler = case.scenario.ops().any(|op| matches!(op, Op::DestroySocket));
    (by_handler || case.acts(&[Action::H2SessionDestroy]))
        && matches!(difference, Difference::Seen { action, .. } if action == "h2_read")
}

fn broken_http2(case: &Case<'_>, difference: &Difference) -> bool {
    case.scenario.is_http2()
        && case.ours.exchanges.is_empty()
        && matches!(difference, Difference::Seen { action, field, node, ours, .. }
            if action == "read_all" && field == "end" && node == "timeout" && ours == "eof")
}

fn connect(case: &Case<'_>, difference: &Difference) -> bool {
    let upgraded = |ours: &Recording| Outcome::of(ours) == Ok(Outcome::Upgraded);
    case.scenario.server.connect.is_none()
        && case.ours.exchanges.last().is_some_and(upgraded)
        && match difference {
            Difference::Count { node, ours } => *ours == node + 1,
            Difference::Seen { action, .. } => action == "read_response",
            _ => false,
        }
}

fn refused_upgrade(case: &Case<'_>, difference: &Difference) -> bool {
    let refuses = |op: &Op| matches!(op, Op::RawDestroy | Op::RawEnd { .. });
    match difference {
        Difference::Outcome { exchange, node: Outcome::Upgraded, ours } => {
            let is_refusal = match ours {
                Outcome::CutBeforeHead => case.reason(*exchange) == Some(Reason::ServiceFailed),
                Outcome::Finished => case.status(*exchange).is_some_and(|status| status >= 300),
                _ => false,
            };
            is_refusal && case.scenario.ops().any(refuses)
        }
        _ => false,
    }
}

fn client_error(case: &Case<'_>, difference: &Difference) -> bool {
    let Difference::Seen { step, .. } = difference else { return false };
    let silent = case.node_saw(*step, "end").is_some_and(|end| end == "timeout");
    let ours = case.we_saw(*step, "status").and_then(Value::as_u64);
    let refused = matches!(ours, Some(400 | 431));
    let closed = case.we_saw(*step, "end").is_some_and(|end| end == "eof");
    case.scenario.server.client_error.as_deref() == Some("listener_nothing")
        && silent
        && (refused || closed)
}
