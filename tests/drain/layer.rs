//! What the layer does, without sockets.

use std::{
    convert::Infallible,
    future::{Future, pending, poll_fn, ready},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lifecycle::{
    inflight::{
        Drain, DrainLayer, InFlight,
        drain::{CutShort, DrainBody, DrainFuture, Draining},
    },
    testing::{BoxError, EndClaim, HintClaim, MockBody, Step},
};

use crate::rig::{Polled, Rig, SECOND};

static_assertions::assert_impl_all!(Drain: Clone, Send, Sync, std::fmt::Debug);
static_assertions::assert_impl_all!(DrainLayer: Clone, Send, Sync, std::fmt::Debug);
static_assertions::assert_impl_all!(Draining<()>: Clone, Send, Sync, Unpin);
static_assertions::assert_impl_all!(DrainBody<MockBody>: Send, Sync, Unpin);
static_assertions::assert_impl_all!(DrainFuture<std::future::Ready<()>>: Send, Sync, Unpin);
static_assertions::assert_not_impl_any!(DrainBody<std::rc::Rc<()>>: Send, Sync);

/// What a service behind the layer answers to one request.
async fn refused(drain: &Drain, request: Request<()>) -> Response<DrainBody<Empty<Bytes>>> {
    let inner = service_fn(async |_: Request<()>| -> Result<Response<Empty<Bytes>>, Infallible> {
        panic!("it is not to be called")
    });
    drain.layer().layer(inner).oneshot(request).await.unwrap()
}

#[tokio::test]
async fn once_it_has_begun_requests_are_refused() {
    let drain = Drain::new(&InFlight::new()).retry_after(Duration::from_millis(1200));
    drop(drain.run(SECOND));
    let http1 = [Version::HTTP_10, Version::HTTP_11];
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3] {
        let request = Request::get("/").version(version).body(()).unwrap();
        let response = refused(&drain, request).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2", "rounded up");
        let close = response.headers().get(header::CONNECTION).map(|it| it.to_str().unwrap());
        assert_eq!(close, http1.contains(&version).then_some("close"), "{version:?}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        assert!(!response.body().is_end_stream());
        let hint = response.body().size_hint().exact();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(hint, Some(text.len() as u64));
        assert_eq!(text, "The server is shutting down. Try again later.\n");
    }
    assert_eq!(drain.run(SECOND).await.refused, 4);
}

#[tokio::test]
async fn a_refusal_of_head_has_no_body() {
    let drain = Drain::new(&InFlight::new());
    drop(drain.run(SECOND));
    let request = Request::builder().method(Method::HEAD).body(()).unwrap();
    let response = refused(&drain, request).await;
    assert!(response.body().is_end_stream());
    assert_eq!(response.headers()[header::RETRY_AFTER], "5");
}

#[tokio::test]
async fn who_waits_for_a_service_to_be_ready_is_refused_when_it_begins() {
    struct Busy;

    impl Service<Request<()>> for Busy {
        type Response = Response<Empty<Bytes>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Pending
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            panic!("it is not ready")
        }
    }

    let drain = Drain::new(&InFlight::new());
    let mut service = Polled::new(drain.layer().layer(Busy).oneshot(Request::new(())));
    assert!(service.poll().is_none());
    drop(drain.run(SECOND));
    assert_eq!(service.wakes(), 1);
    let response = service.poll().unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// Runs a drain that has no patience.
async fn cancel(drain: &Drain) {
    drain.run(Duration::ZERO).await;
}

#[tokio::test]
async fn a_handler_that_is_pending_is_dropped_and_answered_for() {
    struct Dropped(Arc<AtomicBool>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    let drain = Drain::new(&InFlight::new());
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = Arc::clone(&dropped);
    let service = service_fn(move |_: Request<()>| {
        let guard = Dropped(Arc::clone(&guard));
        async move {
            let _guard = guard;
            pending::<Result<Response<Empty<Bytes>>, Infallible>>().await
        }
    });
    let mut request = Polled::new(drain.layer().layer(service).oneshot(Request::new(())));
    assert!(request.poll().is_none());
    assert!(request.poll().is_none());
    drop(drain.run(SECOND));
    assert!(request.poll().is_none(), "it goes on");
    assert_eq!(request.wakes(), 0);
    cancel(&drain).await;
    assert_eq!(request.wakes(), 1);
    let response = request.poll().unwrap().unwrap();
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::CONNECTION], "close");
}

