//! What a handler says is said inside the exchange's span.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lifecycle::{LifecycleLayer, RequestBody, testing::MockBody, trace::Trace};
use tracing::{Instrument, info, info_span};

use super::capture::{Capture, exchange, get, reply, text};

/// A body that says so when it is polled, and is not ready in between.
struct Telling(&'static str, u8);

impl Body for Telling {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        info!(place = self.0);
        self.1 += 1;
        match self.1 {
            1 => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"frame"))))),
            2 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(None),
        }
    }
}

/// Where what was said at a place was said.
fn places(capture: &Capture, place: &str) -> Vec<Option<u64>> {
    let seen = capture.seen();
    let here = |values: &super::capture::Values| {
        values.contains_key("place") && text(values, "place") == place
    };
    seen.events.iter().filter(|event| here(&event.values)).map(|event| event.span).collect()
}

#[tokio::test]
async fn the_handler_and_both_bodies_are_inside_at_every_await() {
    let (capture, _guard) = Capture::start();
    let service = LifecycleLayer::new(Trace::new()).layer(service_fn(
        |request: Request<RequestBody<Telling>>| {
            info!(place = "call");
            async {
                for _ in 0..3 {
                    info!(place = "handler");
                    tokio::task::yield_now().await;
                }
                async { info!(place = "own span") }.instrument(info_span!("query")).await;
                request.into_body().collect().await?;
                Ok::<_, Infallible>(Response::new(Telling("response", 0)))
            }
        },
    ));
    let response = service.oneshot(Request::new(Telling("request", 0))).await.unwrap();
    response.into_body().collect().await.unwrap();
    info!(place = "after");

    for (place, times) in [("call", 1), ("handler", 3), ("request", 3), ("response", 3)] {
        assert_eq!(places(&capture, place), vec![Some(0); times], "{place}");
    }
    let [query] = &capture.named("query")[..] else { panic!() };
    assert_eq!(query.parent, Some(0));
    assert_eq!(places(&capture, "own span"), [Some(1)]);
    assert_eq!(places(&capture, "after"), [None]);
    capture.only().assert_closed();
}

#[test]
fn exchanges_that_take_turns_in_a_thread_never_mix() {
    let (capture, _guard) = Capture::start();
    let mut service = LifecycleLayer::new(Trace::new()).layer(service_fn(
        async |request: Request<RequestBody<Empty<Bytes>>>| {
            let path = request.uri().path().to_owned();
            for _ in 0..3 {
                info!(place = path);
                tokio::task::yield_now().await;
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        },
    ));
    let mut call = |path: &str| service.call(Request::get(path).body(Empty::new()).unwrap());
    let (mut one, mut two) = (pin!(call("/one")), pin!(call("/two")));
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        assert!(one.as_mut().poll(&mut cx).is_pending());
        assert!(two.as_mut().poll(&mut cx).is_pending());
        info!(place = "between");
    }
    assert!(two.as_mut().poll(&mut cx).is_ready());
    assert!(one.as_mut().poll(&mut cx).is_ready());
    assert_eq!(places(&capture, "/one"), [Some(0); 3]);
    assert_eq!(places(&capture, "/two"), [Some(1); 3]);
    assert_eq!(places(&capture, "between"), [None; 3]);
    for event in &capture.seen().events {
        if event.name == "lifecycle.close" {
            let path = text(&event.values, "message").contains("/two");
            assert_eq!(event.span, Some(u64::from(path)));
        }
    }
}

#[test]
fn another_thread_goes_on_inside() {
    use tracing_subscriber::layer::SubscriberExt;
    let capture = Capture::default();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(capture.clone()));
    let mut service = LifecycleLayer::new(Trace::new()).layer(service_fn(
        async |_: Request<RequestBody<Empty<Bytes>>>| {
            info!(place = "first");
            tokio::task::yield_now().await;
            info!(place = "second");
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        },
    ));
    let mut future = tracing::dispatcher::with_default(&dispatch, || {
        let mut future = Box::pin(service.call(Request::new(Empty::new())));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        future
    });
    let there = dispatch.clone();
    std::thread::spawn(move || {
        tracing::dispatcher::with_default(&there, || {
            while future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
        });
    })
    .join()
    .unwrap();
    assert_eq!(places(&capture, "first"), [Some(0)]);
    assert_eq!(places(&capture, "second"), [Some(0)]);
    capture.only().assert_closed();
}

#[test]
fn hooks_in_a_thread_without_the_subscriber_are_told_to_that_of_the_span() {
    use tracing_subscriber::layer::SubscriberExt;
    let capture = Capture::default();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(capture.clone()));
    let layer = LifecycleLayer::new(Trace::new());
    let mut service = layer.layer(service_fn(async |_: super::capture::Incoming| {
        Ok::<_, Infallible>(reply(200, MockBody::empty()))
    }));
    let future = tracing::dispatcher::with_default(&dispatch, || service.call(get("/")));
    std::thread::spawn(move || drop(future)).join().unwrap();
    capture.only().assert_closed();
    assert_eq!(capture.event("lifecycle.close").span, Some(0));
}

#[tokio::test]
async fn the_span_is_inside_the_one_around_the_service() {
    let (capture, _guard) = Capture::start();
    let future =
        exchange(LifecycleLayer::new(Trace::new()), get("/"), reply(200, MockBody::stream(1)));
    future.instrument(info_span!("around")).await;
    assert_eq!(capture.only().parent, Some(0));
}
