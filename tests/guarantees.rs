//! The guarantees, and the rules where two engineers would differ, each as a test whose name is a sentence. In memory,
//! without a socket.

mod support;

use std::{
    cell::Cell,
    collections::VecDeque,
    future::{self, Future},
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::{Method, Request, Response, StatusCode, Version, header::CONTENT_LENGTH};
use http_body::{Body, Frame};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tower::service_fn;
use tower_layer::Layer;
use tower_lifecycle::{
    BoxObserver, Data, Ended, EventKind, Evidence, Failed, Hooks, Initiator, Interest,
    LifecycleLayer, Listener, Mark, Observer, Reason, RequestBody, RequestClose, RequestHead,
    ResponseBody, ResponseFuture, Role, Stage,
    testing::{BoxError, Broken, EndClaim, HintClaim, MockBody, Recorder, Recording, Step},
};
use tower_service::Service;

use support::{
    panics::{boom, catch, drop_unwinding, quiet},
    polls::{NotAnError, Pinned, data, now, poll_body, poll_once, read, trailers},
    spy::{HOOKS, Spy},
};

type Mock = MockBody;
type Incoming = Request<RequestBody<Mock>>;
type Outcome<B = Mock> = Result<Response<B>, BoxError>;
type Log = Arc<Mutex<Vec<String>>>;

const CHUNK: Step = Step::Data(3);

fn post() -> Request<Mock> {
    request(Method::POST, Version::HTTP_11, Mock::new(&[CHUNK, CHUNK]))
}

fn request<B>(method: Method, version: Version, body: B) -> Request<B> {
    Request::builder().method(method).version(version).uri("/path").body(body).unwrap()
}

/// Reads the request and answers with two frames.
async fn echo(request: Incoming) -> Outcome {
    read(request.into_body())?;
    Ok(Response::new(Mock::new(&[CHUNK, CHUNK]).streamed()))
}

/// The whole of an ordinary exchange.
fn ordinary<O: Observer>(layer: &LifecycleLayer<O>) {
    let response = now(layer.layer(service_fn(echo)).call(post())).unwrap();
    assert_eq!(read(response.into_body()).unwrap(), 6);
}

/// One exchange whose handler drops the request and answers with `response`, of which `polls` frames are polled.
fn answered(request: Request<Mock>, response: Response<Mock>, polls: usize) -> Recording {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    answer(&layer, request, response, polls);
    recorder.only()
}

fn answer<O: Observer>(
    layer: &LifecycleLayer<O>,
    request: Request<Mock>,
    response: Response<Mock>,
    polls: usize,
) {
    let response = Cell::new(Some(response));
    let mut service = layer.layer(service_fn(|request: Incoming| {
        drop(request);
        future::ready(Outcome::Ok(response.take().unwrap()))
    }));
    let mut body = now(service.call(request)).unwrap().into_body();
    for _ in 0..polls {
        let _ = poll_body(&mut body);
    }
}

fn with_length(length: u64, body: Mock) -> Response<Mock> {
    Response::builder().header(CONTENT_LENGTH, length).body(body).unwrap()
}

fn with_status(status: u16, body: Mock) -> Response<Mock> {
    Response::builder().status(status).body(body).unwrap()
}

/// A spy that writes `name.hook` into the log.
fn named(name: &'static str, log: &Log) -> Spy {
    let log = Arc::clone(log);
    Spy::new(move |hook| log.lock().unwrap().push(format!("{name}.{hook}")))
}

/// Waits for what another thread does, which has to happen.
fn wait<T>(receiver: &mpsc::Receiver<T>) -> T {
    receiver.recv_timeout(Duration::from_secs(10)).expect("it happens")
}

// ===== 1. every begin gets one close, last =====

#[test]
fn a_future_dropped_unpolled_is_closed() {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    drop(layer.layer(service_fn(echo)).call(post()));
    let exchange = recorder.only();
    assert_eq!(exchange.words(), "begin req.close(unread) close(unknown)");
    assert_eq!(exchange.close().evidence, Evidence::Drop);
    assert_eq!(exchange.close().initiator, Initiator::Unknown);
    assert!(exchange.dropped);
}

#[test]
fn bodies_that_are_never_polled_are_closed() {
    let response = Response::new(Mock::new(&[CHUNK]).streamed());
    let exchange = answered(post(), response, 0);
    assert_eq!(exchange.words(), "begin req.close(unread) response(200) close(unknown)");
    assert_eq!(exchange.close().stage, Stage::Response);
}

#[test]
fn a_panic_in_call_is_closed_as_panicked() {
    quiet();
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let mut service = layer.layer(service_fn(|_: Incoming| -> future::Ready<Outcome> { boom() }));
    assert!(catch(|| service.call(post())).is_err());
    let close = recorder.only().close();
    assert_eq!((close.reason, close.evidence), (Reason::Panicked, Evidence::Unwind));
}

#[test]
fn a_panic_of_the_handler_is_closed_as_panicked_also_when_caught_outside() {
    quiet();
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let mut service = layer.layer(service_fn(async |_: Incoming| -> Outcome { boom() }));
    let mut future = Box::pin(service.call(post()));
    assert!(catch(|| poll_once(future.as_mut())).is_err());
    drop(future);
    let close = recorder.only().close();
    assert_eq!(close.reason, Reason::Panicked);
    assert_eq!((close.initiator, close.evidence), (Initiator::Local, Evidence::Unwind));
}

#[test]
fn a_panic_of_the_response_body_is_closed_as_panicked_also_when_caught_outside() {
    quiet();
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let mut service = layer.layer(service_fn(async |_: Incoming| {
        Outcome::Ok(Response::new(Mock::new(&[CHUNK, Step::Panic]).streamed()))
    }));
    let mut body = now(service.call(post())).unwrap().into_body();
    assert!(poll_body(&mut body).is_ready());
    assert!(catch(|| poll_body(&mut body)).is_err());
    drop(body);
    let exchange = recorder.only();
    assert_eq!((exchange.reason(), exchange.close().stage), (Reason::Panicked, Stage::Response));
    assert_eq!(exchange.summary().unwrap().response.bytes, 3);
}

#[test]
fn a_parked_exchange_is_closed_when_the_runtime_shuts_down() {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (parked, is_parked) = mpsc::channel();
    let mut service = layer.layer(service_fn(move |request: Incoming| {
        let parked = parked.clone();
        async move {
            let _held = request;
            parked.send(()).unwrap();
            future::pending::<Outcome>().await
        }
    }));
    runtime.spawn(service.call(post()));
    wait(&is_parked);
    assert!(recorder.exchanges()[0].summary().is_none());
    drop(runtime);
    assert_eq!(recorder.only().words(), "begin req.close(unread) close(unknown)");
}

#[test]
fn an_upgrade_ends_the_exchange_as_upgraded() {
    let response = with_status(101, Mock::new(&[]));
    let upgrade = request(Method::GET, Version::HTTP_11, Mock::new(&[]));
    let exchange = answered(upgrade, response, 0);
    assert_eq!(exchange.reason(), Reason::Upgraded);
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let connect = request(Method::CONNECT, version, Mock::new(&[]));
        let exchange = answered(connect, Response::new(Mock::new(&[])), 0);
        assert_eq!(exchange.reason(), Reason::Upgraded, "{version:?}");
        let refused = request(Method::CONNECT, version, Mock::new(&[]));
        let exchange = answered(refused, with_status(407, Mock::new(&[])), 0);
        assert_eq!(exchange.reason(), Reason::Complete, "{version:?}");
    }
}

#[test]
fn begin_is_heard_in_call_before_the_inner_service_is_called() {
    let log = Log::default();
    let layer = LifecycleLayer::new(named("spy", &log));
    let inner = Arc::clone(&log);
    let mut service = layer.layer(service_fn(move |_: Incoming| {
        inner.lock().unwrap().push("call".to_owned());
        future::pending::<Outcome>()
    }));
    let _future = service.call(post());
    assert_eq!(log.lock().unwrap()[..2], ["spy.begin", "call"]);
}

