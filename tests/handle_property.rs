//! Any interleaving of polls, errors, drops and unwinds of an exchange that has a handle and an inner layer that joins
//! it: both layers and the handle say the same.
//!
//! `PROPTEST_CASES` says how many cases, 20,000 unless told.

mod support;

use std::{
    cell::RefCell,
    future::{self, Future},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use http::{Method, Request, Response, StatusCode, Version, header::CONTENT_LENGTH};
use proptest::{
    collection::vec,
    prelude::{ProptestConfig, Strategy, any},
    test_runner::TestRunner,
};
use tower::service_fn;
use tower_layer::Layer;
use tower_lifecycle::{
    Close, EventKind, ExchangeHandle, Finish, Interest, LifecycleLayer, RequestBody, ResponseBody,
    Stage, Summary,
    handle::{OnClose, Progress},
    testing::{BoxError, Broken, MockBody, Recorder, Recording},
};
use tower_service::Service;

use support::{
    choices::{Choices, Spec},
    panics::{boom, catch, drop_unwinding, quiet},
    polls::{poll_body, poll_once},
    spy::Spy,
};

type Mock = MockBody;
type Once = RequestBody<Mock>;
type Twice = RequestBody<Once>;
type Reply = ResponseBody<ResponseBody<Mock>>;
type Outcome<B> = Result<Response<B>, BoxError>;
type Answering<B> = Pin<Box<dyn Future<Output = Outcome<B>>>>;

// ===== the case =====

/// What is done with the handle.
#[derive(Clone, Copy, Debug)]
enum Use {
    Register,
    /// And takes it back at once.
    RegisterAndDrop,
    TakeBack,
    Wait,
    DropWaiter,
    Mark(u8),
    Look,
}

/// What a server, or a client, does to what it holds.
#[derive(Clone, Copy, Debug)]
enum Op {
    PollFuture,
    DropFuture,
    UnwindFuture,
    PollResponse,
    DropResponse,
    UnwindResponse,
    PollTask,
    DropTask,
    Use(Use),
}

/// What the code between the layers, and the handler, does next.
#[derive(Clone, Copy, Debug)]
enum Act {
    Poll,
    Drop,
    /// Moves the request body into a task, which outlives the handler.
    Spawn,
    Pending,
    Panic,
    Fail,
    Use(Use),
}

#[derive(Clone, Debug)]
struct Case {
    client: bool,
    version: Version,
    method: Method,
    status: StatusCode,
    request: Spec,
    response: Spec,
    outer: Interest,
    inner: Interest,
    /// Between the layers, before the inner one is called.
    between: Vec<Act>,
    /// A panic inside is made a response between the layers.
    catches: bool,
    handler: Vec<Act>,
    ops: Vec<Op>,
}

impl Choices<'_> {
    fn interest(&mut self) -> Interest {
        self.one_of(&[
            Interest::ALL,
            Interest::CLOSE,
            Interest::NONE,
            Interest::ALL - Interest::DATA,
            Interest::CLOSE | Interest::RESPONSE_DATA,
            Interest::ALL - Interest::MARKS - Interest::WAITS,
        ])
    }

    fn usage(&mut self) -> Use {
        match self.below(12) {
            0..3 => Use::Register,
            3 => Use::RegisterAndDrop,
            4 => Use::TakeBack,
            5..8 => Use::Wait,
            8 => Use::DropWaiter,
            9..11 => Use::Mark(self.below(4)),
            _ => Use::Look,
        }
    }

    fn acts(&mut self, most: u8) -> Vec<Act> {
        (0..self.below(most))
            .map(|_| match self.below(20) {
                0..6 => Act::Poll,
                6 => Act::Drop,
                7..9 => Act::Spawn,
                9..12 => Act::Pending,
                12 => Act::Panic,
                13 => Act::Fail,
                _ => Act::Use(self.usage()),
            })
            .collect()
    }

    fn case(bytes: &[u8]) -> Case {
        let mut choices = Choices(bytes.iter());
        Case {
            client: choices.below(4) == 3,
            version: choices.one_of(&[Version::HTTP_11, Version::HTTP_2, Version::HTTP_10]),
            method: choices.one_of(&[Method::POST, Method::GET, Method::HEAD, Method::CONNECT]),
            status: StatusCode::from_u16(choices.one_of(&[200, 200, 200, 500, 204, 304, 101]))
                .expect("a status"),
            request: choices.spec(),
            response: choices.spec(),
            outer: choices.interest(),
            inner: choices.one_of(&[Interest::ALL, Interest::ALL, Interest::CLOSE]),
            between: choices.acts(4),
            catches: choices.below(4) == 3,
            handler: choices.acts(7),
            ops: (0..choices.below(14))
                .map(|_| match choices.below(24) {
                    0..5 => Op::PollFuture,
                    5..12 => Op::PollResponse,
                    12..15 => Op::PollTask,
                    15 => Op::DropFuture,
                    16 => Op::DropResponse,
                    17 => Op::DropTask,
                    18 => Op::UnwindFuture,
                    19 => Op::UnwindResponse,
                    _ => Op::Use(choices.usage()),
                })
                .collect(),
        }
    }
}

