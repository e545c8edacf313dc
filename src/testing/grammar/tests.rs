//! A recording for each rule that breaks it, so that none is empty.

use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};

use super::{Hook, Is, RULES, Recording};
use crate::{
    Disconnect, Evidence, Finish, Interest, LifecycleLayer, Mark, Reason, RequestBody,
    RequestClose,
    exchange::Marks,
    testing::{BoxError, MockBody, Recorder},
};

/// Reads the request and answers with `reply`, of which everything is read.
async fn record(request: MockBody, reply: MockBody, interest: Interest) -> Recording {
    let recorder = Recorder::with_interest(interest);
    let service = service_fn(async |request: Request<RequestBody<MockBody>>| {
        let _ = request.into_body().collect().await;
        Ok::<_, BoxError>(Response::new(reply.clone()))
    });
    let service = LifecycleLayer::new(recorder.clone()).layer(service);
    if let Ok(response) = service.oneshot(Request::new(request)).await {
        let _ = response.into_body().collect().await;
    }
    recorder.exchanges().remove(0)
}

/// `begin req.data req.data req.end req.close response res.data res.data res.end finish close`.
async fn ordinary() -> Recording {
    let body = MockBody::stream(2);
    record(body.clone(), body, Interest::ALL).await
}

/// `begin req.data req.data req.error req.close response res.data res.data res.error close`.
async fn failing() -> Recording {
    let body = MockBody::fails_after(2);
    record(body.clone(), body, Interest::ALL).await
}

impl Recording {
    fn place(&self, is: Is) -> usize {
        self.hooks.iter().position(is).expect("it was called")
    }

    fn swap(mut self, one: Is, other: Is) -> Self {
        let places = (self.place(one), self.place(other));
        self.hooks.swap(places.0, places.1);
        self
    }

    fn without(mut self, is: Is) -> Self {
        self.hooks.retain(|hook| !is(hook));
        self
    }

    /// The first of a kind once more, right behind itself.
    fn twice(mut self, is: Is) -> Self {
        let place = self.place(is);
        self.hooks.insert(place, self.hooks[place].clone());
        self
    }

    /// Puts `hook` before the first of a kind.
    fn put(mut self, hook: Hook, before: Is) -> Self {
        let place = self.place(before);
        self.hooks.insert(place, hook);
        self
    }

    fn change(mut self, change: fn(&mut Hook)) -> Self {
        self.hooks.iter_mut().for_each(change);
        self
    }

    fn taken(&self, is: Is) -> Hook {
        self.hooks[self.place(is)].clone()
    }
}

fn gone() -> Hook {
    Hook::Disconnect(Disconnect { reason: Reason::Reset, evidence: Evidence::Io })
}

/// Changes the summary.
macro_rules! summary {
    ($recording:expr, |$summary:ident| $change:expr) => {
        $recording.change(|hook| {
            if let Hook::Close($summary) = hook {
                $change;
            }
        })
    };
}