#[test]
fn none_from_begin_silences_this_observer_only() {
    struct Never;
    impl Observer for Never {
        type State = ();
        fn begin(&self, _: &RequestHead<'_>) -> Option<()> {
            None
        }
    }
    let recorder = Recorder::new();
    ordinary(&LifecycleLayer::new(Never));
    ordinary(&LifecycleLayer::new((Never, recorder.clone(), Never)));
    assert_eq!(recorder.only().reason(), Reason::Complete);
}

// ===== 2. serialised, never under a lock =====

/// Blocks in the first `on_request_data` until told to go on, and counts who is inside at once.
struct Slow {
    inside: AtomicUsize,
    entered: mpsc::Sender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
    heard: Mutex<Vec<(String, thread::ThreadId)>>,
}

#[test]
fn a_second_reporter_does_not_wait_and_hooks_are_never_concurrent() {
    let (entered, has_entered) = mpsc::channel();
    let (go, go_on) = mpsc::channel();
    let slow = Arc::new(Slow {
        inside: AtomicUsize::new(0),
        entered,
        go_on: Mutex::new(go_on),
        heard: Mutex::default(),
    });
    let in_hooks = Arc::clone(&slow);
    let spy = Spy::new(move |hook| {
        assert_eq!(in_hooks.inside.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
        in_hooks.heard.lock().unwrap().push((hook.to_owned(), thread::current().id()));
        if hook == "on_request_data" {
            in_hooks.entered.send(()).unwrap();
            wait(&in_hooks.go_on.lock().unwrap());
        }
        in_hooks.inside.fetch_sub(1, Ordering::SeqCst);
    });
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new((spy, recorder.clone()));
    let (upload, mut body) = split(&layer);

    let reader = thread::spawn(move || {
        let mut upload = upload;
        assert!(poll_body(&mut upload).is_ready());
        upload
    });
    wait(&has_entered);
    // The reader is inside a hook. We are not held up, to the very end of the response.
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        assert_eq!(read(Pin::new(&mut body)).unwrap(), 6);
        done.send(()).unwrap();
    });
    wait(&is_done);
    assert_eq!(slow.heard.lock().unwrap().last().unwrap().0, "on_request_data");
    go.send(()).unwrap();
    let reader_id = reader.thread().id();
    drop(reader.join().unwrap());

    let exchange = recorder.only();
    assert_eq!(
        exchange.words(),
        "begin response(200) req.data res.data res.end finish(released) req.close(detached) \
         close(complete)"
    );
    let added_up =
        |hook: &_| matches!(hook, EventKind::ResponseData(Data { bytes: 6, frames: 2, .. }));
    assert!(exchange.hooks.iter().any(added_up), "{exchange:#?}");
    let heard = slow.heard.lock().unwrap();
    let after = heard.iter().skip_while(|(hook, _)| hook != "on_request_data");
    assert!(after.into_iter().all(|(_, thread)| *thread == reader_id), "who calls out drains");
    assert_eq!(layer.observer_panics(), 0);
}

/// An exchange whose request body is with us beside its response body.
fn split<O: Observer>(layer: &LifecycleLayer<O>) -> (RequestBody<Mock>, ResponseBody<Mock>) {
    let kept = Rc::new(Cell::new(None));
    let keep = Rc::clone(&kept);
    let mut service = layer.layer(service_fn(move |request: Incoming| {
        keep.set(Some(request.into_body()));
        future::ready(Outcome::Ok(Response::new(Mock::new(&[CHUNK, CHUNK]).streamed())))
    }));
    let body = now(service.call(post())).unwrap().into_body();
    (kept.take().unwrap(), body)
}

#[test]
fn hooks_of_one_exchange_are_serialised_across_threads() {
    for _ in 0..500 {
        let inside = Arc::new(AtomicBool::new(false));
        let spy = Spy::new(move |_| {
            assert!(!inside.swap(true, Ordering::SeqCst), "one at a time");
            thread::yield_now();
            inside.store(false, Ordering::SeqCst);
        });
        let recorder = Recorder::new();
        let layer = LifecycleLayer::new((spy, recorder.clone()));
        let (upload, body) = split(&layer);
        let start = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                let _ = read(upload);
            });
            scope.spawn(|| {
                start.wait();
                let _ = read(body);
            });
        });
        let exchange = recorder.only();
        assert_eq!(exchange.reason(), Reason::Complete);
        assert_eq!(exchange.summary().unwrap().response.bytes, 6);
        assert_eq!(layer.observer_panics(), 0);
    }
}

/// Bodies that any hook can reach.
#[derive(Clone, Default)]
struct Reach(Arc<Mutex<Bodies>>);

type Bodies = (Option<RequestBody<Mock>>, Option<ResponseBody<Mock>>);

impl Reach {
    fn take(&self) -> Bodies {
        let mut reach = self.0.lock().unwrap();
        (reach.0.take(), reach.1.take())
    }
}

#[test]
fn a_hook_may_drop_the_bodies_it_observes() {
    for hook in HOOKS {
        for poll_request in [true, false] {
            let reach = Reach::default();
            let from_hook = reach.clone();
            let recorder = Recorder::new();
            let spy = Spy::new(move |called| {
                if called == hook {
                    drop(from_hook.take());
                }
            });
            let layer = LifecycleLayer::new((spy, recorder.clone()));
            let (upload, body) = split(&layer);
            // Who polls a body has it out of reach; the other is in it.
            if poll_request {
                reach.0.lock().unwrap().1 = Some(body);
                let _ = read(upload);
            } else {
                reach.0.lock().unwrap().0 = Some(upload);
                let _ = read(body);
            }
            drop(reach.take());
            recorder.only();
            assert_eq!(layer.observer_panics(), 0, "{hook}");
        }
    }
}

#[test]
fn a_hook_may_drop_the_request_body_while_the_handler_runs() {
    let reach = Reach::default();
    let (keep, from_hook) = (reach.clone(), reach.clone());
    let recorder = Recorder::new();
    let spy = Spy::new(move |hook| {
        if hook == "on_response" {
            drop(from_hook.take());
        }
    });
    let layer = LifecycleLayer::new((recorder.clone(), spy));
    let mut service = layer.layer(service_fn(move |request: Incoming| {
        keep.0.lock().unwrap().0 = Some(request.into_body());
        future::ready(Outcome::Ok(Response::new(Mock::new(&[CHUNK]).streamed())))
    }));
    let body = now(service.call(post())).unwrap().into_body();
    assert_eq!(
        recorder.exchanges()[0].words(),
        "begin response(200) req.close(unread)",
        "what a hook causes follows the hook"
    );
    read(body).unwrap();
    assert_eq!(recorder.only().reason(), Reason::Complete);
}

// ===== 3. totals and results =====

#[test]
fn totals_in_end_equal_the_sum_of_the_data_hooks() {
    let recorder = Recorder::new();
    ordinary(&LifecycleLayer::new(recorder.clone()));
    let exchange = recorder.only();
    let is_chunk =
        |hook: &_| matches!(hook, EventKind::RequestData(Data { bytes: 3, frames: 1, .. }));
    assert!(exchange.hooks[1..3].iter().all(is_chunk), "{exchange:#?}");
    let is_total = |end: &Ended| matches!(end, Ended { bytes: 6, frames: 2, trailers: None, .. });
    assert!(matches!(&exchange.hooks[3], EventKind::RequestEnd(end) if is_total(end)));
    let is_end = |hook: &_| matches!(hook, EventKind::ResponseEnd(end) if is_total(end));
    assert!(exchange.hooks.iter().any(is_end), "{exchange:#?}");
}

