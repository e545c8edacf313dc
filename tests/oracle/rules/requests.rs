//! Requests that are not read, or not to their end.

use tower_lifecycle::{EventKind, Reason, RequestClose, testing::Recording};

use super::{Case, Rule};
use crate::{
    compare::Difference,
    node::Hook,
    outcome::Outcome,
    scenario::{Act, Op, Step},
};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "unread upload", explains: unread_upload },
    Rule { name: "request that never closes", explains: request_never_closes },
    Rule { name: "iteration that breaks off", explains: iteration },
    Rule { name: "failed upload without an answer", explains: failed_upload },
    Rule { name: "request timeout", explains: request_timeout },
    Rule { name: "upload that is reset without an error", explains: reset_without_error },
    Rule { name: "length and chunks at once", explains: length_and_chunks },
    Rule { name: "upload without the declared length", explains: short_upload },
    Rule { name: "answer to who has left", explains: late_answer },
    Rule { name: "request destroyed over HTTP/2", explains: destroyed_request },
];

fn unread_upload(case: &Case<'_>, difference: &Difference) -> bool {
    let gives_up = |ours: &Recording| ours.hooks.iter().any(is_given_up);
    case.ours.exchanges.iter().any(gives_up)
        && match difference {
            Difference::Count { node, ours } => node > ours,
            difference => case.got_nothing(difference),
        }
}

fn request_never_closes(case: &Case<'_>, difference: &Difference) -> bool {
    match difference {
        Difference::Hook { exchange, hook: Hook::RequestClose, node: 0, ours: 1 } => {
            case.node(*exchange).has_quirk("req_never_closed")
        }
        _ => false,
    }
}

fn iteration(case: &Case<'_>, difference: &Difference) -> bool {
    let breaks = |op: &Op| matches!(op, Op::ReadIter { break_after: Some(_), .. });
    case.scenario.ops().any(breaks)
        && matches!(
            difference,
            Difference::Hook { hook: Hook::RequestAborted, node: 1, ours: 0, .. }
                | Difference::Hook { hook: Hook::RequestClose, node: 2, ours: 1, .. }
                | Difference::Order { then: Hook::RequestClose, .. }
        )
}

fn failed_upload(case: &Case<'_>, difference: &Difference) -> bool {
    let failed =
        |ours: &Recording| ours.hooks.iter().any(|hook| matches!(hook, EventKind::RequestError(_)));
    case.ours.exchanges.iter().any(failed) && case.got_nothing_but(difference, &[400])
}

fn request_timeout(case: &Case<'_>, difference: &Difference) -> bool {
    let late = |exchange: usize| {
        let unread = |ours: &Recording| ours.hooks.iter().any(is_given_up);
        case.status(exchange) == Some(408) || case.ours.exchanges.get(exchange).is_some_and(unread)
    };
    case.scenario.server.limit(|limits| limits.request_timeout).is_some()
        && match difference {
            Difference::Outcome {
                exchange,
                node: Outcome::CutBeforeHead,
                ours: Outcome::Finished,
            }
            | Difference::Hook { exchange, hook: Hook::Finish | Hook::RequestAborted, .. } => {
                late(*exchange)
            }
            Difference::Seen { step, .. } => {
                case.node_saw(*step, "status").is_some_and(|status| *status == 408)
            }
            _ => false,
        }
}

fn reset_without_error(case: &Case<'_>, difference: &Difference) -> bool {
    let resets = |step: &Step| matches!(step.act, Act::H2Rst { code: Some(0), .. });
    let told = |exchange: usize| {
        let failure = |hook: &EventKind| match hook {
            EventKind::RequestError(failed) => failed.reason == Reason::StreamReset,
            _ => false,
        };
        case.ours.exchanges[exchange].hooks.iter().any(failure)
    };
    case.scenario.client.iter().any(resets)
        && matches!(difference, Difference::Hook { exchange, hook: Hook::RequestEnd, node: 1, ours: 0 }
            if told(*exchange))
}

fn length_and_chunks(case: &Case<'_>, difference: &Difference) -> bool {
    case.scenario.client.iter().any(Step::has_two_lengths)
        && match difference {
            Difference::Count { node, ours } => *ours == node + 1,
            Difference::Seen { .. } => true,
            _ => false,
        }
}

/// A request that its handler did not read to its end.
fn is_given_up(hook: &EventKind) -> bool {
    matches!(hook, EventKind::RequestClose(RequestClose::Unread | RequestClose::Partial))
}

fn short_upload(case: &Case<'_>, difference: &Difference) -> bool {
    case.scenario.client.iter().any(Step::declares_length_over_http2)
        && matches!(difference, Difference::Hook { exchange, hook: Hook::RequestData, node: 1, ours: 0 }
            if case.reason(*exchange) == Some(Reason::RequestFailed))
}

fn late_answer(case: &Case<'_>, difference: &Difference) -> bool {
    let left = |exchange: usize| {
        matches!(case.reason(exchange), Some(Reason::Disconnected | Reason::Reset))
            && case.status(exchange).is_some()
    };
    matches!(difference, Difference::Hook { exchange, hook: Hook::Finish, node: 0, ours: 1 }
        if left(*exchange))
}

fn destroyed_request(case: &Case<'_>, difference: &Difference) -> bool {
    case.scenario.is_http2()
        && case.scenario.ops().any(|op| matches!(op, Op::DestroyReq))
        && match difference {
            Difference::Hook { hook: Hook::RequestClose, node: 2, ours: 1, .. } => true,
            Difference::Seen { step, action, .. } if action == "h2_read" => {
                case.node_saw(*step, "end_conn").is_some_and(|end| end == "timeout")
            }
            _ => false,
        }
}
