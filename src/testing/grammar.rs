//! The oracle: the one place that says which hooks, in which order and with which contents, are right.

use super::Recording;
use crate::{EventKind as Hook, Interest, Mark, RequestClose, Summary};

/// A rule, by its name.
type Rule = (&'static str, fn(&Recording) -> bool);

/// Later rules rely on earlier ones.
const RULES: &[Rule] = &[
    // Order.
    ("every hook was asked for", |it| it.interest.contains(HOOKS)),
    ("begin is first and once", |it| {
        it.hooks.first().is_some_and(is_begin) && it.count(is_begin) == 1
    }),
    ("close is last and once", |it| {
        it.hooks.last().is_some_and(is_close) && it.count(is_close) == 1
    }),
    ("request_close is exactly once", |it| it.count(is_request_close) == 1),
    ("the request ends or fails at most once", |it| it.count(is_request_over) <= 1),
    ("the response ends or fails at most once", |it| it.count(is_response_over) <= 1),
    ("response is at most once", |it| it.count(is_response) <= 1),
    ("finish is at most once", |it| it.count(is_finish) <= 1),
    ("request data comes before its end, error and close", |it| {
        it.before(is_request_data, is_request_over) && it.before(is_request_data, is_request_close)
    }),
    ("request_close comes after end or error", |it| it.before(is_request_over, is_request_close)),
    ("a response body has a response", |it| {
        it.has(is_response) || !it.has(is_response_data) && !it.has(is_response_end)
    }),
    ("the head is first of the response", |it| {
        it.before(is_response, is_response_data) && it.before(is_response, is_response_over)
    }),
    ("response data comes before its end or error", |it| {
        it.before(is_response_data, is_response_over)
    }),
    ("finish comes after the end of the response", |it| {
        !it.has(is_finish) || it.has(is_response_end) && it.before(is_response_end, is_finish)
    }),
    ("disconnect is at most once, before the response is complete", |it| {
        it.count(is_disconnect) <= 1 && it.before(is_disconnect, is_response_end)
    }),
    // Contents.
    ("totals at the end are the sum of the data", |it| {
        let (request, response) = (it.passed(request_data), it.passed(response_data));
        it.hooks.iter().all(|hook| match hook {
            Hook::RequestEnd(end) => (end.bytes, end.frames) == request,
            Hook::RequestError(failed) => (failed.bytes, failed.frames) == request,
            Hook::ResponseEnd(end) => (end.bytes, end.frames) == response,
            Hook::ResponseError(failed) => (failed.bytes, failed.frames) == response,
            _ => true,
        })
    }),
    ("totals in the summary are the sum of the data", |it| {
        it.sums(|Summary { request, response, .. }| {
            (request.bytes, request.frames) == it.passed(request_data)
                && (response.bytes, response.frames) == it.passed(response_data)
        })
    }),
    ("complete in the summary is what has ended", |it| {
        it.sums(|Summary { request, response, .. }| {
            request.complete == it.has(is_request_end)
                && response.complete == it.has(is_response_end)
        })
    }),
    ("request_close says how the request went, in the summary too", |it| {
        it.sums(|summary| {
            let closed = it.hooks.iter().any(
                |hook| matches!(hook, Hook::RequestClose(close) if *close == summary.request_close),
            );
            let complete = summary.request_close == RequestClose::Complete;
            let failed = summary.request_close == RequestClose::Failed;
            closed && complete == it.has(is_request_end) && failed == it.has(is_request_error)
        })
    }),
    ("the summary has the status of the response", |it| {
        it.sums(|summary| {
            summary.status
                == it.hooks.iter().find_map(|hook| match hook {
                    Hook::Response(status) => Some(*status),
                    _ => None,
                })
        })
    }),
    ("a complete exchange has an end and no failure", |it| {
        let complete = it.sums(|summary| summary.close.reason.is_complete());
        let failed = it.has(is_request_error) || it.has(is_response_error);
        !complete || it.has(is_response_end) && !failed
    }),
    ("what has happened is marked, and nothing else", |it| {
        it.sums(|Summary { marks, .. }| {
            marks.begin().is_none()
                || MARKED.iter().all(|(mark, is)| marks.get(*mark).is_some() == it.has(*is))
        })
    }),
    ("no mark is later than the close", |it| {
        it.sums(|Summary { marks, .. }| {
            marks.iter().all(|(_, at)| Some(at) <= marks.get(Mark::Close))
        })
    }),
];

/// Every hook of a listener.
const HOOKS: Interest = Interest::DATA
    .union(Interest::REQUEST_END)
    .union(Interest::REQUEST_ERROR)
    .union(Interest::REQUEST_CLOSE)
    .union(Interest::RESPONSE)
    .union(Interest::RESPONSE_END)
    .union(Interest::RESPONSE_ERROR)
    .union(Interest::DISCONNECT)
    .union(Interest::FINISH)
    .union(Interest::CLOSE);

const MARKED: &[(Mark, Is)] = &[
    (Mark::Disconnect, is_disconnect),
    (Mark::RequestData, is_request_data),
    (Mark::RequestEnd, is_request_over),
    (Mark::RequestClose, is_request_close),
    (Mark::Response, is_response),
    (Mark::ResponseData, is_response_data),
    (Mark::ResponseEnd, is_response_over),
    (Mark::Finish, is_finish),
    (Mark::Close, is_close),
];

/// The first rule that does not hold.
pub(super) fn broken_rule(recording: &Recording) -> Option<&'static str> {
    RULES.iter().find(|(_, holds)| !holds(recording)).map(|(name, _)| *name)
}