#[test]
fn results_so_far_are_kept_on_failure() {
    let body = Mock::new(&[CHUNK, CHUNK, Step::Error]).streamed();
    let exchange = answered(post(), with_status(206, body), 3);
    let is_error = |hook: &_| match hook {
        EventKind::ResponseError(Failed { reason, error, bytes: 6, frames: 2, .. }) => {
            *reason == Reason::ResponseFailed && error.as_deref() == Some("broken")
        }
        _ => false,
    };
    assert!(exchange.hooks.iter().any(is_error), "{exchange:#?}");
    let summary = exchange.summary().unwrap();
    assert_eq!(summary.status, Some(StatusCode::PARTIAL_CONTENT));
    assert_eq!((summary.response.bytes, summary.response.frames), (6, 2));
    assert!(!summary.response.complete);
    assert_eq!(summary.close.reason, Reason::ResponseFailed);
}

#[test]
fn data_of_any_type_is_counted_by_what_remains_of_it() {
    struct Deque(bool);
    impl Body for Deque {
        type Data = bytes::buf::Chain<Bytes, VecDeque<u8>>;
        type Error = NotAnError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, NotAnError>>> {
            let first = !std::mem::replace(&mut self.0, true);
            Poll::Ready(first.then(|| Ok(Frame::data(data(4).chain(VecDeque::from([1, 2, 3]))))))
        }
    }
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let mut service = layer
        .layer(service_fn(async |_: Incoming| Ok::<_, NotAnError>(Response::new(Deque(false)))));
    let Ok(response) = now(service.call(post())) else { panic!("a response") };
    let mut body = response.into_body();
    while let Poll::Ready(Some(_)) = poll_body(&mut body) {}
    assert_eq!(recorder.only().summary().unwrap().response.bytes, 7);
}

// ===== 4. marks =====

#[test]
fn marks_are_set_once_and_monotone() {
    let recorder = Recorder::new();
    ordinary(&LifecycleLayer::new(recorder.clone()));
    let summary = recorder.only().summary().cloned().unwrap();
    let marks = &summary.marks;
    let ordinary = || Mark::ALL.iter().filter(|mark| **mark != Mark::Disconnect);
    assert_eq!(marks.iter().count(), ordinary().count(), "{marks:?}");
    let in_order: Vec<_> = ordinary().map(|mark| marks.get(*mark).unwrap()).collect();
    assert!(in_order.is_sorted(), "{marks:?}");
    assert_eq!(summary.duration(), marks.get(Mark::Close));
    assert!(summary.time_to_head() <= summary.time_to_first_byte());
    assert!(summary.body_duration() <= summary.duration());
}

#[test]
fn there_are_no_marks_without_interest_in_them() {
    let recorder = Recorder::with_interest(Interest::DEFAULT - Interest::MARKS);
    ordinary(&LifecycleLayer::new(recorder.clone()));
    let summary = recorder.only().summary().cloned().unwrap();
    assert_eq!((summary.marks.begin(), summary.marks.iter().count()), (None, 0));
    assert_eq!(summary.duration(), None);
}

// ===== 5. nothing is changed =====

type Pinning = Pinned<Mock>;
type Pending = future::Pending<Outcome>;
assert_impl_all!(RequestBody<Mock>: Send, Sync, Unpin);
assert_impl_all!(ResponseBody<Mock>: Send, Sync, Unpin);
assert_impl_all!(ResponseFuture<Pending>: Send, Sync, Unpin);
assert_not_impl_any!(RequestBody<Pinning>: Unpin);
assert_not_impl_any!(ResponseBody<Pinning>: Unpin);
assert_not_impl_any!(ResponseFuture<Pinning>: Unpin);
assert_impl_all!(RequestBody<Cell<()>>: Send, Unpin);
assert_not_impl_any!(RequestBody<Cell<()>>: Sync);
assert_not_impl_any!(ResponseBody<Rc<()>>: Send, Sync);
assert_impl_all!(tower_lifecycle::Lifecycle<(), Recorder>: Send, Sync, Unpin, Clone);

#[test]
fn the_errors_of_bodies_and_service_keep_their_type() {
    let layer = LifecycleLayer::new(Recorder::new());
    let mut service =
        layer.layer(service_fn(async |request: Request<RequestBody<MockBody<NotAnError>>>| {
            let NotAnError = read(request.into_body()).unwrap_err();
            let reply = MockBody::new(&[Step::Error]).fails_with(|| io::Error::other("broken"));
            Ok::<_, NotAnError>(Response::new(reply))
        }));
    let upload = MockBody::new(&[Step::Error]).fails_with(|| NotAnError);
    let response: Result<_, NotAnError> =
        now(service.call(request(Method::POST, Version::HTTP_11, upload)));
    let error: io::Error = read(response.unwrap().into_body()).unwrap_err();
    assert_eq!(error.to_string(), "broken");
}

#[test]
fn bodies_that_may_not_move_are_observed_like_others() {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let mut service = layer.layer(service_fn(async |request: Request<RequestBody<Pinning>>| {
        let bytes = read(request.into_body())?;
        let reply = Mock::new(&[Step::Data(bytes), Step::Trailers]).streamed();
        Outcome::Ok(Response::new(Pinned::new(reply)))
    }));
    let upload = Pinned::new(Mock::new(&[CHUNK, CHUNK]));
    let response = now(service.call(request(Method::POST, Version::HTTP_2, upload))).unwrap();
    assert_eq!(read(response.into_body()).unwrap(), 6);
    assert_eq!(
        recorder.only().words(),
        "begin req.data req.end req.close(complete) response(200) res.data res.end+trailers \
         finish(released) close(complete)"
    );
}

#[test]
fn hints_and_trailers_pass_unchanged() {
    let kept = Cell::new(None);
    let layer = LifecycleLayer::new(Recorder::new());
    let mut service = layer.layer(service_fn(|request: Incoming| {
        let reply = Mock::new(&[CHUNK, Step::Trailers]).hint(HintClaim::AtLeast(2));
        kept.set(Some(request.into_body()));
        future::ready(Outcome::Ok(Response::new(reply)))
    }));
    let mut body = now(service.call(post())).unwrap().into_body();
    let upload = kept.take().unwrap();
    assert_eq!((upload.size_hint().exact(), upload.is_end_stream()), (Some(6), false));
    assert_eq!((body.size_hint().lower(), body.size_hint().upper()), (2, None));
    assert!(poll_body(&mut body).is_ready());
    let Poll::Ready(Some(Ok(frame))) = poll_body(&mut body) else { panic!("trailers") };
    assert_eq!(frame.into_trailers().unwrap(), trailers());
    assert!(body.is_end_stream());
}

/// A consumer that polls on after the end gets what it would get without us; on our own account we never poll.
#[test]
fn the_inner_body_is_polled_only_when_we_are() {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let mut reply = Mock::new(&[CHUNK, Step::Error, CHUNK]).streamed();
    let probe = reply.probe();
    let reply = Cell::new(Some(reply));
    let mut service = layer.layer(service_fn(|_: Incoming| {
        future::ready(Outcome::Ok(Response::new(reply.take().unwrap())))
    }));
    let mut body = now(service.call(post())).unwrap().into_body();
    let _ = (poll_body(&mut body), poll_body(&mut body));
    assert_eq!(probe.polls(), 2);
    let told = recorder.only().hooks.len();
    let _ = (poll_body(&mut body), poll_body(&mut body));
    drop(body);
    assert!(probe.polls() <= 4);
    assert_eq!(recorder.only().hooks.len(), told, "what follows an error is not ours");
}

// ===== 6. panics of observers =====

/// An ordinary exchange, or one in which everything fails, so that each hook is called in one of them.
fn both<O: Observer>(layer: &LifecycleLayer<O>) {
    ordinary(layer);
    let mut service = layer.layer(service_fn(async |request: Incoming| {
        let _ = read(request.into_body());
        Outcome::Ok(Response::new(Mock::new(&[Step::Error]).streamed()))
    }));
    let upload = Mock::new(&[Step::Error]).streamed();
    let response = now(service.call(request(Method::POST, Version::HTTP_11, upload))).unwrap();
    assert!(read(response.into_body()).is_err());
}