#[tokio::test]
async fn what_is_ready_when_it_is_cancelled_is_answered() {
    let drain = Drain::new(&InFlight::new());
    let mut calls = 0;
    let mut service = drain.layer().layer(service_fn(move |_: Request<()>| {
        let mut polls = calls;
        calls += 1;
        poll_fn(move |_| {
            polls += 1;
            if polls < 2 {
                Poll::Pending
            } else {
                Poll::Ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done"))))
            }
        })
    }));
    let mut request = Polled::new(service.ready().await.unwrap().call(Request::new(())));
    assert!(request.poll().is_none());
    cancel(&drain).await;
    let response = request.poll().unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "done");
}

async fn body<B>(drain: &Drain, body: B, version: Version) -> DrainBody<B>
where
    B: Body + Clone + Send + 'static,
{
    let service =
        service_fn(move |_: Request<()>| ready(Ok::<_, Infallible>(Response::new(body.clone()))));
    let request = Request::builder().version(version).body(()).unwrap();
    drain.layer().layer(service).oneshot(request).await.unwrap().into_body()
}

fn poll(
    body: &mut (impl Body<Data = Bytes, Error = BoxError> + Unpin),
) -> Poll<Option<Result<Bytes, BoxError>>> {
    let polled = pin!(body).poll_frame(&mut Context::from_waker(Waker::noop()));
    polled.map(|it| it.map(|it| it.map(|frame| frame.into_data().unwrap_or_default())))
}

#[tokio::test]
async fn a_body_that_is_not_over_fails_and_is_dropped() {
    for steps in [&[Step::Data(5), Step::Never][..], &[Step::Data(5), Step::Data(5), Step::Data(5)]]
    {
        let drain = Drain::new(&InFlight::new());
        let inner = MockBody::new(steps).streamed();
        let mut body = body(&drain, inner, Version::HTTP_11).await;
        assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(_)))));
        assert_eq!(body.size_hint().exact(), None);
        cancel(&drain).await;
        let Poll::Ready(Some(Err(error))) = poll(&mut body) else { panic!("it does not fail") };
        assert!(error.is::<CutShort>());
        assert!(body.is_end_stream());
        assert!(matches!(poll(&mut body), Poll::Ready(None)), "once it has failed it is over");
    }
}

#[tokio::test]
async fn a_body_that_comes_to_its_end_just_then_is_whole() {
    let ends = [
        MockBody::new(&[Step::Data(5), Step::Data(5)]),
        // It does not say which frame is the last, only how much is left.
        MockBody::new(&[Step::Data(5), Step::Data(5)]).end(EndClaim::Never),
        MockBody::new(&[Step::Data(5)]).streamed(),
        MockBody::new(&[Step::Data(5), Step::Trailers]).streamed(),
        MockBody::new(&[Step::Data(5), Step::Error]).streamed(),
    ];
    for inner in ends {
        let drain = Drain::new(&InFlight::new());
        let mut expected = inner.clone();
        let mut body = body(&drain, inner, Version::HTTP_11).await;
        let _ = (poll(&mut body), poll(&mut expected));
        cancel(&drain).await;
        let (passed, expected) = (poll(&mut body), poll(&mut expected));
        assert_eq!(format!("{passed:?}"), format!("{expected:?}"));
    }
}

/// The end of the connection is the end of such a body: if it broke, it would look complete.
#[tokio::test]
async fn a_body_of_http_1_0_without_a_length_is_left_to_the_connection() {
    for (inner, fails) in [
        (MockBody::hangs_after(1), false),
        (MockBody::new(&[Step::Data(5), Step::Never]).hint(HintClaim::Exact(10)), true),
    ] {
        let drain = Drain::new(&InFlight::new());
        let mut body = body(&drain, inner, Version::HTTP_10).await;
        let _ = poll(&mut body);
        cancel(&drain).await;
        assert_eq!(poll(&mut body).is_ready(), fails);
    }
}

