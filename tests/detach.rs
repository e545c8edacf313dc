//! Detached handlers and shielded sections: in memory with tokio's paused clock, then over the real hyper.
#![cfg(feature = "detach")]

mod support;

use std::{
    convert::Infallible,
    future::{self, Future},
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tokio::{
    runtime,
    sync::{Semaphore, oneshot},
    task::{coop::consume_budget, yield_now},
    time::{Instant, advance, sleep, timeout},
};
use tower::{Layer, Service, service_fn};
use tower_lifecycle::{
    LifecycleLayer, RequestBody,
    detach::{Detach, DetachLayer, Detached, ResponseFuture, shield},
    testing::{Http2Frame, PANIC, Recorder},
};

use support::{
    client::{
        Act::{self, AwaitParked, Close, Read, ReadStream, ReadToEnd, Request as Ask, Reset, Rst},
        Client,
    },
    panics::{boom, quiet},
    polls::poll_once,
    reads_hyper,
    rows::{BODILESS, GONE_IN_HANDLER, HANDLER_PANICKED, PATIENCE, run},
    server::{Server, Signals},
};

type Answer<T> = Result<T, Infallible>;

const GRACE: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

assert_impl_all!(ResponseFuture<Answer<std::cell::Cell<u8>>>: Send, Sync, Unpin);
assert_impl_all!(DetachLayer: Clone, Send, Sync);
assert_impl_all!(Detached: Clone, Send, Sync);
assert_not_impl_any!(Detach<Recorder>: Copy);

/// What happened and when, in the order in which it did.
#[derive(Clone)]
struct Log {
    start: Instant,
    lines: Arc<Mutex<Vec<(Duration, &'static str)>>>,
}

/// Says when it is dropped.
struct OnDrop(Log, &'static str);

impl Log {
    fn new() -> Self {
        Self { start: Instant::now(), lines: Arc::default() }
    }

    fn say(&self, what: &'static str) {
        self.lines.lock().unwrap().push((self.start.elapsed(), what));
    }

    fn on_drop(&self, what: &'static str) -> OnDrop {
        OnDrop(self.clone(), what)
    }

    #[track_caller]
    fn assert(&self, lines: &[(Duration, &'static str)]) {
        assert_eq!(*self.lines.lock().unwrap(), lines);
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.say(self.1);
    }
}

/// Calls a detached handler that comes to `handler`.
fn call<F>(layer: &DetachLayer, handler: F) -> ResponseFuture<Answer<F::Output>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut handler = Some(handler.map(Ok));
    layer.layer(service_fn(move |()| handler.take().expect("called once"))).call(())
}

/// Calls it, waits for `patience`, and leaves.
async fn call_and_leave<F>(layer: &DetachLayer, log: &Log, patience: Duration, handler: F)
where
    F: Future<Output: Send> + Send + 'static,
{
    assert!(timeout(patience, call(layer, handler)).await.is_err(), "still at work");
    log.say("the client leaves");
}

/// Waits until nothing runs. The clock is paused, so that what would hang fails at once.
async fn idle(detached: &Detached) {
    timeout(2 * YEAR, detached.idle()).await.expect("something runs for ever");
}

// ===== detached handlers =====

#[tokio::test(start_paused = true)]
async fn nothing_is_bounded_while_the_response_future_lives() {
    let layer = DetachLayer::new(GRACE);
    let answer = call(&layer, sleep(100 * GRACE).map(|()| "late")).await;
    assert_eq!(answer, Ok("late"));
    assert_eq!(layer.detached().running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_client_left_is_dropped_when_the_grace_is_over_and_not_before() {
    let (layer, log) = (DetachLayer::new(GRACE), Log::new());
    let held = log.on_drop("the handler is dropped");
    let handler = async move {
        let _held = held;
        future::pending::<()>().await;
    };
    call_and_leave(&layer, &log, SECOND, handler).await;
    idle(&layer.detached()).await;
    log.say("idle");
    let end = SECOND + GRACE;
    log.assert(&[(SECOND, "the client leaves"), (end, "the handler is dropped"), (end, "idle")]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_ends_within_the_grace_and_its_response_is_dropped_in_the_task() {
    // The last is ready at the very end of the grace, which still counts.
    for work in [2 * SECOND, SECOND + GRACE] {
        let (layer, log) = (DetachLayer::new(GRACE), Log::new());
        let response = log.on_drop("the response is dropped");
        let held = log.on_drop("the handler is dropped");
        let says = log.clone();
        let handler = async move {
            let _held = held;
            sleep(work).await;
            says.say("done");
            response
        };
        call_and_leave(&layer, &log, SECOND, handler).await;
        idle(&layer.detached()).await;
        log.say("idle");
        log.assert(&[
            (SECOND, "the client leaves"),
            (work, "done"),
            (work, "the handler is dropped"),
            (work, "the response is dropped"),
            (work, "idle"),
        ]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_uses_up_its_budget_in_every_poll_is_dropped_too() {
    let (layer, log) = (DetachLayer::new(GRACE), Log::new());
    let (says, held) = (log.clone(), log.on_drop("the handler is dropped"));
    let response = call(&layer, async move {
        let _held = held;
        // Not for ever, so that a handler that is not dropped fails the test.
        for _ in 0..1_000_000 {
            consume_budget().await;
        }
        says.say("the handler ends");
    });
    yield_now().await;
    drop(response);
    yield_now().await;
    advance(4 * SECOND).await;
    yield_now().await;
    log.assert(&[]);
    advance(SECOND).await;
    idle(&layer.detached()).await;
    log.assert(&[(GRACE, "the handler is dropped")]);
}

#[tokio::test(start_paused = true)]
async fn without_a_grace_a_handler_is_not_polled_again() {
    for polls in [0, 1] {
        let (layer, log) = (DetachLayer::new(Duration::ZERO), Log::new());
        let (says, held) = (log.clone(), log.on_drop("dropped"));
        let response = call(&layer, async move {
            let _held = held;
            says.say("polled");
            // Would go on at the next poll.
            yield_now().await;
            yield_now().await;
            says.say("went on");
        });
        if polls > 0 {
            yield_now().await;
        }
        drop(response);
        idle(&layer.detached()).await;
        let told = [(Duration::ZERO, "polled"), (Duration::ZERO, "dropped")];
        log.assert(&told[1 - polls..]);
    }
}

#[tokio::test(start_paused = true)]
async fn with_an_endless_grace_a_handler_runs_to_its_end() {
    let (layer, log) = (DetachLayer::new(Duration::MAX), Log::new());
    let says = log.clone();
    let handler = sleep(YEAR).map(move |()| says.say("done"));
    call_and_leave(&layer, &log, SECOND, handler).await;
    idle(&layer.detached()).await;
    log.assert(&[(SECOND, "the client leaves"), (YEAR, "done")]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_runs_although_its_response_future_was_never_polled() {
    let (layer, log) = (DetachLayer::new(GRACE), Log::new());
    let says = log.clone();
    drop(call(&layer, sleep(SECOND).map(move |()| says.say("done"))));
    assert_eq!(layer.detached().running(), 1);
    idle(&layer.detached()).await;
    log.assert(&[(SECOND, "done")]);
    // And for no longer than any other.
    drop(call(&layer, future::pending::<()>()));
    idle(&layer.detached()).await;
    assert_eq!(log.start.elapsed(), SECOND + GRACE);
}

#[tokio::test(start_paused = true)]
async fn a_panic_goes_on_in_the_response_future_with_its_own_payload() {
    quiet();
    let layer = DetachLayer::new(GRACE);
    for delay in [Duration::ZERO, SECOND] {
        let response = call(&layer, sleep(delay).map(|()| boom()));
        let payload = AssertUnwindSafe(response).catch_unwind().await.unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&PANIC));
        assert_eq!(layer.detached().running(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_after_the_client_left_stays_in_the_task() {
    quiet();
    let (layer, log) = (DetachLayer::new(GRACE), Log::new());
    let held = log.on_drop("the handler is dropped");
    let handler = async move {
        let _held = held;
        sleep(2 * SECOND).await;
        boom();
    };
    call_and_leave(&layer, &log, SECOND, handler).await;
    idle(&layer.detached()).await;
    log.assert(&[(SECOND, "the client leaves"), (2 * SECOND, "the handler is dropped")]);
}

#[tokio::test]
#[should_panic(expected = "polled after completion")]
async fn a_response_future_that_was_ready_panics_when_it_is_polled_again() {
    let mut response = call(&DetachLayer::new(GRACE), future::ready(()));
    assert_eq!((&mut response).await, Ok(()));
    let _ = response.await;
}

#[test]
#[should_panic(expected = "no reactor running")]
fn a_call_outside_of_a_runtime_panics() {
    drop(call(&DetachLayer::new(GRACE), future::ready(())));
}

#[test]
fn readiness_is_the_inner_services() {
    struct Picky;
    impl Service<()> for Picky {
        type Response = ();
        type Error = &'static str;
        type Future = future::Ready<Result<(), &'static str>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            Poll::Ready(Err("closed for today"))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            future::ready(Ok(()))
        }
    }
    let mut service = DetachLayer::new(GRACE).layer(Picky);
    let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    assert_eq!(ready, Poll::Ready(Err("closed for today")));
}

#[test]
fn a_runtime_that_shuts_down_drops_handlers_and_sections_and_nobody_waits_for_ever() {
    let runtime = runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let layer = DetachLayer::new(Duration::MAX);
    let (mut polled, unpolled, section) = runtime.block_on(async {
        let polled = call(&layer, future::pending::<()>());
        let mut section = Box::pin(layer.detached().shield(future::pending::<()>()));
        assert!(poll_once(section.as_mut()).is_pending());
        yield_now().await;
        (polled, call(&layer, future::pending::<()>()), section)
    });
    assert!(poll_once(pin!(&mut polled)).is_pending());
    assert_eq!(layer.detached().running(), 3);
    drop(runtime);
    assert_eq!(layer.detached().running(), 0);
    let ends = [polled.map(drop).boxed(), unpolled.map(drop).boxed(), section];
    for end in ends {
        let payload = AssertUnwindSafe(end).catch_unwind().now_or_never().unwrap().unwrap_err();
        let said = payload.downcast_ref::<&str>().unwrap();
        assert_eq!(*said, "the runtime was shut down before the end of the task");
    }
}

// ===== idle =====

#[tokio::test(start_paused = true)]
async fn idle_is_for_all_who_wait_at_whatever_time_they_ask() {
    let layer = DetachLayer::new(GRACE);
    let detached = layer.detached();
    detached.idle().await;
    let first = call(&layer, future::pending::<()>());
    let second = call(&layer.clone(), future::pending::<()>());
    assert_eq!(detached.running(), 2);
    let waiters: Vec<_> = (0..10)
        .map(|_| {
            let detached = detached.clone();
            tokio::spawn(async move { idle(&detached).await })
        })
        .collect();
    drop(first);
    sleep(2 * GRACE).await;
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()), "one is left");
    drop(second);
    for waiter in waiters {
        waiter.await.unwrap();
    }
    detached.idle().await;
}

#[tokio::test(start_paused = true)]
async fn what_runs_counts_until_it_is_gone_and_its_response_with_it() {
    /// Held by a handler or by a response, which counts as long as this lives.
    struct Held(Detached, Log);

    impl Drop for Held {
        fn drop(&mut self) {
            self.1.say(if self.0.running() > 0 { "counted" } else { "forgotten" });
        }
    }

    let (layer, log) = (DetachLayer::new(GRACE), Log::new());
    let detached = layer.detached();
    let held = || Held(detached.clone(), log.clone());
    let (in_handler, in_response) = (held(), held());
    drop(call(&layer, async move {
        let _held = in_handler;
        in_response
    }));
    idle(&detached).await;
    let in_handler = held();
    drop(call(&layer, async move {
        let _held = in_handler;
        future::pending::<()>().await;
    }));
    idle(&detached).await;
    let in_section = held();
    drop(detached.shield(async move { drop(in_section) }));
    let in_section = held();
    detached.shield(async move { drop(in_section) }).await;
    let told = log.lines.lock().unwrap().iter().map(|(_, what)| *what).collect::<Vec<_>>();
    assert_eq!(told, ["counted"; 5]);
}

#[tokio::test]
async fn idle_remembers_a_moment_in_which_nothing_ran() {
    let layer = DetachLayer::new(GRACE);
    let detached = layer.detached();
    let (end, ended) = oneshot::channel::<()>();
    let first = call(&layer, ended);
    let mut idle = pin!(detached.idle());
    assert!(poll_once(idle.as_mut()).is_pending());
    end.send(()).unwrap();
    assert_eq!(first.await, Ok(Ok(())));
    let _second = call(&layer, future::pending::<()>());
    assert!(poll_once(idle).is_ready());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_is_lost_between_threads() {
    let layer = DetachLayer::new(GRACE);
    let detached = layer.detached();
    for _ in 0..10_000 {
        drop(call(&layer, future::ready(())));
        timeout(PATIENCE, detached.idle()).await.expect("a lost wake-up");
    }
}

// ===== shield =====

#[tokio::test(start_paused = true)]
async fn a_section_runs_to_its_end_once_it_was_polled() {
    let (detached, log) = (Detached::default(), Log::new());
    let says = log.clone();
    let section = sleep(GRACE).map(move |()| says.say("done"));
    assert!(timeout(SECOND, detached.shield(section)).await.is_err());
    log.say("given up");
    assert_eq!(detached.running(), 1);
    idle(&detached).await;
    log.assert(&[(SECOND, "given up"), (GRACE, "done")]);
}

#[tokio::test]
async fn a_section_that_was_not_polled_never_begins() {
    let detached = Detached::default();
    let (end, mut ended) = oneshot::channel::<()>();
    let section = detached.shield(async { drop(end) });
    assert_eq!(detached.running(), 1);
    yield_now().await;
    assert!(ended.try_recv() == Err(oneshot::error::TryRecvError::Empty), "not begun");
    drop(section);
    assert_eq!(detached.running(), 0);
}

#[tokio::test]
async fn the_output_and_the_panic_of_a_section_come_out_where_it_is_awaited() {
    quiet();
    assert_eq!(shield(future::ready(42)).await, 42);
    let section = shield(async { boom() });
    let payload = AssertUnwindSafe(section).catch_unwind().await.unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&PANIC));
    // It borrows nothing, so it can be kept, and run by another task.
    let section = { Detached::default().shield(future::ready("kept")) };
    assert_eq!(tokio::spawn(section).await.unwrap(), "kept");
}

#[tokio::test(start_paused = true)]
async fn the_grace_of_a_handler_does_not_bound_its_section() {
    let (layer, log) = (DetachLayer::new(GRACE), Log::new());
    let (says, detached) = (log.clone(), layer.detached());
    let held = log.on_drop("the handler is dropped");
    let handler = async move {
        let _held = held;
        detached.shield(sleep(3 * GRACE).map(move |()| says.say("committed"))).await;
    };
    call_and_leave(&layer, &log, SECOND, handler).await;
    idle(&layer.detached()).await;
    log.assert(&[
        (SECOND, "the client leaves"),
        (SECOND + GRACE, "the handler is dropped"),
        (3 * GRACE, "committed"),
    ]);
}

// ===== over the real hyper =====

type Upload = Request<RequestBody<Incoming>>;
type Reply = Answer<Response<Full<Bytes>>>;

const CANCEL: u32 = Http2Frame::CANCEL;
const GET: Act = Act::Send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
const HALF: Act = Act::Send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello");
const LEAVERS: [&[Act]; 5] = [
    &[GET, AwaitParked, Close],
    &[GET, AwaitParked, Reset],
    &[Ask(1, "GET", &[], true), AwaitParked, Close],
    &[Ask(1, "GET", &[], true), AwaitParked, Reset],
    &[Ask(1, "GET", &[], true), AwaitParked, Rst(1, CANCEL)],
];

/// The layer under test inside [`LifecycleLayer`], served by hyper, and a client that plays `script`.
struct Scene {
    recorder: Recorder,
    detached: Detached,
    // Held until the end of the test.
    client: Client,
    _server: Server,
}

impl Scene {
    async fn play<H, F>(grace: Duration, script: &[Act], signals: &Signals, handler: H) -> Self
    where
        H: Fn(Upload) -> F + Clone + Send + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let layer = DetachLayer::new(grace);
        let detached = layer.detached();
        let mut scene = Self::serve(layer.layer(service_fn(handler)), detached).await;
        scene.client.play(script, signals).await;
        scene
    }

    async fn serve<S>(service: S, detached: Detached) -> Self
    where
        S: Service<Upload, Response = Response<Full<Bytes>>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        let recorder = Recorder::new();
        let service = reads_hyper(LifecycleLayer::new(recorder.clone())).layer(service);
        let server = Server::start(service).await;
        let client = Client::connect(server.addr).await;
        Self { recorder, detached, client, _server: server }
    }

    /// The only exchange is closed: as it was told, and why.
    async fn closed(&self) -> (String, String) {
        self.recorder.settled(1).await;
        let exchange = self.recorder.only();
        (exchange.words(), exchange.close().to_string())
    }
}

fn hello() -> Response<Full<Bytes>> {
    Response::new(Full::from("hello"))
}

fn told(words: &[&str], verdict: &str) -> (String, String) {
    (words.join(" "), verdict.to_owned())
}

#[test]
fn the_close_is_told_at_once_and_the_handler_finishes_within_the_grace() {
    for script in LEAVERS {
        run(async {
            let signals = Arc::new(Signals::default());
            let handlers = Arc::clone(&signals);
            let handler = move |_| {
                let signals = Arc::clone(&handlers);
                async move {
                    signals.parked.notify_one();
                    signals.release.notified().await;
                    signals.drained.notify_one();
                    Ok(hello())
                }
            };
            let scene = Scene::play(Duration::MAX, script, &signals, handler).await;
            let closed = scene.closed().await;
            assert_eq!(closed, told(&[BODILESS, "close(unknown)"], GONE_IN_HANDLER), "{script:?}");
            assert_eq!(scene.detached.running(), 1, "{script:?}");
            signals.release.notify_one();
            scene.detached.idle().await;
            let finished = signals.drained.notified().now_or_never();
            assert!(finished.is_some(), "{script:?}");
        });
    }
}

#[test]
fn a_handler_that_outlasts_the_grace_is_dropped() {
    for script in LEAVERS {
        run(async {
            let signals = Arc::new(Signals::default());
            let log = Log::new();
            let (handlers, logs) = (Arc::clone(&signals), log.clone());
            let handler = move |_| {
                let (signals, held) = (Arc::clone(&handlers), logs.on_drop("dropped"));
                async move {
                    let _held = held;
                    signals.parked.notify_one();
                    future::pending().await
                }
            };
            // Waited for; nothing is asserted about how long it takes.
            let grace = Duration::from_millis(30);
            let scene = Scene::play(grace, script, &signals, handler).await;
            scene.detached.idle().await;
            let lines = log.lines.lock().unwrap().iter().map(|(_, what)| *what).collect::<Vec<_>>();
            assert_eq!(lines, ["dropped"], "{script:?}");
        });
    }
}

#[test]
fn an_upload_that_broke_off_is_an_error_to_the_detached_handler() {
    let broken: [&[Act]; 3] = [
        &[HALF, AwaitParked, Close],
        &[Ask(1, "POST", &[], false), Act::Data(1, "hello", false), AwaitParked, Close],
        &[Ask(1, "POST", &[], false), Act::Data(1, "hello", false), AwaitParked, Rst(1, CANCEL)],
    ];
    for script in broken {
        run(async {
            let signals = Arc::new(Signals::default());
            let read = Arc::new(Mutex::new(Vec::new()));
            let (handlers, reads) = (Arc::clone(&signals), Arc::clone(&read));
            let handler = move |request: Upload| {
                let (signals, read) = (Arc::clone(&handlers), Arc::clone(&reads));
                async move {
                    let mut body = request.into_body();
                    let first = body.frame().await.unwrap().unwrap();
                    signals.parked.notify_one();
                    // Not parked: over HTTP/1 hyper sees a client leave only while the body is being read.
                    let rest = body.frame().await.map(|frame| frame.is_err());
                    read.lock().unwrap().push((first.into_data().unwrap(), rest));
                    Ok(hello())
                }
            };
            let scene = Scene::play(Duration::MAX, script, &signals, handler).await;
            scene.detached.idle().await;
            scene.recorder.settled(1).await;
            // Which of the two hyper does first, the error or the drop, decides what it is told as.
            assert!(!scene.recorder.only().reason().is_complete(), "{script:?}");
            assert_eq!(*read.lock().unwrap(), [(Bytes::from("hello"), Some(true))], "{script:?}");
        });
    }
}

#[test]
fn a_detached_handler_that_panics_is_told_as_any_other_that_does() {
    quiet();
    let scripts: [&[Act]; 2] = [&[GET, ReadToEnd], &[Ask(1, "GET", &[], true), ReadStream(1)]];
    for script in scripts {
        run(async {
            let signals = Signals::default();
            let handler = async |_| -> Reply { boom() };
            let scene = Scene::play(GRACE, script, &signals, handler).await;
            let closed = scene.closed().await;
            assert_eq!(closed, told(&[BODILESS, "close(panicked)"], HANDLER_PANICKED));
            scene.detached.idle().await;
        });
    }
}

#[test]
fn a_client_that_stays_gets_its_response() {
    let scripts: [&[Act]; 2] = [&[GET, Read("hello")], &[Ask(1, "GET", &[], true), ReadStream(1)]];
    for script in scripts {
        run(async {
            let scene =
                Scene::play(GRACE, script, &Signals::default(), async |_| Ok(hello())).await;
            let (words, _) = scene.closed().await;
            assert!(words.ends_with("res.end finish(released) close(complete)"), "{words}");
        });
    }
}

/// A handler that commits in two steps, and can be held before each step and after the last.
#[derive(Clone)]
struct Committing {
    detached: Detached,
    signals: Arc<Signals>,
    /// Where it is held until the client has left.
    held_at: usize,
    gate: Arc<Semaphore>,
    ledger: Arc<Mutex<Vec<&'static str>>>,
}

impl Committing {
    async fn pass(&self, point: usize) {
        if point == self.held_at {
            self.signals.parked.notify_one();
            self.gate.acquire().await.unwrap().forget();
        }
    }

    async fn handle(self) -> Reply {
        self.pass(0).await;
        let commit = self.clone();
        let section = async move {
            commit.pass(1).await;
            commit.ledger.lock().unwrap().push("debit");
            commit.pass(2).await;
            commit.ledger.lock().unwrap().push("credit");
            commit.pass(3).await;
        };
        self.detached.shield(section).await;
        self.pass(4).await;
        Ok(hello())
    }
}

#[test]
fn a_commit_is_whole_or_has_not_begun_wherever_the_client_leaves() {
    for script in LEAVERS {
        for held_at in 0..=4 {
            run(async {
                let committing = Committing {
                    detached: Detached::default(),
                    signals: Arc::default(),
                    held_at,
                    gate: Arc::new(Semaphore::new(0)),
                    ledger: Arc::default(),
                };
                let Committing { detached, signals, gate, ledger, .. } = committing.clone();
                // No `DetachLayer`: the handler is dropped when its client leaves.
                let service = service_fn(move |_| committing.clone().handle());
                let mut scene = Scene::serve(service, detached).await;
                scene.client.play(script, &signals).await;
                let closed = scene.closed().await;
                assert_eq!(closed, told(&[BODILESS, "close(unknown)"], GONE_IN_HANDLER));
                gate.add_permits(1);
                scene.detached.idle().await;
                let whole: &[_] = if held_at == 0 { &[] } else { &["debit", "credit"] };
                assert_eq!(*ledger.lock().unwrap(), whole, "{script:?}, held at {held_at}");
            });
        }
    }
}