#[test]
fn a_panic_in_any_hook_is_caught_counted_handed_on_and_silences_that_observer_for_that_exchange() {
    quiet();
    for hook in HOOKS {
        let log = Log::default();
        let armed = Arc::new(AtomicBool::new(true));
        let (in_hook, calls) = (Arc::clone(&armed), Arc::clone(&log));
        let bomb = Spy::new(move |called| {
            calls.lock().unwrap().push(called.to_owned());
            if called == hook && in_hook.swap(false, Ordering::Relaxed) {
                boom();
            }
        });
        let (before, after) = (Recorder::new(), Recorder::new());
        let caught = Log::default();
        let handed = Arc::clone(&caught);
        let layer = LifecycleLayer::new((before.clone(), bomb, after.clone())).on_observer_panic(
            move |panic| {
                handed.lock().unwrap().push(panic.hook.to_owned());
                boom();
            },
        );
        both(&layer);
        assert!(!armed.load(Ordering::Relaxed), "{hook} was called");
        assert_eq!(layer.observer_panics(), 1, "{hook}");
        assert_eq!(*caught.lock().unwrap(), [hook]);
        for other in [before, after] {
            let exchanges = other.exchanges();
            exchanges.iter().for_each(Recording::assert_grammar);
            assert_eq!(exchanges.len(), 2);
        }

        let log = log.lock().unwrap().clone();
        let at = log.iter().position(|called| called == hook).unwrap();
        let next = log.get(at + 1).map(String::as_str);
        match hook {
            // The next exchange, or nothing: these came in the last of the two.
            "begin" | "drop" => assert!(matches!(next, Some("begin") | None), "{log:?}"),
            _ => assert_eq!(next, Some("drop"), "silenced: {log:?}"),
        }
        assert_eq!(log.iter().filter(|called| *called == "begin").count(), 2, "{hook}");
        // Silenced for that exchange only.
        both(&layer);
        assert_eq!(layer.observer_panics(), 1);
    }
}

#[test]
fn a_panic_in_every_hook_and_in_the_drop_is_survived() {
    quiet();
    let recorder = Recorder::new();
    let bomb = Spy::new(|hook| {
        if hook != "begin" {
            boom();
        }
    });
    let layer = LifecycleLayer::new((bomb, recorder.clone()));
    both(&layer);
    assert_eq!(layer.observer_panics(), 4, "the first hook and the drop, twice");
    recorder.exchanges().iter().for_each(Recording::assert_grammar);
}

#[test]
fn a_hook_that_panics_while_another_panic_unwinds_does_not_abort() {
    quiet();
    for hook in HOOKS {
        let bomb = Spy::new(move |called| {
            if called == hook || called == "drop" {
                boom();
            }
        });
        let recorder = Recorder::new();
        let layer = LifecycleLayer::new((bomb, recorder.clone())).on_observer_panic(|_| boom());
        drop_unwinding(layer.layer(service_fn(echo)).call(post()));
        let (upload, body) = split(&layer);
        drop_unwinding(upload);
        drop_unwinding(body);
        // At its length: ends in the drop.
        let (mut upload, mut body) = split(&layer);
        let _ = (poll_body(&mut upload), poll_body(&mut body));
        drop_unwinding((upload, body));
        let mut service = layer.layer(service_fn(|_: Incoming| {
            future::ready(Outcome::Ok(with_status(204, Mock::new(&[CHUNK]).streamed())))
        }));
        let unpolled = now(service.call(request(Method::GET, Version::HTTP_2, Mock::new(&[]))));
        drop_unwinding(unpolled);
        let exchanges = recorder.exchanges();
        assert_eq!(exchanges.len(), 4);
        exchanges.iter().for_each(Recording::assert_grammar);
        assert!(layer.observer_panics() >= 4, "{hook}");
    }
}

#[test]
fn a_panic_payload_that_panics_when_dropped_is_survived() {
    struct Grenade;
    impl Drop for Grenade {
        fn drop(&mut self) {
            boom();
        }
    }
    quiet();
    let recorder = Recorder::new();
    let bomb = Spy::new(|hook| {
        if hook == "on_response" {
            std::panic::resume_unwind(Box::new(Grenade));
        }
    });
    let layer = LifecycleLayer::new((bomb, recorder.clone()));
    ordinary(&layer);
    assert_eq!(layer.observer_panics(), 1);
    recorder.only();
}

#[test]
fn a_lone_observer_that_panics_hears_no_more_of_the_exchange() {
    quiet();
    let log = Log::default();
    let calls = Arc::clone(&log);
    let layer = LifecycleLayer::new(Spy::new(move |hook| {
        calls.lock().unwrap().push(hook.to_owned());
        if hook == "on_response" {
            boom();
        }
    }));
    ordinary(&layer);
    let log = log.lock().unwrap();
    assert_eq!(log[log.len() - 2..], ["on_response", "drop"]);
    assert_eq!(layer.clone().observer_panics(), 1, "counted for all clones");
}

// ===== 8. the verdict and its evidence =====

#[test]
fn the_verdict_never_claims_more_than_its_evidence() {
    let get = |version| request(Method::GET, version, Mock::new(&[]));
    let head = |version| request(Method::HEAD, version, Mock::new(&[]));
    let chunks = || Mock::new(&[CHUNK, CHUNK]);
    let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
    let stream = || Response::new(chunks().streamed());
    #[rustfmt::skip]
    let rows = [
        (get(h1), Response::new(Mock::new(&[])), 0, Reason::Complete, Evidence::Return),
        (head(h1), Response::new(chunks()), 0, Reason::Complete, Evidence::Return),
        (get(h1), with_status(204, chunks().streamed()), 0, Reason::Complete, Evidence::Return),
        (get(h1), with_status(304, chunks()), 0, Reason::Complete, Evidence::Return),
        (get(h1), Response::new(Mock::new(&[]).streamed().hint(HintClaim::Exact(0))), 0, Reason::Complete, Evidence::Return),
        (get(h1), Response::new(chunks()), 2, Reason::Complete, Evidence::Frame),
        (get(h1), Response::new(chunks().end(EndClaim::Never)), 2, Reason::Complete, Evidence::Frame),
        (get(h1), with_length(6, chunks().streamed()), 2, Reason::Complete, Evidence::Frame),
        (get(h2), with_length(6, chunks().streamed()), 3, Reason::Complete, Evidence::Frame),
        (get(h1), stream(), 3, Reason::Complete, Evidence::Frame),
        (get(h1), stream(), 2, Reason::Unknown, Evidence::Drop),
        (get(h2), stream(), 0, Reason::Unknown, Evidence::Drop),
        (get(h1), Response::new(chunks()), 1, Reason::Unknown, Evidence::Drop),
        (get(h2), Response::new(chunks()), 0, Reason::Unknown, Evidence::Drop),
        (get(h1), with_length(9, chunks().streamed()), 3, Reason::LengthMismatch, Evidence::Frame),
        (get(h2), with_length(9, chunks().streamed()), 3, Reason::LengthMismatch, Evidence::Frame),
        (get(h2), with_length(5, chunks().streamed()), 3, Reason::LengthMismatch, Evidence::Frame),
    ];
    for (at, (request, response, polls, reason, evidence)) in rows.into_iter().enumerate() {
        let close = answered(request, response, polls).close();
        assert_eq!((close.reason, close.evidence), (reason, evidence), "row {at}: {close}");
        assert_eq!(close.reason.is_complete(), close.stage == Stage::Done, "row {at}: {close}");
        if reason == Reason::Unknown {
            assert_eq!(close.initiator, Initiator::Unknown, "row {at}: {close}");
        }
    }
}

