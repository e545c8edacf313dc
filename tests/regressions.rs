//! What was once wrong, each as a test whose name says what holds.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use futures_util::FutureExt;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lifecycle::{
    End, ExchangeHandle, Interest, LifecycleLayer, Listener, Observer, Reason, RequestHead,
    Summary, observe,
    testing::{ManualClock, MockBody, Recorder, Step},
};

// ===== who waits =====

/// Calls a function when it is woken.
struct OnWake<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn waker(woken: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(OnWake(woken)))
}

fn register<F: Future + Unpin>(future: &mut F, waker: &Waker) {
    assert!(future.poll_unpin(&mut Context::from_waker(waker)).is_pending());
}

/// An exchange whose handler waits for ever, and its handle. Its drop closes it.
fn parked(layer: LifecycleLayer<()>) -> (impl Send, ExchangeHandle) {
    let handle = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&handle);
    let service = layer.with_handle().layer(service_fn(move |request: Request<_>| {
        *seen.lock().unwrap() = request.extensions().get::<ExchangeHandle>().cloned();
        drop::<Request<tower_lifecycle::RequestBody<MockBody>>>(request);
        std::future::pending::<Result<Response<MockBody>, Infallible>>()
    }));
    let mut future = Box::pin(service.oneshot(Request::new(MockBody::empty())));
    register(&mut future, Waker::noop());
    let handle = handle.lock().unwrap().take().expect("the handler was called");
    (future, handle)
}

#[test]
fn a_waker_that_panics_leaves_no_latch_unset() {
    let (exchange, handle) = parked(LifecycleLayer::new(()));
    let mut finished = Box::pin(handle.finished());
    register(&mut finished, &waker(|| panic!("a panic on purpose")));
    drop(exchange);
    assert!(handle.close_reason().is_some());
    assert_eq!(handle.finished().now_or_never(), Some(None));
    assert_eq!(handle.disconnected().now_or_never(), Some(None), "waits for ever");
}

#[test]
fn whoever_hears_that_it_closed_without_a_finish_finds_the_verdict() {
    let (exchange, handle) = parked(LifecycleLayer::new(()));
    let (mut finished, mut disconnected) =
        (Box::pin(handle.finished()), Box::pin(handle.disconnected()));
    let missing = Arc::new(AtomicBool::new(false));
    let (seen, view) = (Arc::clone(&missing), handle.clone());
    // What a task on another thread may see: it is runnable from now on.
    let looks = waker(move || {
        seen.fetch_or(view.close_reason().is_none(), Ordering::Relaxed);
    });
    register(&mut finished, &looks);
    register(&mut disconnected, &looks);
    drop(exchange);
    assert!(!missing.load(Ordering::Relaxed), "`None` without a verdict");
}

// ===== begin =====

/// Does something at `begin`.
struct AtBegin<F>(Interest, F);

impl<F: Fn(&RequestHead<'_>) + Send + Sync + 'static> Observer for AtBegin<F> {
    type State = Noted;

    fn interest(&self) -> Interest {
        self.0
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<Noted> {
        (self.1)(head);
        Some(Noted)
    }
}

struct Noted;

impl Listener for Noted {}

async fn ok<B>(_: Request<B>) -> Result<Response<MockBody>, Infallible> {
    Ok(Response::new(MockBody::empty()))
}

#[test]
fn begin_is_not_called_of_an_observer_that_wants_nothing() {
    let called = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&called);
    let observer =
        AtBegin(Interest::NONE, move |_: &RequestHead<'_>| seen.store(true, Ordering::Relaxed));
    let service = LifecycleLayer::new(observer).with_handle().layer(service_fn(ok));
    let _ = service.oneshot(Request::new(MockBody::empty())).now_or_never();
    assert!(!called.load(Ordering::Relaxed));
}

#[test]
fn an_observer_that_wants_marks_can_set_one_at_begin() {
    let set = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&set);
    let observer = AtBegin(Interest::ALL, move |head: &RequestHead<'_>| {
        let handle = head.extensions.get::<ExchangeHandle>().expect("it is there before begin");
        seen.store(handle.mark("begun"), Ordering::Relaxed);
    });
    let service = LifecycleLayer::new(observer).with_handle().layer(service_fn(ok));
    let _ = service.oneshot(Request::new(MockBody::empty())).now_or_never();
    assert!(set.load(Ordering::Relaxed));
}