fn made(spec: &Spec) -> Mock {
    Mock::new(&spec.steps).end(spec.end).hint(spec.hint)
}

// ===== the world =====

#[derive(Clone, Copy, Debug, PartialEq)]
enum Entry {
    Closed(&'static str),
    Called(usize),
}

type Log = Arc<Mutex<Vec<Entry>>>;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

type Waiter = (Pin<Box<dyn Future<Output = Close>>>, Arc<Wakes>, bool);

#[derive(Default)]
struct World {
    log: Log,
    handle: RefCell<Option<ExchangeHandle>>,
    task: RefCell<Option<Twice>>,
    /// What between the layers was given to a task.
    early: RefCell<Option<Once>>,
    registered: RefCell<Vec<(usize, OnClose)>>,
    /// Of each callback, whether it has to be called.
    callbacks: RefCell<Vec<bool>>,
    waiters: RefCell<Vec<Waiter>>,
    marks: RefCell<Vec<&'static str>>,
}

impl World {
    fn use_handle(&self, usage: Use) {
        const NAMES: [&str; 4] = ["a", "b", "c", "d"];
        let handle = self.handle.borrow().clone().expect("it is there from the beginning");
        let closed = handle.close_reason().is_some();
        match usage {
            Use::Register => self.register(&handle, true),
            Use::RegisterAndDrop => {
                self.register(&handle, closed);
                drop(self.registered.borrow_mut().pop());
            }
            Use::TakeBack => {
                if let Some((at, on_close)) = self.registered.borrow_mut().pop() {
                    self.callbacks.borrow_mut()[at] = self.called(at);
                    drop(on_close);
                    assert_eq!(self.called(at), closed);
                }
            }
            Use::Wait => {
                let (mut waiter, wakes) = (Box::pin(handle.closed()), Arc::new(Wakes::default()));
                let counting = Arc::clone(&wakes).into();
                let polled = waiter.as_mut().poll(&mut Context::from_waker(&counting));
                assert_eq!(polled.is_ready(), closed);
                if polled.is_pending() {
                    self.waiters.borrow_mut().push((waiter, wakes, closed));
                }
            }
            Use::DropWaiter => drop(self.waiters.borrow_mut().pop()),
            Use::Mark(name) => {
                let name = NAMES[usize::from(name)];
                if handle.mark(name) {
                    assert!(!closed);
                    self.marks.borrow_mut().push(name);
                }
            }
            Use::Look => {
                assert_eq!(handle.stage() == Stage::Done, closed);
                assert!(!format!("{handle:?}").is_empty());
            }
        }
    }

    fn register(&self, handle: &ExchangeHandle, has_to_be_called: bool) {
        let at = self.callbacks.borrow().len();
        let log = Arc::clone(&self.log);
        let on_close = handle.on_close(move |_| log.lock().unwrap().push(Entry::Called(at)));
        self.callbacks.borrow_mut().push(has_to_be_called);
        self.registered.borrow_mut().push((at, on_close.expect("there is room")));
    }