/// The drop of a handler's future takes the request body that it reads with it, before us: what happened first is the
/// drop, not the end of the request.
#[test]
fn the_stage_is_where_the_exchange_was_when_it_happened() {
    quiet();
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let mut reading = layer.layer(service_fn(async |request: Incoming| {
        read(request.into_body())?;
        future::pending::<Outcome>().await
    }));
    let stuck = Mock::new(&[CHUNK, Step::Never]).streamed();
    let mut panics = layer.layer(service_fn(async |request: Incoming| {
        let _held = request;
        boom() as Outcome
    }));
    // Fully read, then parked.
    let mut future = Box::pin(reading.call(post()));
    assert!(poll_once(future.as_mut()).is_pending());
    drop(future);
    let mut parked = layer.layer(service_fn(async |request: Request<RequestBody<Mock>>| {
        let mut body = request.into_body();
        future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx).map(|_| ())).await;
        future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx).map(|_| ())).await;
        future::pending::<Outcome>().await
    }));
    // In the middle of the upload.
    let mut future = Box::pin(parked.call(request(Method::POST, Version::HTTP_2, stuck)));
    assert!(poll_once(future.as_mut()).is_pending());
    drop(future);
    // Never polled, and a panic before the body was touched.
    drop(parked.call(post()));
    let mut future = Box::pin(panics.call(post()));
    assert!(catch(|| poll_once(future.as_mut())).is_err());
    drop(future);
    let stages: Vec<_> =
        recorder.exchanges().iter().map(|exchange| exchange.close().stage).collect();
    assert_eq!(stages, [Stage::Handler, Stage::Request, Stage::Request, Stage::Request]);
}

#[test]
fn what_needs_no_poll_on_http1_is_ended_by_its_drop_on_http2() {
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 304)] {
        let get = |version| request(method.clone(), version, Mock::new(&[]));
        let reply = || with_status(status, Mock::new(&[CHUNK]).streamed());
        for (version, polls) in [(Version::HTTP_11, 0), (Version::HTTP_2, 0), (Version::HTTP_2, 2)]
        {
            let exchange = answered(get(version), reply(), polls);
            assert_eq!(exchange.reason(), Reason::Complete, "{method} {status} {version:?}");
        }
        assert_eq!(answered(get(Version::HTTP_2), reply(), 1).reason(), Reason::Unknown);
    }
}

#[test]
fn a_body_dropped_at_its_length_was_not_aborted() {
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        let get = || request(Method::GET, version, Mock::new(&[]));
        let exact = Mock::new(&[CHUNK, CHUNK]).end(EndClaim::Never);
        let exchange = answered(get(), Response::new(exact), 2);
        assert_eq!(exchange.reason(), Reason::Complete, "{version:?}");
        let declared = with_length(6, Mock::new(&[CHUNK, CHUNK]).streamed());
        assert_eq!(answered(get(), declared, 2).reason(), Reason::Complete, "{version:?}");
    }
    let nothing = with_length(0, Mock::new(&[]).streamed());
    let get = request(Method::GET, Version::HTTP_11, Mock::new(&[]));
    assert_eq!(answered(get, nothing, 0).reason(), Reason::Complete);
}

#[test]
fn a_request_read_exactly_to_its_length_is_complete() {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let mut service = layer.layer(service_fn(async |request: Incoming| {
        let mut body = request.into_body();
        let _ = (poll_body(&mut body), poll_body(&mut body));
        drop(body);
        Outcome::Ok(Response::new(Mock::new(&[])))
    }));
    let mut upload = request(Method::POST, Version::HTTP_11, Mock::new(&[CHUNK, CHUNK]).streamed());
    upload.headers_mut().insert(CONTENT_LENGTH, 6.into());
    now(service.call(upload)).unwrap();
    assert_eq!(recorder.only().summary().unwrap().request_close, RequestClose::Complete);
}

#[test]
fn a_request_body_partly_read_is_closed_as_partial_and_the_exchange_is_complete() {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let mut service = layer.layer(service_fn(async |request: Incoming| {
        let _ = poll_body(&mut request.into_body());
        Outcome::Ok(Response::new(Mock::new(&[])))
    }));
    now(service.call(post())).unwrap();
    assert_eq!(
        recorder.only().words(),
        "begin req.data req.close(partial) response(200) res.end finish(released) close(complete)"
    );
}

#[test]
fn a_failed_request_body_is_never_complete_even_when_a_response_was_written() {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let mut service = layer.layer(service_fn(async |request: Incoming| {
        let _ = read(request.into_body());
        Outcome::Ok(with_status(400, Mock::new(&[])))
    }));
    let upload = Mock::new(&[CHUNK, Step::Error]).streamed();
    now(service.call(request(Method::POST, Version::HTTP_11, upload))).unwrap();
    let exchange = recorder.only();
    assert_eq!(
        exchange.words(),
        "begin req.data req.error(request_failed) req.close(failed) response(400) res.end \
         finish(released) close(request_failed)"
    );
    // Short of its length.
    let mut short = request(Method::POST, Version::HTTP_11, Mock::new(&[CHUNK]).streamed());
    short.headers_mut().insert(CONTENT_LENGTH, 6.into());
    now(service.call(short)).unwrap();
    let close = recorder.exchanges()[1].close();
    assert_eq!(close.reason, Reason::LengthMismatch);
}

#[test]
fn an_error_after_the_end_of_the_request_is_ignored() {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let mut service = layer.layer(service_fn(async |request: Incoming| {
        assert!(read(request.into_body()).is_err());
        Outcome::Ok(Response::new(Mock::new(&[])))
    }));
    // As hyper does after an early response: a spurious error on a complete body.
    let upload = Mock::new(&[CHUNK, Step::Error]).end(EndClaim::Flips);
    now(service.call(request(Method::POST, Version::HTTP_11, upload))).unwrap();
    let exchange = recorder.only();
    assert_eq!(exchange.reason(), Reason::Complete);
    assert_eq!(exchange.summary().unwrap().request_close, RequestClose::Complete);
}

#[test]
fn a_body_that_lies_is_never_a_wrong_complete() {
    let get = |version| request(Method::GET, version, Mock::new(&[]));
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let short = Mock::new(&[CHUNK]).end(EndClaim::Flips).hint(HintClaim::Exact(9));
        let exchange = answered(get(version), Response::new(short), 1);
        assert_eq!(exchange.reason(), Reason::LengthMismatch, "{version:?}");
        let trailers = Mock::new(&[CHUNK, Step::Trailers]).streamed();
        let exchange = answered(get(version), with_length(9, trailers), 2);
        assert_eq!(exchange.reason(), Reason::LengthMismatch, "{version:?}");
        let disagrees = with_length(9, Mock::new(&[CHUNK]));
        let exchange = answered(get(version), disagrees, 2);
        assert!(!exchange.reason().is_complete(), "{version:?} {exchange:#?}");
    }
}

// ===== 9. nothing is paid for what nobody asked =====

/// Counts how often it is asked.
struct Asked(Interest, Arc<[AtomicU64; 2]>);

impl Observer for Asked {
    type State = ();