#[rustfmt::skip]
async fn breakers() -> Vec<(&'static str, Recording)> {
    let (good, bad) = (ordinary().await, failing().await);
    let good = || good.clone();
    let bad = || bad.clone();
    let deaf = record(MockBody::empty(), MockBody::empty(), Interest::ALL - Interest::DATA).await;
    vec![
        ("every hook was asked for", deaf),
        ("begin is first and once", good().without(super::is_begin)),
        ("begin is first and once", good().twice(super::is_begin)),
        ("begin is first and once", good().swap(super::is_begin, super::is_request_data)),
        ("begin is first and once", [].into_iter().collect()),
        ("close is last and once", good().without(super::is_close)),
        ("close is last and once", good().twice(super::is_close)),
        ("close is last and once", good().swap(super::is_close, super::is_finish)),
        ("request_close is exactly once", good().without(super::is_request_close)),
        ("request_close is exactly once", good().twice(super::is_request_close)),
        ("the request ends or fails at most once", good().twice(super::is_request_end)),
        ("the request ends or fails at most once", good().put(bad().taken(super::is_request_error), super::is_request_close)),
        ("the response ends or fails at most once", good().twice(super::is_response_end)),
        ("the response ends or fails at most once", good().put(bad().taken(super::is_response_error), super::is_finish)),
        ("response is at most once", good().twice(super::is_response)),
        ("finish is at most once", good().twice(super::is_finish)),
        ("request data comes before its end, error and close", good().swap(super::is_request_data, super::is_request_end)),
        ("request data comes before its end, error and close", bad().swap(super::is_request_data, super::is_request_error)),
        ("request data comes before its end, error and close",
            good().without(super::is_request_end).swap(super::is_request_data, super::is_request_close)),
        ("request_close comes after end or error", good().swap(super::is_request_end, super::is_request_close)),
        ("request_close comes after end or error", bad().swap(super::is_request_error, super::is_request_close)),
        ("a response body has a response", good().without(super::is_response)),
        ("a response body has a response", good().without(super::is_response).without(super::is_response_data)),
        ("the head is first of the response", good().swap(super::is_response, super::is_response_data)),
        ("the head is first of the response",
            bad().without(super::is_response_data).swap(super::is_response, super::is_response_error)),
        ("response data comes before its end or error", good().swap(super::is_response_data, super::is_response_end)),
        ("response data comes before its end or error", bad().swap(super::is_response_data, super::is_response_error)),
        ("finish comes after the end of the response", good().swap(super::is_response_end, super::is_finish)),
        ("finish comes after the end of the response", bad().put(Hook::Finish(Finish::Released), super::is_close)),
        ("disconnect is at most once, before the response is complete", good().put(gone(), super::is_response).put(gone(), super::is_response)),
        ("disconnect is at most once, before the response is complete", good().put(gone(), super::is_finish)),
        ("totals at the end are the sum of the data", good().twice(super::is_request_data)),
        ("totals at the end are the sum of the data", bad().twice(super::is_response_data)),
        ("totals at the end are the sum of the data",
            good().change(|hook| if let Hook::ResponseEnd(end) = hook { end.frames += 1 })),
        ("totals at the end are the sum of the data",
            bad().change(|hook| if let Hook::RequestError(failed) = hook { failed.bytes += 1 })),
        ("totals in the summary are the sum of the data", summary!(good(), |summary| summary.request.bytes += 1)),
        ("totals in the summary are the sum of the data", summary!(bad(), |summary| summary.response.frames += 1)),
        ("complete in the summary is what has ended", summary!(good(), |summary| summary.request.complete = false)),
        ("complete in the summary is what has ended", summary!(bad(), |summary| summary.response.complete = true)),
        ("request_close says how the request went, in the summary too",
            summary!(good(), |summary| summary.request_close = RequestClose::Partial)),
        ("request_close says how the request went, in the summary too",
            bad().change(|hook| match hook {
                Hook::RequestClose(close) => *close = RequestClose::Partial,
                Hook::Close(summary) => summary.request_close = RequestClose::Partial,
                _ => {}
            })),
        ("the summary has the status of the response",
            summary!(good(), |summary| summary.status = Some(StatusCode::CREATED))),
        ("the summary has the status of the response", summary!(bad(), |summary| summary.status = None)),
        ("a complete exchange has an end and no failure", summary!(bad(), |summary| summary.close.reason = Reason::Complete)),
        ("a complete exchange has an end and no failure", summary!(bad(), |summary| summary.close.reason = Reason::Upgraded)),
        ("what has happened is marked, and nothing else", good().without(super::is_finish)),
        ("what has happened is marked, and nothing else",
            summary!(good(), |summary| summary.marks = Marks::start(summary.marks.begin()))),
        ("no mark is later than the close", summary!(good(), |summary| {
            let begin = summary.marks.begin().expect("it was asked for");
            let mut marks = Marks::start(Some(begin));
            marks.set(Mark::Close, begin);
            for mark in Mark::ALL.iter().filter(|mark| **mark != Mark::Disconnect) {
                marks.set(*mark, begin + Duration::from_secs(1));
            }
            summary.marks = marks;
        })),
    ]
}

#[tokio::test]
async fn each_rule_is_broken_by_a_recording_that_keeps_those_before_it() {
    let breakers = breakers().await;
    for (rule, recording) in &breakers {
        let broken = std::panic::catch_unwind(|| recording.assert_grammar()).expect_err(rule);
        let said = broken.downcast_ref::<String>().expect("a message");
        assert!(said.starts_with(&format!("broken rule: {rule}: ")), "{rule:?} is not in {said}");
    }
    for (rule, _) in RULES {
        assert!(breakers.iter().any(|(broken, _)| broken == rule), "nothing breaks {rule:?}");
    }
}

#[tokio::test]
async fn the_recordings_that_are_broken_keep_all_rules_before() {
    ordinary().await.assert_grammar();
    failing().await.assert_grammar();
    let hooks = ordinary().await.hooks;
    hooks.into_iter().collect::<Recording>().assert_grammar();
}