    fn called(&self, at: usize) -> bool {
        self.log.lock().unwrap().contains(&Entry::Called(at))
    }
}

fn closes(name: &'static str, log: &Log, interest: Interest) -> Option<Spy> {
    let log = Arc::clone(log);
    let spy = Spy::new(move |hook| {
        if hook == "on_close" {
            log.lock().unwrap().push(Entry::Closed(name));
        }
    });
    interest.contains(Interest::CLOSE).then(|| spy.interest(Interest::CLOSE))
}

async fn yields() {
    let mut yielded = false;
    future::poll_fn(|_| {
        if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// `None` is a service error.
async fn acts<B>(acts: &[Act], body: &mut Option<B>, world: &World, spawn: impl Fn(B)) -> Option<()>
where
    B: http_body::Body<Data = bytes::Bytes> + Unpin,
{
    for act in acts {
        match *act {
            Act::Poll => {
                if body.as_mut().is_some_and(|body| poll_body(body).is_pending()) {
                    yields().await;
                }
            }
            Act::Drop => *body = None,
            Act::Spawn => body.take().into_iter().for_each(&spawn),
            Act::Pending => yields().await,
            Act::Panic => boom(),
            Act::Fail => return None,
            Act::Use(usage) => world.use_handle(usage),
        }
    }
    Some(())
}

async fn handler(request: Request<Twice>, case: Rc<Case>, world: Rc<World>) -> Outcome<Mock> {
    let mut body = Some(request.into_body());
    let spawn = |body| drop(world.task.replace(Some(body)));
    let done = acts(&case.handler, &mut body, &world, spawn).await;
    done.ok_or(Broken)?;
    let mut response = Response::new(made(&case.response));
    *response.status_mut() = case.status;
    if let Some(bytes) = case.response.content_length {
        response.headers_mut().insert(CONTENT_LENGTH, bytes.into());
    }
    Ok(response)
}

/// Between the layers. A body that was dropped or given away is one without data further in.
async fn between<S>(
    request: Request<Once>,
    inner: Rc<RefCell<S>>,
    case: Rc<Case>,
    world: Rc<World>,
) -> Outcome<ResponseBody<Mock>>
where
    S: Service<Request<Once>, Response = Response<ResponseBody<Mock>>, Error = BoxError>,
    S::Future: 'static,
{
    let (parts, body) = request.into_parts();
    let mut body = Some(body);
    let spawn = |body| drop(world.early.replace(Some(body)));
    acts(&case.between, &mut body, &world, spawn).await.ok_or(Broken)?;
    let Some(body) = body else { return Err(Broken.into()) };
    let request = Request::from_parts(parts, body);
    let mut future = if case.catches {
        match catch(|| inner.borrow_mut().call(request)) {
            Ok(future) => Box::pin(future),
            Err(_) => return Err(Broken.into()),
        }
    } else {
        let future = inner.borrow_mut().call(request);
        Box::pin(future)
    };
    if !case.catches {
        return future.await;
    }
    let caught = future::poll_fn(|cx| match catch(|| future.as_mut().poll(cx)) {
        Ok(polled) => polled,
        Err(_) => Poll::Ready(Err(Broken.into())),
    });
    caught.await
}

// ===== one run =====

struct Outside {
    world: Rc<World>,
    future: Option<Answering<Reply>>,
    response: Option<Reply>,
}

impl Outside {
    fn step(&mut self, op: Op) {
        match op {
            Op::PollFuture => {
                let Some(mut future) = self.future.take() else { return };
                match catch(|| poll_once(Pin::new(&mut future))) {
                    Ok(Poll::Pending) => self.future = Some(future),
                    Ok(Poll::Ready(Ok(response))) => self.response = Some(response.into_body()),
                    Ok(Poll::Ready(Err(_))) | Err(_) => {}
                }
            }
            Op::DropFuture => drop(self.future.take()),
            Op::UnwindFuture => {
                if let Some(future) = self.future.take() {
                    drop_unwinding(future);
                }
            }
            Op::PollResponse => {
                let Some(mut body) = self.response.take() else { return };
                if catch(|| poll_body(&mut body).is_ready()).is_ok() {
                    self.response = Some(body);
                }
            }
            Op::DropResponse => drop(self.response.take()),
            Op::UnwindResponse => {
                if let Some(body) = self.response.take() {
                    drop_unwinding(body);
                }
            }
            Op::PollTask => {
                let task = self.world.task.borrow_mut().take();
                if let Some(mut body) = task {
                    if catch(|| poll_body(&mut body).is_ready()).is_ok() {
                        self.world.task.replace(Some(body));
                    }
                }
                let early = self.world.early.borrow_mut().take();
                if let Some(mut body) = early {
                    if catch(|| poll_body(&mut body).is_ready()).is_ok() {
                        self.world.early.replace(Some(body));
                    }
                }
            }
            Op::DropTask => {
                drop(self.world.task.borrow_mut().take());
                drop(self.world.early.borrow_mut().take());
            }
            Op::Use(usage) => self.world.use_handle(usage),
        }
    }
}

fn run(case: &Case) {
    let case = Rc::new(case.clone());
    let world = Rc::new(World::default());
    let (outer, inner) = (Recorder::with_interest(case.outer), Recorder::with_interest(case.inner));
    let mut outside =
        LifecycleLayer::new((outer.clone(), closes("outer", &world.log, case.outer))).with_handle();
    let mut inside = LifecycleLayer::new((inner.clone(), closes("inner", &world.log, case.inner)));
    if case.client {
        (outside, inside) = (outside.client(), inside.client());
    }

    let progress: Arc<Mutex<Vec<(Progress, Progress)>>> = Arc::default();
    let handling = {
        let (case, world) = (Rc::clone(&case), Rc::clone(&world));
        service_fn(move |request| handler(request, Rc::clone(&case), Rc::clone(&world)))
    };
    let joined = Rc::new(RefCell::new(inside.layer(handling)));
    let mut service = {
        let (case, world, at_close) = (Rc::clone(&case), Rc::clone(&world), Arc::clone(&progress));
        outside.layer(service_fn(move |request: Request<Once>| {
            let handle = request.extensions().get::<ExchangeHandle>().expect("a handle").clone();
            world.handle.replace(Some(handle.clone()));
            let (looks, at_close) = (handle.clone(), Arc::clone(&at_close));
            let look = move |_| {
                at_close
                    .lock()
                    .unwrap()
                    .push((looks.request_progress(), looks.response_progress()));
            };
            handle.on_close(look).expect("the first").keep();
            between(request, Rc::clone(&joined), Rc::clone(&case), Rc::clone(&world))
        }))
    };

    let mut request = Request::new(made(&case.request));
    *request.version_mut() = case.version;
    *request.method_mut() = case.method.clone();
    if let Some(bytes) = case.request.content_length {
        request.headers_mut().insert(CONTENT_LENGTH, bytes.into());
    }
    let future: Answering<Reply> = Box::pin(service.call(request));
    let mut outside_of_it =
        Outside { world: Rc::clone(&world), future: Some(future), response: None };
    for op in case.ops.iter().copied().chain([Op::PollFuture, Op::DropFuture, Op::DropResponse]) {
        outside_of_it.step(op);
    }
    assert_eq!((outside.observer_panics(), inside.observer_panics()), (0, 0));
    check(&case, &world, &outer, &inner, &progress.lock().unwrap());

    let before = (outer.exchanges().len(), world.log.lock().unwrap().len());
    let hooks = |recorder: &Recorder| -> usize {
        recorder.exchanges().iter().map(|exchange| exchange.hooks.len()).sum()
    };
    let heard = (hooks(&outer), hooks(&inner));
    outside_of_it.step(Op::PollTask);
    outside_of_it.step(Op::DropTask);
    world.registered.borrow_mut().clear();
    assert_eq!((hooks(&outer), hooks(&inner)), heard, "nothing after the close");
    let handle = world.handle.borrow().clone().expect("called");
    assert_eq!(
        *progress.lock().unwrap(),
        [(handle.request_progress(), handle.response_progress())]
    );
    assert_eq!((outer.exchanges().len(), world.log.lock().unwrap().len()), before);
}

fn check(
    case: &Case,
    world: &World,
    outer: &Recorder,
    inner: &Recorder,
    at_close: &[(Progress, Progress)],
) {
    let handle = world.handle.borrow().clone().expect("called");
    let close = handle.close_reason().expect("closed, though a task may hold the request");
    assert_eq!(handle.stage(), Stage::Done);
    let (outer, inner) = (outer.exchanges(), inner.exchanges());
    assert_eq!(outer.len(), usize::from(!case.outer.is_empty()));
    assert!(inner.len() <= 1, "it joins once, or was never called");
    for exchange in outer.iter().chain(&inner) {
        assert!(exchange.dropped, "{exchange:?}");
    }
    if case.outer == Interest::ALL {
        outer.iter().for_each(Recording::assert_grammar);
    }
    if case.inner == Interest::ALL {
        inner.iter().for_each(Recording::assert_grammar);
    }
    let told = |exchanges: &[Recording]| exchanges.first().and_then(|told| told.summary().cloned());
    let (outer_told, inner_told) = (told(&outer), told(&inner));
    if let (Some(outer), Some(inner)) = (&outer_told, &inner_told) {
        assert_eq!((outer.request_close, outer.status), (inner.request_close, inner.status));
        assert_eq!((&outer.request, &outer.response), (&inner.request, &inner.response));
        assert_eq!(outer.marks, inner.marks);
    }
    let counted = (handle.request_progress(), handle.response_progress());
    assert_eq!(
        at_close,
        [counted],
        "the first callback is called once, and nothing is counted after"
    );
    for summary in outer_told.iter().chain(&inner_told) {
        assert_agrees(summary, &handle, close, at_close[0]);
        let mut set = world.marks.borrow().clone();
        let mut named: Vec<_> = summary.marks.names().map(|(name, _)| name).collect();
        set.sort_unstable();
        named.sort_unstable();
        assert_eq!(named, set, "what was set is there");
    }
    let finished = |hook: &EventKind| matches!(hook, EventKind::Finish(_));
    for (exchanges, interest) in [(&outer, case.outer), (&inner, case.inner)] {
        if let (Some(exchange), true) = (exchanges.first(), interest.contains(Interest::FINISH)) {
            let finish = exchange.hooks.iter().any(finished).then_some(Finish::Released);
            assert_eq!(poll_once(Box::pin(handle.finished()).as_mut()), Poll::Ready(finish));
        }
    }
    assert_eq!(poll_once(Box::pin(handle.disconnected()).as_mut()), Poll::Ready(None));

    for (mut waiter, wakes, _) in world.waiters.take() {
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "woken once");
        let polled = waiter.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(close));
    }

    let log = world.log.lock().unwrap();
    let observers = log.iter().rposition(|entry| matches!(entry, Entry::Closed(_)));
    let callbacks = log.iter().position(|entry| matches!(entry, Entry::Called(_)));
    assert!(observers.is_none() || callbacks.is_none() || observers < callbacks, "{log:?}");
    let listeners = [outer_told.is_some(), inner_told.is_some()].map(usize::from);
    let closes = log.iter().filter(|entry| matches!(entry, Entry::Closed(_))).count();
    assert_eq!(closes, listeners.iter().sum::<usize>());
    for (at, has_to_be_called) in world.callbacks.borrow().iter().enumerate() {
        let calls = log.iter().filter(|entry| **entry == Entry::Called(at)).count();
        assert_eq!(calls, usize::from(*has_to_be_called), "{at} {log:?}");
    }
}

fn assert_agrees(
    summary: &Summary,
    handle: &ExchangeHandle,
    close: Close,
    (request, response): (Progress, Progress),
) {
    assert_eq!(summary.id, Some(handle.id()));
    assert_eq!(summary.close, close);
    for (transfer, progress) in [(&summary.request, request), (&summary.response, response)] {
        assert_eq!(
            (transfer.bytes, transfer.frames),
            (progress.bytes, progress.frames),
            "the counters are the totals: {summary:?}"
        );
    }
}

#[test]
fn both_layers_and_the_handle_say_the_same_in_any_interleaving() {
    quiet();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: cases.unwrap_or(20_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let strategy = vec(any::<u8>(), 0..120).prop_map(|bytes| Choices::case(&bytes));
    let outcome = TestRunner::new(config).run(&strategy, |case| {
        run(&case);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