    fn interest(&self) -> Interest {
        self.1[0].fetch_add(1, Ordering::Relaxed);
        self.0
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<()> {
        self.1[1].fetch_add(1, Ordering::Relaxed);
        Some(())
    }
}

#[test]
fn an_observer_states_its_interest_once() {
    let asked = Arc::<[AtomicU64; 2]>::default();
    let layer = LifecycleLayer::new(Asked(Interest::ALL, Arc::clone(&asked)));
    for _ in 0..3 {
        ordinary(&layer.clone());
    }
    assert_eq!(asked.each_ref().map(|count| count.load(Ordering::Relaxed)), [1, 3]);
}

#[test]
fn without_interest_begin_is_not_called() {
    let asked = Arc::<[AtomicU64; 2]>::default();
    let quiet = || Asked(Interest::NONE, Arc::clone(&asked));
    ordinary(&LifecycleLayer::new(quiet()));
    ordinary(&LifecycleLayer::new((quiet(), Recorder::new(), (quiet(),))));
    ordinary(&LifecycleLayer::new(((), None::<Recorder>)));
    ordinary(&LifecycleLayer::new(Hooks::new()));
    assert_eq!(asked[1].load(Ordering::Relaxed), 0);
}

#[test]
fn each_hook_is_called_for_its_interest_alone() {
    let hooks = [
        ("on_request_data", Interest::REQUEST_DATA),
        ("on_request_end", Interest::REQUEST_END),
        ("on_request_error", Interest::REQUEST_ERROR),
        ("on_request_close", Interest::REQUEST_CLOSE),
        ("on_response", Interest::RESPONSE),
        ("on_response_data", Interest::RESPONSE_DATA),
        ("on_response_end", Interest::RESPONSE_END),
        ("on_response_error", Interest::RESPONSE_ERROR),
        ("on_finish", Interest::FINISH),
        ("on_close", Interest::CLOSE),
    ];
    for (hook, interest) in hooks {
        for beside in [false, true] {
            let log = Log::default();
            let calls = Arc::clone(&log);
            let spy = Spy::new(move |hook| calls.lock().unwrap().push(hook.to_owned()));
            let spy = spy.interest(interest);
            if beside {
                both(&LifecycleLayer::new((spy, Recorder::new())));
            } else {
                both(&LifecycleLayer::new(spy));
            }
            let mut log = log.lock().unwrap().clone();
            log.retain(|called| called != "begin" && called != "drop");
            assert!(!log.is_empty(), "{hook} is called");
            assert!(log.iter().all(|called| called == hook), "{hook}: {log:?}");
        }
    }
}

#[test]
fn the_uri_and_the_trailers_are_kept_for_who_asked() {
    let reply = || Response::new(Mock::new(&[CHUNK, Step::Trailers]).streamed());
    for (interest, uri, wants_trailers) in [
        (Interest::ALL, true, true),
        (Interest::ALL - Interest::URI, false, true),
        (Interest::CLOSE | Interest::URI, true, false),
        (Interest::CLOSE, false, false),
    ] {
        let recorder = Recorder::with_interest(interest);
        answer(&LifecycleLayer::new(recorder.clone()), post(), reply(), 2);
        let summary = recorder.exchanges()[0].summary().cloned().unwrap();
        assert_eq!(summary.uri.is_some(), uri, "{interest:?}");
        let expected = wants_trailers.then(trailers);
        assert_eq!(summary.response.trailers.as_deref(), expected.as_ref(), "{interest:?}");
        assert!(summary.response.complete);
    }
    let recorder = Recorder::with_interest(Interest::ALL - Interest::TRAILERS);
    answer(&LifecycleLayer::new(recorder.clone()), post(), reply(), 2);
    assert!(recorder.only().words().contains("res.end+trailers"), "the hook has them all the same");
}

// ===== 10. close does not wait =====

#[test]
fn close_does_not_wait_for_a_request_body_that_a_task_holds() {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let (upload, body) = split(&layer);
    read(body).unwrap();
    let exchange = recorder.only();
    assert_eq!(exchange.summary().unwrap().request_close, RequestClose::Detached);
    assert!(exchange.dropped);
    assert_eq!(read(upload).unwrap(), 6, "which it can read on");
    assert_eq!(recorder.only().hooks.len(), exchange.hooks.len(), "later facts are ignored");
}

// ===== rules where two engineers would differ =====

#[test]
fn an_early_response_ends_finishes_detaches_the_request_and_closes() {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let (mut upload, mut body) = split(&layer);
    let _ = poll_body(&mut upload);
    read(Pin::new(&mut body)).unwrap();
    assert_eq!(
        recorder.only().words(),
        "begin response(200) req.data res.data res.end finish(released) req.close(detached) \
         close(complete)",
        "inside the call that saw the end"
    );
}

#[test]
fn one_exchange_is_one_call_so_a_retry_inside_which_we_are_makes_one_an_attempt() {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let attempts = Cell::new(0);
    let mut service = layer.layer(service_fn(|_: Incoming| {
        attempts.set(attempts.get() + 1);
        future::ready(if attempts.get() < 3 {
            Err(BoxError::from(Broken))
        } else {
            Ok(Response::new(Mock::new(&[])))
        })
    }));
    while now(service.call(post())).is_err() {}
    let exchanges = recorder.exchanges();
    exchanges.iter().for_each(Recording::assert_grammar);
    let reasons: Vec<_> = exchanges.iter().map(Recording::reason).collect();
    assert_eq!(reasons, [Reason::ServiceFailed, Reason::ServiceFailed, Reason::Complete]);
    assert_eq!(
        exchanges[0].words(),
        "begin req.close(unread) res.error(service_failed) close(service_failed)"
    );
    assert_eq!(exchanges[0].close().evidence, Evidence::Return);
}

#[test]
fn an_error_of_poll_ready_makes_no_exchange() {
    struct Unready;
    impl Service<Incoming> for Unready {
        type Response = Response<Mock>;
        type Error = BoxError;
        type Future = future::Ready<Outcome>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Err(Broken.into()))
        }
        fn call(&mut self, _: Incoming) -> Self::Future {
            unreachable!("not ready")
        }
    }
    let recorder = Recorder::new();
    let mut service = LifecycleLayer::new(recorder.clone()).layer(Unready);
    let ready = now(future::poll_fn(|cx| Service::<Request<Mock>>::poll_ready(&mut service, cx)));
    assert_eq!(ready.unwrap_err().to_string(), "broken");
    assert!(recorder.exchanges().is_empty());
}

#[test]
fn the_layer_twice_observes_two_exchanges_of_which_the_inner_closes_first() {
    let log = Log::default();
    let outer = LifecycleLayer::new(named("outer", &log));
    let inner = LifecycleLayer::new(named("inner", &log));
    let handler = service_fn(async |request: Request<RequestBody<RequestBody<Mock>>>| {
        read(request.into_body())?;
        Outcome::Ok(Response::new(Mock::new(&[CHUNK])))
    });
    let response = now(outer.layer(inner.layer(handler)).call(post())).unwrap();
    read(response.into_body()).unwrap();
    let log = log.lock().unwrap();
    let at = |entry: &str| log.iter().position(|logged| logged == entry).unwrap();
    assert!(at("outer.begin") < at("inner.begin"));
    assert!(at("inner.on_request_end") != at("outer.on_request_end"));
    assert!(at("inner.on_close") < at("outer.on_close"));
}

/// Of a response that is there while a hook runs it waits for its turn.
#[test]
fn the_summary_has_the_version_that_was_asked_for_at_a_server_and_spoken_at_a_client() {
    for (role, in_a_hook, expected) in [
        (Role::Server, false, Version::HTTP_11),
        (Role::Server, true, Version::HTTP_11),
        (Role::Client, false, Version::HTTP_2),
        (Role::Client, true, Version::HTTP_2),
    ] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (head, end) = (Arc::clone(&told), Arc::clone(&told));
        let answer = Arc::new(Mutex::new(None::<ResponseFuture<future::Ready<Outcome>>>));
        let answers = Arc::clone(&answer);
        let hooks = Hooks::new()
            .on_request_data(move |_| drop(answers.lock().unwrap().take().map(now)))
            .on_response(move |response| head.lock().unwrap().push(response.version))
            .on_close(move |summary| end.lock().unwrap().push(summary.version));
        let layer = LifecycleLayer::new(hooks);
        let layer = if role == Role::Client { layer.client() } else { layer };
        let upload = Cell::new(None);
        let called = layer
            .layer(service_fn(|request: Incoming| {
                upload.set(Some(request.into_body()));
                let response = Response::builder().version(Version::HTTP_2);
                future::ready(Outcome::Ok(response.body(Mock::empty()).unwrap()))
            }))
            .call(post());
        if in_a_hook {
            *answer.lock().unwrap() = Some(called);
            let _ = poll_body(&mut upload.take().unwrap());
        } else {
            drop(now(called));
        }
        assert_eq!(*told.lock().unwrap(), [Version::HTTP_2, expected], "{role:?} {in_a_hook}");
    }

    let recorder = Recorder::new();
    let mut service = LifecycleLayer::new(recorder.clone())
        .client()
        .layer(service_fn(|_: Incoming| future::pending::<Outcome>()));
    drop(service.call(post()));
    assert_eq!(recorder.only().summary().unwrap().version, Version::HTTP_11, "nobody answered");
}

