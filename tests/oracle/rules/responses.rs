//! Responses that fail, or are more or less than what was wanted.

use serde_json::Value;
use tower_lifecycle::{EventKind, Finish, Reason, testing::Recording};

use super::{Case, Rule};
use crate::{
    compare::Difference,
    node::Hook,
    outcome::Outcome,
    scenario::{Op, Step},
};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "failed flush", explains: failed_flush },
    Rule { name: "response that never closes", explains: response_never_closes },
    Rule { name: "released over HTTP/2", explains: released },
    Rule { name: "handler that throws", explains: throws },
    Rule { name: "error before the flush", explains: error_before_flush },
    Rule { name: "reset code of a failed body", explains: reset_code },
    Rule { name: "length that is not kept", explains: length },
    Rule { name: "interim answers", explains: interim },
    Rule { name: "trailers that nobody asked for", explains: trailers },
];

fn failed_flush(case: &Case<'_>, difference: &Difference) -> bool {
    match difference {
        Difference::Outcome { exchange, ours: Outcome::EndedNotFlushed, .. }
        | Difference::Hook { exchange, hook: Hook::Finish, node: 1, ours: 0 } => {
            case.node(*exchange).has_quirk("finish_after_failed_flush")
        }
        _ => false,
    }
}

fn response_never_closes(case: &Case<'_>, difference: &Difference) -> bool {
    match difference {
        Difference::Outcome { exchange, node: Outcome::NeverClosed, .. }
        | Difference::Hook { exchange, hook: Hook::Close, node: 0, ours: 1 } => {
            case.node(*exchange).has_quirk("res_never_closed")
        }
        _ => false,
    }
}

fn released(case: &Case<'_>, difference: &Difference) -> bool {
    let released = |exchange: usize| {
        let finish = |hook: &EventKind| matches!(hook, EventKind::Finish(Finish::Released));
        case.ours.exchanges[exchange].hooks.iter().any(finish)
    };
    case.scenario.is_http2()
        && match difference {
            Difference::Outcome {
                exchange,
                node: Outcome::EndedNotFlushed,
                ours: Outcome::Finished,
            } => released(*exchange),
            Difference::Hook { exchange, hook: Hook::Finish, node: 0, ours: 1 } => {
                let outcomes = &case.node(*exchange).outcomes;
                outcomes.contains(&Outcome::EndedNotFlushed) && released(*exchange)
            }
            _ => false,
        }
}

fn throws(case: &Case<'_>, difference: &Difference) -> bool {
    let fails = |exchange: usize| {
        let reason = case.reason(exchange);
        matches!(reason, Some(Reason::ServiceFailed | Reason::ResponseFailed))
    };
    case.scenario.ops().any(|op| matches!(op, Op::Throw))
        && match difference {
            Difference::Outcome {
                exchange,
                node: Outcome::Finished,
                ours: Outcome::CutBeforeHead,
            }
            | Difference::Hook { exchange, hook: Hook::Finish, node: 1, ours: 0 } => {
                fails(*exchange)
            }
            // Express reads the request to its end before it answers.
            Difference::Hook { exchange, hook, .. } => {
                let reads = Hook::is_of_a_body(*hook) || *hook == Hook::RequestData;
                reads && fails(*exchange)
            }
            Difference::Seen { field, node, ours, .. } if field == "end" && !node.is_null() => {
                node == "timeout" && ours == "eof"
            }
            // Over HTTP/2 it is the stream that is reset.
            Difference::Seen { step, action, .. } if action == "h2_read" => {
                case.node_saw(*step, "end_conn").is_some_and(|end| end == "timeout")
            }
            difference => case.got_nothing_but(difference, &[500]),
        }
}

fn error_before_flush(case: &Case<'_>, difference: &Difference) -> bool {
    let fails = |ours: &Recording| {
        ours.hooks.iter().any(|hook| matches!(hook, EventKind::ResponseError(_)))
            && ours.hooks.iter().any(|hook| matches!(hook, EventKind::Response(_)))
    };
    case.ours.exchanges.iter().any(fails) && case.got_nothing(difference)
}

fn reset_code(case: &Case<'_>, difference: &Difference) -> bool {
    const INTERNAL_ERROR: u64 = 2;
    let Difference::Seen { field, node, ours, .. } = difference else { return false };
    let (Some(theirs), Some(ours)) = (node.as_object(), ours.as_object()) else { return false };
    let number = |value: Option<&Value>| value.and_then(Value::as_u64);
    let expected = |(key, value): (&String, &Value)| match key.as_str() {
        "rst" => *value == 0,
        // What is not sent when the stream is reset is not sent any more.
        "data" => number(ours.get(key)) <= number(Some(value)),
        _ => ours.get(key) == Some(value),
    };
    field == "state"
        && case.scenario.ops().any(|op| matches!(op, Op::DestroyRes | Op::DestroyReq))
        && theirs.len() == ours.len()
        && theirs.iter().all(expected)
        && number(ours.get("rst")) == Some(INTERNAL_ERROR)
}

fn length(case: &Case<'_>, difference: &Difference) -> bool {
    let broken = |exchange: usize| case.reason(exchange) == Some(Reason::LengthMismatch);
    match difference {
        Difference::Outcome { exchange, node: Outcome::Finished, .. }
        | Difference::Hook { exchange, hook: Hook::Finish, node: 1, ours: 0 } => broken(*exchange),
        Difference::Seen { field, node, ours, .. } => {
            (0..case.ours.exchanges.len()).any(broken)
                && (case.got_nothing(difference)
                    || field == "end" && node == "timeout" && ours == "eof")
        }
        _ => false,
    }
}

fn interim(case: &Case<'_>, difference: &Difference) -> bool {
    case.scenario.ops().any(|op| matches!(op, Op::EarlyHints))
        && matches!(difference, Difference::Seen { field, ours, .. }
            if field == "informational" && ours.is_null())
}

fn trailers(case: &Case<'_>, difference: &Difference) -> bool {
    !case.scenario.client.iter().any(Step::asks_for_trailers)
        && matches!(difference, Difference::Seen { field, ours, .. }
            if field == "trailers" && ours.is_null())
}