// ===== two layers =====

async fn read<B: Body + Unpin>(mut request: Request<B>) -> Result<Response<MockBody>, Infallible> {
    while request.body_mut().frame().await.is_some() {}
    Ok(Response::new(MockBody::empty()))
}

/// Reads the first frame of the request, as a middleware does that sniffs, and hands the rest on to a layer that joins.
async fn sniffed(
    outer: LifecycleLayer<()>,
    inner: LifecycleLayer<Recorder>,
    body: MockBody,
    pending: impl Fn() + Clone + Send + 'static,
) {
    let service = outer.with_handle().layer(service_fn(move |mut request: Request<_>| {
        let (inner, pending) = (inner.clone(), pending.clone());
        async move {
            poll_fn(|cx| {
                let polled =
                    Pin::new(request.body_mut() as &mut tower_lifecycle::RequestBody<MockBody>)
                        .poll_frame(cx);
                if polled.is_pending() {
                    pending();
                }
                polled
            })
            .await;
            inner.layer(service_fn(read)).oneshot(request).await
        }
    }));
    let response = service.oneshot(Request::new(body)).await.unwrap();
    response.into_body().collect().await.unwrap();
}

#[tokio::test]
async fn a_layer_that_joins_while_the_request_is_being_read_hears_of_all_its_data() {
    let recorder = Recorder::new();
    let inner = LifecycleLayer::new(recorder.clone());
    sniffed(LifecycleLayer::new(()), inner, MockBody::stream(3), || ()).await;
    recorder.only();
}

#[tokio::test]
async fn waits_that_were_not_measured_are_not_blamed_on_the_handler() {
    let (recorder, clock) = (Recorder::new(), ManualClock::new());
    let outer = LifecycleLayer::new(()).with_clock(clock.clone());
    let inner = LifecycleLayer::new(recorder.clone());
    let body = MockBody::new(&[Step::Pending, Step::Data(5), Step::Data(5)]);
    sniffed(outer, inner, body, move || clock.advance(Duration::from_secs(1))).await;
    let summary = recorder.exchanges()[0].summary().expect("closed").clone();
    // The client was waited for, for the whole second.
    let blamed = summary.request.wait().map(|wait| wait.consumer);
    assert!(blamed.unwrap_or_default().is_zero(), "{blamed:?} is the handler's, it says");
}

/// Sends a request with its exchange's handle through `layer` at the close, as a task on another thread may.
struct JoinsAtClose(LifecycleLayer<Recorder>);

struct Joining(LifecycleLayer<Recorder>, ExchangeHandle);

impl Observer for JoinsAtClose {
    type State = Joining;

    fn begin(&self, head: &RequestHead<'_>) -> Option<Joining> {
        Some(Joining(self.0.clone(), head.extensions.get().cloned()?))
    }
}

impl Listener for Joining {
    fn on_close(&mut self, _: &Summary) {
        let mut request = Request::new(MockBody::empty());
        request.extensions_mut().insert(self.1.clone());
        drop(self.0.layer(service_fn(ok)).oneshot(request).now_or_never());
    }
}