#[test]
fn a_client_has_no_finish_and_its_drop_is_cancelled_by_itself() {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone()).client();
    ordinary(&layer);
    assert!(!recorder.only().words().contains("finish"));
    assert_eq!(recorder.only().reason(), Reason::Complete);

    drop(layer.layer(service_fn(echo)).call(post()));
    let (_upload, body) = split(&layer);
    drop(body);
    for exchange in &recorder.exchanges()[1..] {
        exchange.assert_grammar();
        let close = exchange.close();
        assert_eq!(close.reason, Reason::Cancelled);
        assert_eq!((close.initiator, close.evidence), (Initiator::Local, Evidence::Drop));
    }
}

#[test]
fn error_hooks_get_a_kind_and_the_error_where_its_type_is_known() {
    fn fails<E: 'static>(layer: &LifecycleLayer<Recorder>, fault: fn() -> E) {
        let mut service =
            layer.layer(service_fn(async |request: Request<RequestBody<MockBody<E>>>| {
                assert!(read(request.into_body()).is_err());
                Ok::<_, E>(Response::new(MockBody::fails_after(0).fails_with(fault)))
            }));
        let upload = MockBody::fails_after(0).fails_with(fault);
        let Ok(response) = now(service.call(request(Method::POST, Version::HTTP_11, upload)))
        else {
            panic!("a response");
        };
        assert!(read(response.into_body()).is_err());
        let mut fails = layer.layer(service_fn(async |_: Request<RequestBody<MockBody<E>>>| {
            Err::<Response<MockBody<E>>, E>(fault())
        }));
        let upload = MockBody::empty().fails_with(fault);
        assert!(now(fails.call(request(Method::POST, Version::HTTP_11, upload))).is_err());
    }
    fn errors(recorder: &Recorder) -> Vec<Option<String>> {
        let hooks = recorder.exchanges().into_iter().flat_map(|exchange| exchange.hooks);
        hooks
            .filter_map(|hook| match hook {
                EventKind::RequestError(failed) | EventKind::ResponseError(failed) => {
                    Some(failed.error)
                }
                _ => None,
            })
            .collect()
    }
    let known = vec![Some("broken".to_owned()); 3];
    let unknown = vec![None; 3];
    let (boxed, io, none, one, told) =
        <(Recorder, Recorder, Recorder, Recorder, Recorder)>::default();
    fails(&LifecycleLayer::new(boxed.clone()), || BoxError::from(Broken));
    fails(&LifecycleLayer::new(io.clone()), || io::Error::other("broken"));
    fails(&LifecycleLayer::new(none.clone()), || NotAnError);
    fails(&LifecycleLayer::new(one.clone()), || Broken);
    fails(&LifecycleLayer::new(told.clone()).known_error::<Broken>(), || Broken);
    assert_eq!(errors(&boxed), known);
    assert_eq!(errors(&io), known);
    assert_eq!(errors(&none), unknown);
    assert_eq!(errors(&one), unknown);
    assert_eq!(errors(&told), known);
}

/// How an HTTP stack wraps what its transport says.
#[derive(Debug)]
struct Stack(io::Error);

impl std::fmt::Display for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("error of a stack")
    }
}

impl std::error::Error for Stack {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// The verdict of an exchange whose request fails after a frame and is answered with 400.
fn failed_upload<E: std::error::Error + 'static>(error: E) -> tower_lifecycle::Close {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone()).known_error::<E>();
    let failing = http_body_util::StreamBody::new(futures_util::stream::iter([
        Ok(Frame::data(data(3))),
        Err(error),
    ]));
    let mut service = layer.layer(service_fn(async |request: Request<RequestBody<_>>| {
        let _ = read(request.into_body());
        Outcome::Ok(with_status(400, Mock::new(&[])))
    }));
    now(service.call(request(Method::POST, Version::HTTP_11, failing))).unwrap();
    recorder.only().close()
}

#[test]
fn a_request_body_that_failed_by_eof_or_reset_tells_what_the_peer_did() {
    for (kind, reason, initiator) in [
        (io::ErrorKind::UnexpectedEof, Reason::Disconnected, Initiator::Peer),
        (io::ErrorKind::ConnectionReset, Reason::Reset, Initiator::Peer),
        (io::ErrorKind::BrokenPipe, Reason::Reset, Initiator::Peer),
        (io::ErrorKind::InvalidInput, Reason::RequestFailed, Initiator::Unknown),
    ] {
        let close = failed_upload(Stack(io::Error::from(kind)));
        assert_eq!((close.reason, close.initiator), (reason, initiator), "{kind}");
    }
}

#[test]
fn an_end_of_file_that_nobody_wrapped_may_be_a_decoders_and_is_not_the_peers() {
    let close = failed_upload(io::Error::from(io::ErrorKind::UnexpectedEof));
    assert_eq!((close.reason, close.initiator), (Reason::RequestFailed, Initiator::Unknown));
}

#[test]
fn a_client_reads_the_body_that_an_inner_layer_put_in_place_of_the_one_declared() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for content in ["", "abc", "abcdefgh"] {
            let recorder = Recorder::new();
            let layer = LifecycleLayer::new(recorder.clone()).client();
            let mut service = layer.layer(service_fn(async |request: Incoming| {
                read(request.into_body())?;
                let body = http_body_util::Full::from(content);
                let response = Response::builder().version(version).header(CONTENT_LENGTH, 5);
                Outcome::Ok(response.body(body).unwrap())
            }));
            let response = now(service.call(post())).unwrap();
            assert_eq!(read(response.into_body()).unwrap(), content.len());
            assert_eq!(recorder.only().reason(), Reason::Complete, "{version:?} {content}");
        }
    }
}

#[test]
fn a_clients_caller_that_panics_for_reasons_of_its_own_has_cancelled() {
    quiet();
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone()).client();
    let mut service = layer.layer(service_fn(|_: Incoming| future::pending::<Outcome>()));
    drop_unwinding(service.call(post()));
    assert_eq!(recorder.only().reason(), Reason::Cancelled);
}

#[test]
fn a_panic_that_took_the_request_body_alone_does_not_tell_where_a_later_one_was() {
    quiet();
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone());
    let mut service = layer.layer(service_fn(async |request: Incoming| {
        drop_unwinding(request.into_body());
        Outcome::Ok(Response::new(Mock::new(&[CHUNK, CHUNK]).streamed()))
    }));
    drop_unwinding(now(service.call(post())).unwrap());
    let close = recorder.only().close();
    assert_eq!((close.reason, close.stage), (Reason::Panicked, Stage::Response));
}

#[test]
fn a_member_that_panics_when_it_is_asked_for_its_interest_is_silent_alone() {
    struct Flaky(AtomicBool);
    impl Observer for Flaky {
        type State = ();
        fn interest(&self) -> Interest {
            if self.0.swap(true, Ordering::Relaxed) { boom() } else { Interest::ALL }
        }
        fn begin(&self, _: &RequestHead<'_>) -> Option<()> {
            Some(())
        }
    }
    quiet();
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new((recorder.clone(), Flaky(AtomicBool::new(false))));
    ordinary(&layer);
    assert_eq!(recorder.only().reason(), Reason::Complete);
    assert_eq!(layer.observer_panics(), 1);
}

