//! What a handle promises to who serves an exchange, each promise as a test whose name is a sentence. In memory, without
//! a socket.

#[path = "../support/mod.rs"]
mod support;

mod alive;
mod closed;
#[cfg(feature = "axum")]
mod extractor;
mod marks;
mod milestones;
mod on_close;
mod opt_in;
mod progress;
#[cfg(feature = "tokio-util")]
mod token;
mod wakers;

use std::{
    collections::HashSet,
    fmt,
    future::{self, Future},
    io,
    panic::{RefUnwindSafe, UnwindSafe},
    pin::Pin,
    sync::{
        Arc, Barrier, Mutex, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use http::{Method, Request, Response};
use static_assertions::assert_impl_all;
use tokio::sync::oneshot;
use tower::service_fn;
use tower_layer::Layer;
use tower_lifecycle::{
    Close, EventKind, Evidence, ExchangeHandle, ExchangeId, Finish, Interest, LifecycleLayer,
    Listener, Mark, Observer, Reason, RequestBody, RequestClose, RequestHead, ResponseBody, Stage,
    Summary,
    handle::{Blind, DisconnectWatch, OnClose, Progress, TooManyCallbacks},
    testing::{BoxError, Broken, ManualClock, MockBody, PANIC, Probe, Recorder, Step},
};
use tower_service::Service;

use support::{
    panics::{boom, catch, drop_unwinding, quiet},
    polls::{now, poll_body, poll_once, read},
    spy::{HOOKS, Spy},
};

type Mock = MockBody;
type Incoming = Request<RequestBody<Mock>>;
type Outcome<B = Mock> = Result<Response<B>, BoxError>;
type Answering = Pin<Box<dyn Future<Output = Outcome<ResponseBody<Mock>>> + Send>>;
type Log = Arc<Mutex<Vec<String>>>;

const CHUNK: Step = Step::Data(3);
const PATIENCE: Duration = Duration::from_secs(10);

fn post() -> Request<Mock> {
    posting(Mock::new(&[CHUNK, CHUNK]))
}

fn posting(body: Mock) -> Request<Mock> {
    Request::builder().method(Method::POST).uri("/path").body(body).unwrap()
}

fn two_frames() -> Response<Mock> {
    Response::new(Mock::new(&[CHUNK, CHUNK]).streamed())
}

fn handle_of<B>(request: &Request<B>) -> ExchangeHandle {
    request.extensions().get::<ExchangeHandle>().expect("the layer has handles").clone()
}

/// An exchange that goes on when the test says so.
struct Open {
    handle: ExchangeHandle,
    upload: Option<RequestBody<Mock>>,
    answer: Option<oneshot::Sender<Outcome>>,
    future: Option<Answering>,
    response: Option<ResponseBody<Mock>>,
}

impl Open {
    fn new<O: Observer>(layer: &LifecycleLayer<O>) -> Self {
        Self::with(layer, post())
    }

    fn with<O: Observer>(layer: &LifecycleLayer<O>, request: Request<Mock>) -> Self {
        let (answer, answered) = oneshot::channel::<Outcome>();
        let slot = Arc::new(Mutex::new(None));
        let (kept, answered) = (Arc::clone(&slot), Mutex::new(Some(answered)));
        let mut service = layer.layer(service_fn(move |request: Incoming| {
            let handle = handle_of(&request);
            *kept.lock().unwrap() = Some((handle, request.into_body()));
            let answered = answered.lock().unwrap().take().expect("called once");
            async move { answered.await.unwrap_or_else(|_| boom()) }
        }));
        let future: Answering = Box::pin(service.call(request));
        let (handle, upload) = slot.lock().unwrap().take().expect("called");
        Self {
            handle,
            upload: Some(upload),
            answer: Some(answer),
            future: Some(future),
            response: None,
        }
    }

    fn answer(&mut self, outcome: Outcome) {
        assert!(self.answer.take().expect("not yet").send(outcome).is_ok());
        let mut future = self.future.take().expect("not yet");
        if let Poll::Ready(Ok(response)) = poll_once(Pin::new(&mut future)) {
            self.response = Some(response.into_body());
        }
    }

    /// Reads what is left of the request, answers, and reads the answer.
    fn complete(mut self) -> ExchangeHandle {
        if let Some(upload) = self.upload.take() {
            read(upload).unwrap();
        }
        if self.answer.is_some() {
            self.answer(Ok(two_frames()));
        }
        if let Some(response) = self.response.take() {
            read(response).unwrap();
        }
        self.handle
    }

    /// Drops all of it.
    fn leave(self) -> ExchangeHandle {
        self.handle
    }
}

/// With a handle, and nobody who observes.
fn unobserved() -> LifecycleLayer<()> {
    LifecycleLayer::new(()).with_handle()
}

fn observed(recorder: &Recorder) -> LifecycleLayer<Recorder> {
    LifecycleLayer::new(recorder.clone()).with_handle()
}

fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match poll_once(std::pin::pin!(future)) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A waker that counts.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A waker that runs a closure.
struct Acts<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Acts<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn waker(act: impl Fn() + Send + Sync + 'static) -> Waker {
    Arc::new(Acts(act)).into()
}

fn poll_with<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// Runs on a thread of its own what must not hang.
fn within_patience<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    let thread = thread::spawn(move || done.send(test()));
    match is_done.recv_timeout(PATIENCE) {
        Ok(output) => output,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it panicked"))
        }
    }
}

