//! The span is closed once, when the exchange is.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Future as _, pending},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::mpsc,
    task::{Context, Poll, Waker},
    thread,
};

use http::{Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lifecycle::{LifecycleLayer, RequestBody, testing::MockBody, trace::Trace};
use tracing::{Dispatch, dispatcher};
use tracing_subscriber::layer::SubscriberExt;

use super::capture::{Body, Capture, Incoming, Span, exchange, failure, get, reply, text};

fn layer() -> LifecycleLayer<Trace> {
    LifecycleLayer::new(Trace::new())
}

/// Answers what the exchange came to.
#[track_caller]
fn assert_over(capture: &Capture) -> String {
    let span = capture.only();
    span.assert_closed();
    assert_eq!(capture.events().last(), Some(&"lifecycle.close"));
    let message = capture.event("lifecycle.close").values;
    text(&message, "message").to_owned()
}

#[tokio::test]
async fn it_is_open_until_the_response_is_complete() {
    let (capture, _guard) = Capture::start();
    let service = layer().layer(service_fn(async |_: Incoming| {
        Ok::<_, Infallible>(reply(200, MockBody::stream(2)))
    }));
    let response = service.oneshot(get("/")).await.unwrap();
    assert_eq!(capture.only().closed, 0);
    let mut body: Body = response.into_body();
    body.frame().await;
    assert_eq!(capture.only().closed, 0);
    body.collect().await.unwrap();
    assert!(assert_over(&capture).ends_with(", complete"));
}

#[tokio::test]
async fn it_is_entered_once_more_at_its_end() {
    let (capture, _guard) = Capture::start();
    exchange(layer(), get("/"), reply(200, MockBody::empty())).await;
    let entered = capture.only().entered;
    let span = capture.only();
    assert!(entered >= 2, "{span:?}");
    span.assert_closed();
}

#[tokio::test]
async fn a_task_that_holds_the_request_s_body_does_not_keep_it() {
    let (capture, _guard) = Capture::start();
    let (sender, mut bodies) = tokio::sync::mpsc::unbounded_channel();
    let service = layer().layer(service_fn(async |request: Incoming| {
        sender.send(request.into_body()).unwrap();
        Ok::<_, Infallible>(reply(200, MockBody::stream(1)))
    }));
    let request = Request::post("/").body(MockBody::stream(3)).unwrap();
    let response = service.oneshot(request).await.unwrap();
    let mut held = bodies.recv().await.unwrap();
    held.frame().await.unwrap().unwrap();
    response.into_body().collect().await.unwrap();
    assert_over(&capture);
    let entered = capture.only().entered;

    held.collect().await.unwrap();
    assert_over(&capture);
    assert_eq!(capture.only().entered, entered);
}

#[test]
fn a_thread_that_reads_the_request_while_the_exchange_ends_never_enters_a_closed_span() {
    use tracing_subscriber::layer::SubscriberExt;
    const ROUNDS: usize = 300;
    let capture = Capture::default();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(capture.clone()));
    let (sender, bodies) = mpsc::channel::<RequestBody<MockBody>>();
    let reader = thread::spawn(move || {
        for mut body in bodies {
            let mut cx = Context::from_waker(Waker::noop());
            while Pin::new(&mut body).poll_frame(&mut cx).map(|frame| frame.is_some())
                == Poll::Ready(true)
            {}
        }
    });
    tracing::dispatcher::with_default(&dispatch, || {
        let mut service = layer().layer(service_fn(async |request: Incoming| {
            sender.send(request.into_body()).unwrap();
            Ok::<_, Infallible>(reply(200, MockBody::empty()))
        }));
        for _ in 0..ROUNDS {
            let request = Request::post("/").body(MockBody::stream(20)).unwrap();
            let future = pin!(service.call(request));
            assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
        drop(service);
    });
    drop(sender);
    reader.join().unwrap();
    let spans = capture.named("HTTP request");
    assert_eq!(spans.len(), ROUNDS);
    spans.iter().for_each(Span::assert_closed);
}

#[tokio::test]
async fn an_error_of_the_service_closes_it() {
    let (capture, _guard) = Capture::start();
    failure(layer(), get("/")).await;
    assert!(assert_over(&capture).ends_with(", service_failed in handler"));
}

#[tokio::test]
async fn an_upgrade_closes_it() {
    let (capture, _guard) = Capture::start();
    exchange(layer(), get("/"), reply(101, MockBody::empty())).await;
    assert!(assert_over(&capture).ends_with(", upgraded"));
}

#[test]
fn a_drop_closes_it() {
    for polled in [false, true] {
        let (capture, _guard) = Capture::start();
        let mut service = layer().layer(service_fn(async |_: Incoming| {
            pending::<Result<Response<MockBody>, Infallible>>().await
        }));
        let mut future = Box::pin(service.call(get("/")));
        if polled {
            assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(future);
        assert!(assert_over(&capture).ends_with(", unknown in handler"));
    }
}

#[test]
fn a_panic_closes_it() {
    let (capture, _guard) = Capture::start();
    let mut service = layer().layer(service_fn(async |_: Incoming| {
        std::panic::panic_any("on purpose");
        #[expect(unreachable_code)]
        Ok::<_, Infallible>(reply(200, MockBody::empty()))
    }));
    let mut future = Box::pin(service.call(get("/")));
    let mut cx = Context::from_waker(Waker::noop());
    catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx).is_ready())).unwrap_err();
    drop(future);
    assert!(assert_over(&capture).ends_with(", panicked in handler"));
    assert_eq!(capture.only().text("error.type"), "panicked");
}

#[test]
fn a_client_that_is_cancelled_by_its_caller_is_no_error() {
    let (capture, _guard) = Capture::start();
    let mut service = layer().client().layer(service_fn(async |_: Incoming| {
        pending::<Result<Response<MockBody>, Infallible>>().await
    }));
    drop(service.call(get("http://example.com/")));
    assert!(assert_over(&capture).starts_with("GET example.com/ - in "));
    let span = capture.only();
    assert_eq!(span.text("tower_lifecycle.outcome"), "cancelled");
    assert!(
        !span.values.contains_key("error.type") && !span.values.contains_key("otel.status_code")
    );
}

thread_local! {
    /// What is dropped when a thread ends.
    static KEPT: RefCell<Option<Body>> = const { RefCell::new(None) };
}

#[test]
fn an_exchange_that_a_thread_drops_at_its_very_end_is_told_and_leaves_nothing_entered() {
    let capture = Capture::default();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(capture.clone()));
    let layer = layer();
    let traced = layer.clone();
    thread::spawn(move || {
        let _guard = dispatcher::set_default(&dispatch);
        // The last that was first used is the first that is dropped: the subscriber's outlive it, ours do not.
        tracing::info_span!("before").in_scope(|| {});
        KEPT.set(None);
        let service = traced.layer(service_fn(async |_: Incoming| {
            Ok::<_, Infallible>(reply(200, MockBody::stream(2)))
        }));
        let response = pin!(service.oneshot(get("/")));
        let Poll::Ready(response) = response.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("it is pending");
        };
        KEPT.set(Some(response.unwrap().into_body()));
    })
    .join()
    .unwrap();
    assert!(assert_over(&capture).ends_with(", unknown in response"));
    assert_eq!(layer.observer_panics(), 0);
}