#[test]
fn middleware_can_make_bodies_of_its_own_in_place_of_the_wrapped_ones() {
    assert_impl_all!(RequestBody<http_body_util::Empty<Bytes>>: Default, Clone);
    assert_impl_all!(ResponseBody<http_body_util::Empty<Bytes>>: Default);
    assert_impl_all!(RequestBody<http_body_util::Empty<Bytes>>: std::panic::UnwindSafe, std::panic::RefUnwindSafe);
}

// ===== composition =====

#[test]
fn members_hear_in_order_on_the_way_in_and_in_reverse_for_response_finish_and_close() {
    let log = Log::default();
    let layer = LifecycleLayer::new((named("a", &log), named("b", &log), named("c", &log)));
    ordinary(&layer);
    let log = log.lock().unwrap();
    let order = |hook: &str| -> String {
        let hook = format!(".{hook}");
        log.iter().filter_map(|entry| entry.strip_suffix(&hook)).collect()
    };
    for hook in ["begin", "on_request_end", "on_request_close"] {
        assert_eq!(order(hook), "abc", "{hook}");
    }
    assert_eq!(order("on_request_data"), "abcabc");
    for hook in ["on_response", "on_response_end", "on_finish", "on_close"] {
        assert_eq!(order(hook), "cba", "{hook}");
    }
    assert_eq!(order("on_response_data"), "cbacba");
}

#[test]
fn observers_compose_as_tuples_options_arcs_and_boxes() {
    let r: [Recorder; 8] = std::array::from_fn(|_| Recorder::new());
    let inner = (Some(r[0].clone()), None::<Recorder>, ());
    let layer = LifecycleLayer::new((
        inner,
        Arc::new(r[1].clone()),
        Box::new(r[2].clone()),
        BoxObserver::new(r[3].clone()),
        BoxObserver::new((r[4].clone(), BoxObserver::new(r[5].clone()))),
        Some(Arc::new(Some(r[6].clone()))),
        (r[7].clone(),),
        Hooks::new().on_close(|summary| assert_eq!(summary.close.reason, Reason::Complete)),
    ));
    ordinary(&layer);
    assert_eq!(layer.observer_panics(), 0);
    let words = r[0].only().words();
    assert_eq!(words.split(' ').count(), 9, "{words}");
    for recorder in &r {
        assert_eq!(recorder.only().words(), words);
    }
}

#[test]
fn closures_are_told_of_waits_if_they_ask() {
    for (interest, told) in [(Interest::NONE, false), (Interest::WAITS, true)] {
        let waits = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&waits);
        let hooks = Hooks::new().on_close(move |summary| {
            let wait = summary.request.wait().and(summary.response.wait());
            counts.fetch_add(usize::from(wait.is_some()), Ordering::Relaxed);
        });
        ordinary(&LifecycleLayer::new(hooks.with_interest(interest)));
        assert_eq!(waits.load(Ordering::Relaxed), usize::from(told));
    }
}

#[test]
fn closures_hear_what_they_asked_for() {
    let log = Log::default();
    let (close, data) = (Arc::clone(&log), Arc::clone(&log));
    let layer = LifecycleLayer::new(
        Hooks::new()
            .on_response_data(move |data_: Data| {
                data.lock().unwrap().push(format!("{} bytes", data_.bytes));
            })
            .on_close(move |summary| close.lock().unwrap().push(summary.close.to_string())),
    );
    ordinary(&layer);
    assert_eq!(*log.lock().unwrap(), ["3 bytes", "3 bytes", "complete, by local, known by frame"]);
}

// ===== what is held =====

/// Knows when the observer's state is gone.
#[derive(Clone, Default)]
struct Weighed(Arc<()>);

impl Observer for Weighed {
    type State = Self;

    fn begin(&self, _: &RequestHead<'_>) -> Option<Self> {
        Some(self.clone())
    }
}

impl Listener for Weighed {}

#[test]
fn after_the_close_nothing_of_the_state_is_alive_though_a_task_holds_the_request_body() {
    let weighed = Weighed::default();
    let layer = LifecycleLayer::new(weighed.clone());
    let at_rest = Arc::strong_count(&weighed.0);
    let (upload, body) = split(&layer);
    assert_eq!(Arc::strong_count(&weighed.0), at_rest + 1);
    read(body).unwrap();
    assert_eq!(Arc::strong_count(&weighed.0), at_rest);
    drop(upload);

    let boxed = LifecycleLayer::new((BoxObserver::new(weighed.clone()), weighed.clone()));
    let at_rest = Arc::strong_count(&weighed.0);
    let (upload, body) = split(&boxed);
    drop(body);
    assert_eq!(Arc::strong_count(&weighed.0), at_rest);
    drop(upload);
}

#[test]
fn the_inner_bodies_are_dropped_when_the_wrappers_are() {
    let layer = LifecycleLayer::new(Recorder::new());
    let mut reply = Mock::new(&[CHUNK]).streamed();
    let mut upload = Mock::new(&[CHUNK]).streamed();
    let probes = [upload.probe(), reply.probe()];
    let reply = Cell::new(Some(reply));
    let kept = Cell::new(None);
    let mut service = layer.layer(service_fn(|request: Incoming| {
        kept.set(Some(request.into_body()));
        future::ready(Outcome::Ok(Response::new(reply.take().unwrap())))
    }));
    let response = now(service.call(request(Method::POST, Version::HTTP_11, upload))).unwrap();
    let dropped = |at: usize| probes[at].is_dropped();
    assert!(!dropped(0) && !dropped(1));
    drop(response);
    assert!(dropped(1) && !dropped(0));
    drop(kept.take());
    assert!(dropped(0));
}

#[test]
fn the_inner_future_is_gone_before_the_response_is_reported() {
    let weighed = Arc::new(());
    let weak = Arc::downgrade(&weighed);
    let seen = Arc::new(AtomicUsize::new(usize::MAX));
    let (at_response, watched) = (Arc::clone(&seen), weak.clone());
    let layer = LifecycleLayer::new(Spy::new(move |hook| {
        if hook == "on_response" {
            at_response.store(watched.strong_count(), Ordering::Relaxed);
        }
    }));
    let weighed = Cell::new(Some(weighed));
    let mut service = layer.layer(service_fn(|request: Incoming| {
        let held = (weighed.take(), request);
        let mut future = Box::pin(async move {
            let _held = held;
            Outcome::Ok(Response::new(Mock::new(&[])))
        });
        future::poll_fn(move |cx| future.as_mut().poll(cx))
    }));
    let future = pin!(service.call(post()));
    assert!(poll_once(future).is_ready());
    assert_eq!(seen.load(Ordering::Relaxed), 0);
}

/// An error whose source cannot be asked for.
#[derive(Debug)]
struct Bottomless;

impl std::fmt::Display for Bottomless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bottomless")
    }
}

impl std::error::Error for Bottomless {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        boom()
    }
}

#[test]
fn an_error_that_panics_when_it_is_asked_for_its_source_passes_as_it_would_without_us() {
    quiet();
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone()).client();
    let fails = || {
        http_body_util::StreamBody::new(futures_util::stream::once(future::ready(Err::<
            Frame<Bytes>,
            _,
        >(
            io::Error::other(Bottomless),
        ))))
    };
    let mut service = layer.layer(service_fn(|request: Incoming| {
        drop(request);
        future::ready(Ok::<_, BoxError>(Response::new(fails())))
    }));
    let mut body = now(service.call(post())).unwrap().into_body();
    assert!(matches!(poll_body(&mut body), Poll::Ready(Some(Err(_)))));
    assert_eq!(recorder.only().reason(), Reason::ResponseFailed);
}