#[tokio::test]
async fn frames_hints_and_errors_pass_as_they_are() {
    let drain = Drain::new(&InFlight::new());
    let steps = [Step::Data(5), Step::Pending, Step::Data(7), Step::Trailers];
    for inner in [
        MockBody::new(&steps),
        MockBody::new(&steps).streamed(),
        MockBody::new(&steps).end(EndClaim::Never),
        MockBody::fails_after(1),
        MockBody::empty(),
    ] {
        let mut expected = inner.clone();
        let mut body = body(&drain, inner, Version::HTTP_11).await;
        for _ in 0..6 {
            assert_eq!(body.is_end_stream(), expected.is_end_stream());
            assert_eq!(format!("{:?}", body.size_hint()), format!("{:?}", expected.size_hint()));
            let (passed, expected) = (poll(&mut body), poll(&mut expected));
            assert_eq!(format!("{passed:?}"), format!("{expected:?}"));
            if matches!(passed, Poll::Ready(None | Some(Err(_)))) {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_wait_that_moves_to_another_task_wakes_that_one_alone() {
    let rig = Rig::new();
    let mut request = rig.begin("/never");
    let other = Polled::new(pending::<()>());
    let waker = other.waker();
    assert!(request.poll_by(&waker).is_none());
    cancel(&rig.drain).await;
    assert_eq!((request.wakes(), other.wakes()), (0, 1));
}

#[tokio::test]
async fn a_waker_that_panics_keeps_nobody_from_being_woken() {
    struct Panics;

    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("it is not to be woken");
        }
    }

    let drain = Drain::new(&InFlight::new());
    // More than one on each list.
    let mut waiting: Vec<_> = (0..200).map(|_| Polled::new(drain.begun())).collect();
    for (n, wait) in waiting.iter_mut().enumerate() {
        let own = wait.waker();
        let waker = if n % 2 == 0 { Waker::from(Arc::new(Panics)) } else { own };
        assert!(wait.poll_by(&waker).is_none());
    }
    let run = drain.run(SECOND);
    assert!(waiting.iter().skip(1).step_by(2).all(|wait| wait.wakes() == 1));
    drop(run);
}

#[tokio::test]
async fn ten_thousand_who_wait_are_woken_once_each_and_those_who_left_are_not() {
    let rig = Rig::new();
    let mut waiting: Vec<_> = (0..10_000).map(|_| rig.begin("/never")).collect();
    let left: Vec<_> = waiting.drain(..5000).map(|request| request.waker()).collect();
    let report = rig.drain.run(Duration::ZERO).await;
    assert_eq!(report.cancelled.len(), 5000);
    assert!(waiting.iter().all(|request| request.wakes() == 1));
    drop(left);
    for mut request in waiting {
        assert_eq!(request.poll().unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(rig.inflight.is_idle());
}

#[tokio::test]
async fn a_stream_can_end_by_itself_when_it_begins() {
    let drain = Drain::new(&InFlight::new());
    let (mut early, mut unpolled) = (Polled::new(drain.begun()), Polled::new(drain.begun()));
    assert!(early.poll().is_none());
    assert!(!drain.is_draining());
    let run = drain.run(SECOND);
    assert!(drain.is_draining(), "at the call");
    assert_eq!(early.wakes(), 1);
    assert!(early.poll().is_some() && unpolled.poll().is_some());
    assert!(Polled::new(drain.begun()).poll().is_some());
    drop(run);
}

#[test]
#[should_panic(expected = "Tokio 1.x runtime")]
fn outside_of_a_runtime_a_drain_begins_and_says_what_it_lacks() {
    let drain = Drain::new(&InFlight::new());
    let mut run = Polled::new(drain.run(SECOND));
    assert!(drain.is_draining());
    let _ = run.poll();
}

/// As tonic and hyper have them: bodies of another error, which is not an axum body.
#[tokio::test]
async fn it_goes_around_services_of_any_kind() {
    fn served<S, B>(_: S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
    }

    let drain = Drain::new(&InFlight::new());
    served(drain.layer().layer(service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    })));
    served(drain.layer().layer(service_fn(async |_: Request<Full<Bytes>>| {
        let frames =
            futures_util::stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>();
        Ok::<_, BoxError>(Response::new(StreamBody::new(frames)))
    })));
}

#[tokio::test]
async fn a_request_that_does_not_wait_allocates_nothing_more() {
    let drain = Drain::new(&InFlight::new());
    let mut service = drain.layer().layer(service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello")))))
    }));
    let allocated = allocation_counter::measure(|| {
        let mut reply = pin!(service.call(Request::new(())));
        let polled = reply.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(response)) = polled else { panic!("it is not ready") };
        let mut body = response.into_body();
        assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(_)))));
    });
    assert_eq!(allocated.count_total, 0);
}