/// A kind of hook.
type Is = fn(&Hook) -> bool;

macro_rules! kinds {
    ($($name:ident: $pattern:pat,)+) => {$(
        fn $name(hook: &Hook) -> bool {
            matches!(hook, $pattern)
        }
    )+};
}

kinds! {
    is_begin: Hook::Begin { .. },
    is_disconnect: Hook::Disconnect(_),
    is_request_data: Hook::RequestData(_),
    is_request_end: Hook::RequestEnd(_),
    is_request_error: Hook::RequestError(_),
    is_request_over: Hook::RequestEnd(_) | Hook::RequestError(_),
    is_request_close: Hook::RequestClose(_),
    is_response: Hook::Response(_),
    is_response_data: Hook::ResponseData(_),
    is_response_end: Hook::ResponseEnd(_),
    is_response_error: Hook::ResponseError(_),
    is_response_over: Hook::ResponseEnd(_) | Hook::ResponseError(_),
    is_finish: Hook::Finish(_),
    is_close: Hook::Close(_),
}

/// Bytes and frames.
type Passed = (u64, u64);

fn request_data(hook: &Hook) -> Option<Passed> {
    if let Hook::RequestData(data) = hook { Some((data.bytes, data.frames)) } else { None }
}

fn response_data(hook: &Hook) -> Option<Passed> {
    if let Hook::ResponseData(data) = hook { Some((data.bytes, data.frames)) } else { None }
}

impl Recording {
    fn count(&self, is: Is) -> usize {
        self.hooks.iter().filter(|hook| is(hook)).count()
    }

    fn has(&self, is: Is) -> bool {
        self.hooks.iter().any(is)
    }

    /// Whether all hooks of one kind come before all of the other.
    fn before(&self, first: Is, second: Is) -> bool {
        match (self.hooks.iter().rposition(first), self.hooks.iter().position(second)) {
            (Some(last), Some(next)) => last < next,
            _ => true,
        }
    }

    fn passed(&self, of: fn(&Hook) -> Option<Passed>) -> Passed {
        self.hooks.iter().filter_map(of).fold((0, 0), |sum, data| (sum.0 + data.0, sum.1 + data.1))
    }

    /// What is said of the summary.
    fn sums(&self, holds: impl FnOnce(&Summary) -> bool) -> bool {
        self.summary().is_some_and(holds)
    }
}

#[cfg(test)]
mod tests;
