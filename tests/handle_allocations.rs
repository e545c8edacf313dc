//! What a handle, its waiters and its callbacks allocate, in memory and without a runtime.

mod support;

use std::{
    convert::Infallible,
    future::{self, Future},
    pin::{Pin, pin},
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use tower::service_fn;
use tower_layer::Layer;
use tower_lifecycle::{
    ExchangeHandle, Interest, LifecycleLayer, Listener, Observer, RequestBody, RequestHead,
};
use tower_service::Service;

use support::polls::{data, now, read};

/// Two frames of four bytes, without an allocation.
#[derive(Default)]
struct Frames(u8);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0 += 1;
        Poll::Ready((self.0 <= 2).then(|| Ok(Frame::data(data(4)))))
    }
}

/// Hears what it asks for, and does nothing with it.
struct Hears(Interest);
struct Hearing;

impl Observer for Hears {
    type State = Hearing;

    fn interest(&self) -> Interest {
        self.0
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<Hearing> {
        Some(Hearing)
    }
}

impl Listener for Hearing {}

/// Does something with the handle, if there is one, between the end of the request and the response.
fn handler<B>(
    request: Request<B>,
    with: impl FnOnce(Option<&ExchangeHandle>),
) -> future::Ready<Result<Response<Frames>, Infallible>>
where
    B: Body<Data = Bytes>,
{
    let (parts, body) = request.into_parts();
    assert_eq!(read(body).ok(), Some(8));
    with(parts.extensions.get());
    future::ready(Ok(Response::new(Frames::default())))
}

/// Allocations of an exchange, and how many of them are alive after it.
fn exchange<O: Observer>(
    layer: &LifecycleLayer<O>,
    with: impl Fn(Option<&ExchangeHandle>),
) -> (u64, i64) {
    exchange_with(layer, with, false)
}

/// With a request that has extensions, or without.
fn exchange_with<O: Observer>(
    layer: &LifecycleLayer<O>,
    with: impl Fn(Option<&ExchangeHandle>),
    extended: bool,
) -> (u64, i64) {
    let mut service =
        layer.layer(service_fn(|request: Request<RequestBody<Frames>>| handler(request, &with)));
    let mut run = || {
        let mut request = Request::new(Frames::default());
        *request.method_mut() = Method::POST;
        if extended {
            request.extensions_mut().insert("an extension");
            // Dropped with the request, but made before.
            let _ = request.extensions_mut().insert(1_u8);
        }
        measure(|| {
            let response = now(service.call(request)).unwrap();
            assert_eq!(read(response.into_body()).ok(), Some(8));
        })
    };
    // The first may make what lasts.
    run();
    let counted = run();
    (counted.count_total, counted.count_current)
}

fn nothing(_: Option<&ExchangeHandle>) {}

/// Beyond what the exchange itself allocates for an observer: its own, and its insertion into the extensions, which is one, and
/// two more for their map and its table, which a server has usually made before.
#[test]
fn a_handle_is_one_allocation_and_its_insertion_into_the_extensions() {
    for interest in [Interest::CLOSE, Interest::DEFAULT - Interest::URI] {
        let observed = LifecycleLayer::new(Hears(interest));
        let with = LifecycleLayer::new(Hears(interest)).with_handle();
        assert_eq!(exchange_with(&observed, nothing, false).0, 1, "{interest:?}");
        assert_eq!(exchange_with(&observed, nothing, true).0, 1, "{interest:?}");
        assert_eq!(exchange_with(&with, nothing, true).0, 1 + 1 + 1, "{interest:?}");
        assert_eq!(exchange_with(&with, nothing, false), (1 + 1 + 3, 0), "all of it is given back");
    }
}

/// An exchange that nobody observes is one allocation, as soon as there are handles.
#[test]
fn with_a_handle_and_nobody_who_observes_there_is_an_exchange_all_the_same() {
    assert_eq!(exchange(&LifecycleLayer::new(()), nothing), (0, 0));
    let layer = LifecycleLayer::new(()).with_handle();
    assert_eq!(exchange_with(&layer, nothing, true).0, 3);
}

fn polled<F: Future>(future: Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// A waiter is a place in its own future.
#[test]
fn a_waiter_allocates_nothing() {
    let layer = LifecycleLayer::new(()).with_handle();
    let waits = |handle: Option<&ExchangeHandle>| {
        let handle = handle.unwrap();
        let mut closed = pin!(handle.closed());
        assert!(!polled(closed.as_mut()) && !polled(closed.as_mut()));
        let mut finished = pin!(handle.finished());
        let mut disconnected = pin!(handle.disconnected());
        assert!(!polled(finished.as_mut()) && !polled(disconnected.as_mut()));
    };
    assert_eq!(exchange(&layer, waits), exchange(&layer, nothing));
}

#[test]
fn looking_and_cloning_allocate_nothing() {
    let layer = LifecycleLayer::new(()).with_handle();
    let looks = |handle: Option<&ExchangeHandle>| {
        let handle = handle.unwrap().clone();
        let _ =
            (handle.id(), handle.stage(), handle.request_progress(), handle.response_progress());
        let _ = (handle.close_reason(), handle.disconnect_watch());
    };
    assert_eq!(exchange(&layer, looks), exchange(&layer, nothing));
}

/// Hundreds that wait are woken, without an allocation for any.
#[test]
fn waking_many_allocates_nothing() {
    let kept = Mutex::new(None);
    let layer = LifecycleLayer::new(()).with_handle();
    let mut service = layer.layer(service_fn(|request: Request<RequestBody<Frames>>| {
        *kept.lock().unwrap() = request.extensions().get::<ExchangeHandle>().cloned();
        future::pending::<Result<Response<Frames>, Infallible>>()
    }));
    let mut request = Request::new(Frames::default());
    *request.method_mut() = Method::POST;
    let future = service.call(request);
    let handle = kept.lock().unwrap().clone().unwrap();
    let mut waiters: Vec<_> = (0..500).map(|_| Box::pin(handle.closed())).collect();
    let waiting = measure(|| assert!(!waiters.iter_mut().any(|waiter| polled(waiter.as_mut()))));
    let closing = measure(|| drop(future));
    let ready = measure(|| assert!(waiters.iter_mut().all(|waiter| polled(waiter.as_mut()))));
    assert_eq!((waiting.count_total, closing.count_total, ready.count_total), (0, 0, 0));
}

/// How many allocations a handle that is kept keeps, of an exchange in which this was done with it.
fn left(with: impl Fn(&ExchangeHandle)) -> i64 {
    let kept = Mutex::new(None);
    let layer = LifecycleLayer::new(Hears(Interest::CLOSE)).with_handle();
    exchange(&layer, |handle| {
        with(handle.unwrap());
        *kept.lock().unwrap() = handle.cloned();
    });
    -measure(|| drop(kept.lock().unwrap().take())).count_current
}

#[test]
fn a_handle_that_is_kept_is_one_allocation() {
    assert_eq!(left(|_| ()), 1);
}

#[test]
fn after_the_close_nothing_is_left_of_callbacks() {
    assert_eq!(left(|handle| handle.on_close(|_| ()).unwrap().keep()), 1);
    assert_eq!(left(|handle| drop(handle.on_close(|_| ()))), 1);
}