fn multi_threaded() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

fn logging(log: &Log, entry: &str) -> impl FnOnce(Close) + Send + 'static {
    let (log, entry) = (Arc::clone(log), entry.to_owned());
    move |close| log.lock().unwrap().push(format!("{entry}({})", close.reason))
}

fn counting(calls: &Arc<AtomicUsize>) -> impl FnOnce(Close) + Send + 'static {
    let calls = Arc::clone(calls);
    move |_| {
        calls.fetch_add(1, Ordering::SeqCst);
    }
}

fn entries(log: &Log) -> Vec<String> {
    log.lock().unwrap().clone()
}

/// Brings an exchange to its end in one way.
type Way = fn(Open);

/// Every way in which an exchange can end, with its verdict.
const WAYS: [(Way, Reason, Evidence); 9] = [
    (|open| drop(open.complete()), Reason::Complete, Evidence::Frame),
    (|mut open| open.answer(Ok(Response::new(Mock::new(&[])))), Reason::Complete, Evidence::Return),
    (|open| drop(open.leave()), Reason::Unknown, Evidence::Drop),
    (
        |mut open| {
            open.answer(Ok(two_frames()));
            drop(open);
        },
        Reason::Unknown,
        Evidence::Drop,
    ),
    (|mut open| open.answer(Err(Broken.into())), Reason::ServiceFailed, Evidence::Return),
    (
        |mut open| {
            open.answer(Ok(Response::new(Mock::new(&[CHUNK, Step::Error]).streamed())));
            assert!(read(open.response.take().unwrap()).is_err());
        },
        Reason::ResponseFailed,
        Evidence::Return,
    ),
    (
        |mut open| {
            open.answer(Ok(Response::new(Mock::new(&[Step::Panic]).streamed())));
            let mut response = open.response.take().unwrap();
            assert!(catch(|| poll_body(&mut response).is_ready()).is_err());
            drop(response);
        },
        Reason::Panicked,
        Evidence::Unwind,
    ),
    (
        |mut open| {
            // Nobody answers, and the handler panics.
            let mut future = open.future.take().unwrap();
            drop(open.answer.take());
            assert!(catch(|| poll_once(Pin::new(&mut future)).is_ready()).is_err());
            drop(future);
        },
        Reason::Panicked,
        Evidence::Unwind,
    ),
    (
        |open| {
            let Open { future, upload, .. } = open;
            drop(upload);
            drop_unwinding(future);
        },
        Reason::Panicked,
        Evidence::Unwind,
    ),
];

struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        boom();
    }
}

/// Polls a future with a waker that panics; the future keeps it.
fn mined<F: Future>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!(poll_with(future.as_mut(), &Arc::new(Bomb).into()).is_pending());
    future
}

struct Held(Arc<()>);

/// An observer whose state holds something.
struct Holds(Arc<()>);

impl Observer for Holds {
    type State = Held;
    fn begin(&self, _: &RequestHead<'_>) -> Option<Held> {
        Some(Held(Arc::clone(&self.0)))
    }
}

impl Listener for Held {
    fn on_close(&mut self, _: &Summary) {
        assert!(Arc::strong_count(&self.0) > 1);
    }
}

/// With the feature, a token is a use of the handle as well.
fn make_token(handle: &ExchangeHandle) {
    #[cfg(feature = "tokio-util")]
    drop(handle.cancellation_token());
    let _ = handle;
}