#[test]
fn a_layer_that_joins_too_late_hears_of_the_requests_failure_and_not_of_the_panic() {
    let recorder = Recorder::new();
    let outer = LifecycleLayer::new(JoinsAtClose(LifecycleLayer::new(recorder.clone())));
    let service = outer.with_handle().layer(service_fn(async |request: Request<_>| {
        let _ = read(request).await;
        panic!("a panic on purpose");
        #[expect(unreachable_code, reason = "for the type")]
        Ok::<Response<MockBody>, Infallible>(Response::new(MockBody::empty()))
    }));
    let mut future = Box::pin(service.oneshot(Request::new(MockBody::fails_after(0))));
    let _ = catch_unwind(AssertUnwindSafe(|| future.as_mut().now_or_never()));
    drop(future);
    let exchange = recorder.only();
    assert_eq!(exchange.reason(), Reason::Panicked);
    assert!(exchange.words().contains("req.error(request_failed)"), "{exchange}");
}

#[test]
fn a_reader_whose_waker_panics_at_a_close_makes_no_panic_of_the_observer() {
    let (observer, mut events) = observe::channel(8);
    let layer = LifecycleLayer::new(observer.with_interest(Interest::CLOSE));
    let mut service = layer.layer(service_fn(|_: Request<_>| {
        std::future::pending::<Result<Response<MockBody>, Infallible>>()
    }));
    let exchange = service.call(Request::new(MockBody::empty()));
    events.try_recv().expect("its begin");
    let panics = waker(|| panic!("a panic on purpose"));
    assert!(events.poll_recv(&mut Context::from_waker(&panics)).is_pending());
    drop(exchange);
    events.try_recv().expect("its close");
    assert_eq!(layer.observer_panics(), 0);
}

#[tokio::test]
async fn what_a_layer_that_joined_hears_of_a_get_is_in_order() {
    let recorder = Recorder::new();
    let inner = LifecycleLayer::new(recorder.clone()).layer(service_fn(ok));
    let service = LifecycleLayer::new(()).with_handle().layer(inner);
    let response = service.oneshot(Request::new(MockBody::empty())).await.unwrap();
    response.into_body().collect().await.unwrap();
    recorder.only();
}

/// At the end of the request drops the exchange's future, and then goes on for a second and marks.
struct Leaves {
    future: Arc<Mutex<Option<Box<dyn Send>>>>,
    clock: ManualClock,
}

struct Leaving(Arc<Mutex<Option<Box<dyn Send>>>>, ManualClock, ExchangeHandle);

impl Observer for Leaves {
    type State = Leaving;

    fn begin(&self, head: &RequestHead<'_>) -> Option<Leaving> {
        let handle = head.extensions.get().cloned()?;
        Some(Leaving(Arc::clone(&self.future), self.clock.clone(), handle))
    }
}

impl Listener for Leaving {
    fn on_request_end(&mut self, _: &End<'_>) {
        drop(self.0.lock().unwrap().take());
        self.1.advance(Duration::from_secs(1));
        self.2.mark("late");
    }
}

#[test]
fn no_name_is_marked_after_the_close() {
    let (future, clock) = (Arc::default(), ManualClock::new());
    let recorder = Recorder::new();
    let leaves = Leaves { future: Arc::clone(&future), clock: clock.clone() };
    let held = Arc::new(Mutex::new(None));
    let holds = Arc::clone(&held);
    let layer = LifecycleLayer::new((recorder.clone(), leaves)).with_handle().with_clock(clock);
    let service = layer.layer(service_fn(move |request: Request<_>| {
        *holds.lock().unwrap() = Some(request.into_body());
        std::future::pending::<Result<Response<MockBody>, Infallible>>()
    }));
    let mut exchange = Box::pin(service.oneshot(Request::new(MockBody::stream(1))));
    register(&mut exchange, Waker::noop());
    *future.lock().unwrap() = Some(Box::new(exchange));
    let body = held.lock().unwrap().take().expect("the handler was called");
    body.collect().now_or_never().expect("it is there").unwrap();
    let summary = recorder.only().summary().expect("closed").clone();
    assert!(summary.marks.named("late") <= summary.duration(), "{:?}", summary.marks);
}
