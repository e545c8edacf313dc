//! The event channel: what arrives, what is lost, that the two add up, and that nobody waits for who reads.
//!
//! `PROPTEST_CASES` says how many cases the model is put through, 2,000 unless told.

mod support;

use std::{
    collections::{HashMap, VecDeque},
    error::Error,
    fmt, future,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    thread,
};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::{
    collection::vec,
    prelude::{ProptestConfig, any},
    test_runner::TestRunner,
};
use static_assertions::assert_impl_all;
use tokio::{net::TcpStream, runtime, sync::watch, task::JoinSet};
use tower::service_fn;
use tower_layer::Layer;
use tower_lifecycle::{
    ChannelObserver, Event, EventKind, Events, ExchangeId, Hooks, Interest, LifecycleLayer,
    Observer, Reason, RequestBody, RequestHead, ResponseBody,
    observe::{ChannelState, TryRecvError, channel},
    testing::{BoxError, MockBody, Step},
};
use tower_service::Service;

use support::{
    panics::{boom, catch, drop_unwinding, quiet},
    polls::{NotAnError, now, poll_body, poll_once, read},
    rows::run,
    server::Server,
    spy::{Spy, Watch},
};

const CHUNK: Step = Step::Data(3);
const ORDINARY: &str =
    "begin req.end req.close(complete) response(200) res.end finish(released) close(complete)";

/// An event, as far as the observer that counts beside the channel can tell.
type Told = (ExchangeId, &'static str);

/// Writes down every hook, whatever the channel does with it.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<Vec<Told>>>);

impl Observer for Tally {
    type State = Watch;

    fn begin(&self, head: &RequestHead<'_>) -> Option<Watch> {
        let (exchange, told) = (head.id(), Arc::clone(&self.0));
        Spy::new(move |hook| told.lock().unwrap().push((exchange, hook))).begin(head)
    }
}

impl Tally {
    /// The hooks since it was last asked, without the drops of the states.
    fn take(&self) -> Vec<Told> {
        let told = std::mem::take(&mut *self.0.lock().unwrap());
        told.into_iter().filter(|(_, hook)| *hook != "drop").collect()
    }
}

fn told(event: &Event) -> Told {
    let hook = match event.kind {
        EventKind::Begin { .. } => "begin",
        EventKind::RequestData(_) => "on_request_data",
        EventKind::RequestEnd(_) => "on_request_end",
        EventKind::RequestError(_) => "on_request_error",
        EventKind::RequestClose(_) => "on_request_close",
        EventKind::Response(_) => "on_response",
        EventKind::ResponseData(_) => "on_response_data",
        EventKind::ResponseEnd(_) => "on_response_end",
        EventKind::ResponseError(_) => "on_response_error",
        EventKind::Finish(_) => "on_finish",
        EventKind::Close(_) => "on_close",
        ref other => panic!("a hook that is not known here: {other}"),
    };
    (event.exchange, hook)
}

/// Whether an observer with this interest hears of the hook.
fn wanted(interest: Interest, hook: &str) -> bool {
    interest.contains(match hook {
        "begin" => Interest::NONE,
        "on_request_data" => Interest::REQUEST_DATA,
        "on_request_end" => Interest::REQUEST_END,
        "on_request_error" => Interest::REQUEST_ERROR,
        "on_request_close" => Interest::REQUEST_CLOSE,
        "on_response" => Interest::RESPONSE,
        "on_response_data" => Interest::RESPONSE_DATA,
        "on_response_end" => Interest::RESPONSE_END,
        "on_response_error" => Interest::RESPONSE_ERROR,
        "on_finish" => Interest::FINISH,
        _ => Interest::CLOSE,
    })
}

/// Everything that is there.
fn drain(events: &mut Events) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

fn words(events: &[Event]) -> String {
    let words: Vec<_> = events.iter().map(|event| event.kind.to_string()).collect();
    words.join(" ")
}

fn request(steps: &[Step]) -> Request<MockBody> {
    let request = Request::builder().method(Method::POST).uri("/path?query");
    request.body(MockBody::new(steps)).unwrap()
}

/// An exchange whose request is read and whose response, a stream of `frames`, is not.
fn open<O: Observer>(
    layer: &LifecycleLayer<O>,
    upload: &[Step],
    frames: &[Step],
) -> ResponseBody<MockBody> {
    let body = MockBody::new(frames).streamed();
    let mut service = layer.layer(service_fn(async |request: Request<RequestBody<MockBody>>| {
        let _ = read(request.into_body());
        Ok::<_, BoxError>(Response::new(body.clone()))
    }));
    now(service.call(request(upload))).unwrap().into_body()
}

/// An exchange from its begin to its close.
fn whole<O: Observer>(layer: &LifecycleLayer<O>) {
    read(open(layer, &[CHUNK, CHUNK], &[CHUNK])).unwrap();
}

// ===== What arrives =====

#[test]
fn the_events_of_an_exchange_arrive_in_the_order_of_its_hooks_with_what_they_were_handed() {
    let (observer, mut events) = channel(64);
    let layer = LifecycleLayer::new(observer.with_interest(Interest::ALL));
    read(open(&layer, &[CHUNK, CHUNK, Step::Trailers], &[CHUNK])).unwrap();
    drop(layer);

    let all = drain(&mut events);
    let expected = "begin req.data req.data req.end+trailers req.close(complete) \
                    response(200) res.data res.end finish(released) close(complete)";
    assert_eq!(words(&all), expected);
    assert!(all.iter().all(|event| event.exchange == all[0].exchange));
    let EventKind::Begin { method, uri, version } = &all[0].kind else { panic!("begins") };
    assert_eq!(
        (method, uri.to_string(), *version),
        (&Method::POST, "/path?query".into(), Version::HTTP_11)
    );
    let EventKind::RequestEnd(end) = &all[3].kind else { panic!("ends") };
    assert_eq!(
        (end.bytes, end.frames, end.trailers.as_ref().map(|map| map.len())),
        (6, 2, Some(1))
    );
    let EventKind::Close(summary) = &all[9].kind else { panic!("closes") };
    assert_eq!(summary.id, Some(all[9].exchange));
    assert_eq!((summary.request.bytes, summary.response.bytes), (6, 3));
    assert_eq!(summary.close.reason, Reason::Complete);
    assert_eq!((events.dropped_events(), events.missed_exchanges()), (0, 0));
    assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Disconnected);
}

#[test]
fn data_is_not_sent_unless_asked_for_and_a_summary_is_whole_without_it() {
    let (observer, mut events) = channel(64);
    let layer = LifecycleLayer::new(observer);
    whole(&layer);
    let all = drain(&mut events);
    assert_eq!(words(&all), ORDINARY);
    let EventKind::Close(summary) = &all[6].kind else { panic!("closes") };
    assert_eq!((summary.request.bytes, summary.response.bytes), (6, 3));
    assert!(summary.duration().is_some() && summary.uri.is_some());
    assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Empty);
}

#[test]
fn whoever_asks_for_little_is_still_told_of_begin_and_close() {
    for interest in [Interest::NONE, Interest::CLOSE] {
        let (observer, mut events) = channel(2);
        whole(&LifecycleLayer::new(observer.with_interest(interest)));
        assert_eq!(words(&drain(&mut events)), "begin close(complete)");
        assert_eq!(events.dropped_events(), 0);
    }
}

#[test]
fn exchanges_side_by_side_are_told_apart_by_their_ids() {
    let (observer, mut events) = channel(64);
    let layer = LifecycleLayer::new(observer);
    let (first, second) = (open(&layer, &[], &[CHUNK]), open(&layer, &[], &[CHUNK]));
    read(second).unwrap();
    read(first).unwrap();
    let all = drain(&mut events);
    let (first, second): (Vec<_>, Vec<_>) =
        all.iter().cloned().partition(|event| event.exchange == all[0].exchange);
    assert_eq!((words(&first), words(&second)), (ORDINARY.to_owned(), ORDINARY.to_owned()));
}

#[test]
fn an_exchange_that_is_dropped_or_panics_is_closed_for_the_reader_too() {
    quiet();
    let (observer, mut events) = channel(64);
    let layer = LifecycleLayer::new(observer);
    let mut pending = layer.layer(service_fn(|request| {
        let _held: Request<RequestBody<MockBody>> = request;
        future::pending::<Result<Response<MockBody>, BoxError>>()
    }));
    drop(pending.call(request(&[])));
    assert_eq!(words(&drain(&mut events)), "begin req.end req.close(complete) close(unknown)");
    drop_unwinding(pending.call(request(&[])));
    assert_eq!(words(&drain(&mut events)), "begin req.end req.close(complete) close(panicked)");
    drop(open(&layer, &[CHUNK], &[CHUNK]));
    assert!(words(&drain(&mut events)).ends_with("response(200) close(unknown)"));
    let mut body = open(&layer, &[CHUNK], &[Step::Panic]);
    assert!(catch(|| poll_body(&mut body).is_ready()).is_err());
    drop(body);
    assert!(words(&drain(&mut events)).ends_with("response(200) close(panicked)"));
}

// ===== What is lost =====

#[test]
fn a_capacity_without_room_for_a_begin_and_its_close_is_refused() {
    for capacity in [0, 1] {
        assert!(std::panic::catch_unwind(|| channel(capacity)).is_err());
    }
    drop((channel(2), channel(usize::MAX)));
}

#[test]
fn the_close_arrives_however_full_the_channel_is() {
    for capacity in 2..8 {
        let (observer, mut events) = channel(capacity);
        let layer = LifecycleLayer::new(observer.clone());
        whole(&layer);
        let all = drain(&mut events);
        assert_eq!(all.len(), capacity.min(7));
        assert_eq!(told(&all[0]).1, "begin");
        assert_eq!(told(all.last().unwrap()).1, "on_close");
        assert_eq!(events.dropped_events(), 7 - all.len() as u64);
        assert_eq!(observer.dropped_events(), events.dropped_events());
        assert_eq!(events.missed_exchanges(), 0);
    }
}

#[test]
fn an_exchange_that_finds_no_room_is_missed_and_the_next_one_that_does_is_told() {
    let (observer, mut events) = channel(3);
    let layer = LifecycleLayer::new(observer.clone());
    // Its close takes one place, its begin and another event the others.
    let first = open(&layer, &[], &[CHUNK]);
    whole(&layer);
    assert_eq!((events.missed_exchanges(), observer.missed_exchanges()), (1, 1));
    // One place is not enough.
    assert_eq!(told(&events.try_recv().unwrap()).1, "begin");
    whole(&layer);
    assert_eq!(events.missed_exchanges(), 2);
    drop(first);
    assert_eq!(words(&drain(&mut events)), "req.end close(unknown)");
    whole(&layer);
    assert_eq!(words(&drain(&mut events)), "begin req.end close(complete)");
    assert_eq!(events.missed_exchanges(), 2);
}

#[test]
fn a_missed_exchange_is_heard_by_the_other_observers() {
    let (observer, mut events) = channel(2);
    let tally = Tally::default();
    let layer = LifecycleLayer::new((observer, tally.clone()));
    let first = open(&layer, &[], &[CHUNK]);
    tally.take();
    whole(&layer);
    assert_eq!(tally.take().last().unwrap().1, "on_close");
    drop(first);
    assert_eq!(words(&drain(&mut events)), "begin close(unknown)");
}

// ===== The reader =====

#[test]
fn a_reader_that_gives_up_waiting_loses_nothing() {
    let (observer, mut events) = channel(64);
    let layer = LifecycleLayer::new(observer);
    assert!(poll_once(pin!(events.recv())).is_pending());
    {
        // Woken, and dropped before it is polled again.
        let mut recv = pin!(events.recv());
        assert!(poll_once(recv.as_mut()).is_pending());
        whole(&layer);
    }
    let mut all = vec![now(events.recv()).unwrap()];
    all.extend(drain(&mut events));
    assert_eq!(words(&all), ORDINARY);
    assert!(poll_once(pin!(events.recv())).is_pending());
}

#[test]
fn the_events_end_when_the_layers_are_gone_and_the_last_exchange_is_closed() {
    let (observer, mut events) = channel(64);
    let layer = LifecycleLayer::new(observer);
    let body = open(&layer, &[], &[CHUNK]);
    drop(layer);
    assert_eq!(drain(&mut events).len(), 4);
    assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Empty);
    assert!(poll_once(pin!(events.recv())).is_pending());
    drop(body);
    assert_eq!(words(&[now(events.recv()).unwrap()]), "close(unknown)");
    assert!(now(events.recv()).is_none());
    assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Disconnected);
}

#[test]
fn without_a_reader_nothing_is_told_counted_or_allocated() {
    let (observer, events) = channel(2);
    let layer = LifecycleLayer::new(observer.clone());
    let early = open(&layer, &[], &[CHUNK, CHUNK]);
    let dropped = observer.dropped_events();
    assert!(!observer.is_closed());
    drop(events);
    assert!(observer.is_closed());
    read(early).unwrap();

    let silent = LifecycleLayer::new(());
    let bare = measure(|| whole(&silent)).count_total;
    assert_eq!(measure(|| whole(&layer)).count_total, bare);
    assert_eq!((observer.dropped_events(), observer.missed_exchanges()), (dropped, 0));
}

// ===== Other people's code =====

/// An error that panics when it is asked what it is.
#[derive(Debug)]
struct Mute;

impl fmt::Display for Mute {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        boom()
    }
}

impl Error for Mute {}

#[test]
fn an_error_that_panics_when_it_is_written_costs_its_text_alone() {
    quiet();
    let (observer, mut events) = channel(64);
    let layer = LifecycleLayer::new(observer).known_error::<Mute>();
    let mut service = layer.layer(service_fn(async |_: Request<RequestBody<MockBody>>| {
        let body = MockBody::new(&[CHUNK, Step::Error]).fails_with(|| Mute).streamed();
        Ok::<_, BoxError>(Response::new(body))
    }));
    let body = now(service.call(request(&[]))).unwrap().into_body();
    assert!(read(body).is_err());
    let all = drain(&mut events);
    let expected = "begin req.end req.close(complete) response(200) \
                    res.error(response_failed) close(response_failed)";
    assert_eq!(words(&all), expected);
    let EventKind::ResponseError(failed) = &all[4].kind else { panic!("fails") };
    assert_eq!((failed.error.as_deref(), failed.bytes), (None, 3));
    assert_eq!(layer.observer_panics(), 0);
}

/// Goes off when it wakes.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        boom()
    }
}

#[test]
fn a_waker_that_panics_costs_no_event() {
    quiet();
    let (observer, mut events) = channel(64);
    let layer = LifecycleLayer::new(observer);
    let (waker, mut all) = (Waker::from(Arc::new(Bomb)), Vec::new());
    let mut service = layer.layer(service_fn(async |_: Request<RequestBody<MockBody>>| {
        Ok::<_, BoxError>(Response::new(MockBody::new(&[CHUNK]).streamed()))
    }));
    // Armed anew before each step, so that each step sets it off.
    let mut arm = || {
        all.extend(drain(&mut events));
        assert!(events.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    };
    arm();
    let mut future = Box::pin(service.call(request(&[])));
    arm();
    let Poll::Ready(Ok(response)) = poll_once(future.as_mut()) else { panic!("a response") };
    arm();
    drop(future);
    drop(response);
    all.extend(drain(&mut events));
    let expected = "begin req.end req.close(complete) response(200) close(unknown)";
    assert_eq!(words(&all), expected);
}

// ===== The sums =====

/// Of every exchange that was told: what was received is a part of its hooks, in their order, from begin to close.
/// Hands out how many hooks were dropped and how many exchanges missed.
fn account(received: &[Told], hooks: &[Told], interest: Interest) -> (u64, u64) {
    let by_exchange = |all: &[Told]| {
        let mut exchanges = HashMap::<_, Vec<_>>::new();
        for (exchange, hook) in all {
            exchanges.entry(*exchange).or_default().push(*hook);
        }
        exchanges
    };
    let received = by_exchange(received);
    let (mut dropped, mut missed) = (0, 0);
    for (exchange, hooks) in by_exchange(hooks) {
        let Some(received) = received.get(&exchange) else {
            missed += 1;
            continue;
        };
        assert_eq!((received.first(), received.last()), (Some(&"begin"), Some(&"on_close")));
        let mut left = hooks.iter();
        assert!(
            received.iter().all(|event| left.any(|hook| hook == event)),
            "{received:?} of {hooks:?}"
        );
        let called = hooks.iter().filter(|hook| wanted(interest, hook)).count();
        dropped += (called - received.len()) as u64;
    }
    (dropped, missed)
}

#[test]
fn from_many_threads_every_exchange_is_told_to_its_close_or_missed_and_the_counts_add_up() {
    const THREADS: usize = 4;
    const EXCHANGES: usize = 500;
    for capacity in [2, 3, 8, 40] {
        let (observer, mut events) = channel(capacity);
        let tally = Tally::default();
        let observer = observer.with_interest(Interest::ALL);
        let layer = LifecycleLayer::new((observer, tally.clone()));
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            let runtime = runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                while let Some(event) = events.recv().await {
                    received.push(told(&event));
                }
            });
            (received, events)
        });
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let layer = layer.clone();
                thread::spawn(move || (0..EXCHANGES).for_each(|_| whole(&layer)))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        drop(layer);
        let (received, events) = reader.join().unwrap();
        let hooks = tally.take();
        assert_eq!(hooks.iter().filter(|told| told.1 == "on_close").count(), THREADS * EXCHANGES);
        let lost = account(&received, &hooks, Interest::ALL);
        assert_eq!((events.dropped_events(), events.missed_exchanges()), lost);
    }
}

/// What is decided by the contract alone: a queue of places, some of them kept for closes.
struct Model {
    capacity: usize,
    interest: Interest,
    queue: VecDeque<Told>,
    /// Exchanges that were told and are not closed.
    open: Vec<ExchangeId>,
    dropped: u64,
    missed: u64,
    reader: bool,
}

impl Model {
    fn free(&self) -> usize {
        self.capacity - self.queue.len() - self.open.len()
    }

    fn hook(&mut self, (exchange, hook): Told) {
        if hook == "begin" {
            if self.reader && self.free() >= 2 {
                self.open.push(exchange);
                self.queue.push_back((exchange, hook));
            } else {
                self.missed += u64::from(self.reader);
            }
            return;
        }
        let Some(at) = self.open.iter().position(|open| *open == exchange) else { return };
        if hook == "on_close" {
            self.open.remove(at);
        }
        if !self.reader || !wanted(self.interest, hook) {
            return;
        }
        if hook == "on_close" || self.free() > 0 {
            self.queue.push_back((exchange, hook));
        } else {
            self.dropped += 1;
        }
    }
}

/// What the server holds of an exchange.
enum Open<F> {
    Future(Pin<Box<F>>),
    Body(ResponseBody<MockBody>),
}

/// Bytes are choices: exchanges begin, go on, are dropped and unwound, while the reader reads now and then, or leaves.
fn follows_the_model(choices: &[u8]) {
    let mut choices = choices.iter().copied();
    let mut below = |n: u8| choices.next().map(|choice| choice % n);
    let capacity = 2 + usize::from(below(12).unwrap_or(0));
    let asked = [Interest::ALL, Interest::DEFAULT - Interest::DATA, Interest::DATA, Interest::NONE];
    let interest = asked[usize::from(below(4).unwrap_or(0))];
    let (observer, events) = channel(capacity);
    let (observer, tally) = (observer.with_interest(interest), Tally::default());
    let layer = LifecycleLayer::new((observer.clone(), tally.clone()));
    let mut service = layer.layer(service_fn(|request: Request<RequestBody<MockBody>>| {
        let mut upload = Some(request.into_body());
        future::poll_fn(move |_| {
            // Reads one frame a poll; an upload that is over, or fails, is dropped and answered.
            let read = upload.as_mut().map(poll_body);
            match read {
                Some(Poll::Ready(Some(Ok(_))) | Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(Some(Err(_)))) => return Poll::Ready(Err(NotAnError)),
                _ => upload = None,
            }
            let body = MockBody::new(&[CHUNK, CHUNK, Step::Trailers]).streamed();
            Poll::Ready(Ok(Response::new(body)))
        })
    }));

    let mut open = Vec::new();
    let (mut events, mut received) = (Some(events), Vec::new());
    let mut model = Model {
        capacity,
        interest: interest | Interest::CLOSE,
        queue: VecDeque::new(),
        open: Vec::new(),
        dropped: 0,
        missed: 0,
        reader: true,
    };
    let mut read_some = |events: &mut Events, model: &mut Model, most: usize| {
        for _ in 0..most {
            let event = events.try_recv().ok().map(|event| told(&event));
            assert_eq!(event, model.queue.pop_front());
            received.extend(event);
        }
    };
    while let Some(choice) = below(16) {
        match choice {
            0..4 => {
                let last =
                    [Step::End, Step::Error, Step::Never][usize::from(below(3).unwrap_or(0))];
                open.push(Open::Future(Box::pin(service.call(request(&[CHUNK, CHUNK, last])))));
            }
            4..11 if !open.is_empty() => {
                let at = usize::from(below(16).unwrap_or(0)) % open.len();
                let over = match &mut open[at] {
                    Open::Future(future) => match poll_once(future.as_mut()) {
                        Poll::Pending => false,
                        Poll::Ready(Err(NotAnError)) => true,
                        Poll::Ready(Ok(response)) => {
                            open[at] = Open::Body(response.into_body());
                            false
                        }
                    },
                    Open::Body(body) => matches!(poll_body(body), Poll::Ready(None)),
                };
                if over {
                    open.swap_remove(at);
                }
            }
            11 if !open.is_empty() => drop(open.swap_remove(0)),
            12 if !open.is_empty() => drop_unwinding(open.pop()),
            13..15 => {
                if let Some(events) = &mut events {
                    read_some(events, &mut model, usize::from(below(8).unwrap_or(0)));
                }
            }
            15 if below(8) == Some(7) => {
                (events, model.reader) = (None, false);
                model.queue.clear();
            }
            _ => {}
        }
        tally.take().into_iter().for_each(|told| model.hook(told));
        let lost = (observer.dropped_events(), observer.missed_exchanges());
        assert_eq!(lost, (model.dropped, model.missed));
    }
    drop((open, service, layer, observer));
    tally.take().into_iter().for_each(|told| model.hook(told));
    assert!(model.open.is_empty(), "nothing is open any more");
    if let Some(events) = &mut events {
        read_some(events, &mut model, capacity + 1);
        assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Disconnected);
        assert_eq!(
            (events.dropped_events(), events.missed_exchanges()),
            (model.dropped, model.missed)
        );
    }
}

#[test]
fn any_interleaving_of_exchanges_and_reads_follows_the_model() {
    quiet();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: cases.unwrap_or(2_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&vec(any::<u8>(), 0..160), |choices| {
        follows_the_model(&choices);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

// ===== The real hyper =====

const CONNECTIONS: usize = 4;
const REQUESTS: usize = 25;

/// Answers with the request, in frames of a thousand bytes and with trailers.
async fn echo(
    request: Request<RequestBody<Incoming>>,
) -> Result<Response<http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>>, BoxError> {
    let mut all = request.into_body().collect().await?.to_bytes();
    let frames = std::iter::from_fn(move || {
        (!all.is_empty()).then(|| all.split_to(all.len().min(1000))).map(Frame::data)
    });
    let frames = frames.chain([Frame::trailers(support::polls::trailers())]).map(Ok);
    Ok(Response::new(BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(frames)))))
}

/// The answers to all requests of all clients, which do not wait for each other.
async fn answers<O: Observer>(layer: LifecycleLayer<O>, http2: bool) -> Vec<(Bytes, bool)> {
    let server = Server::start(layer.layer(service_fn(echo))).await;
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let io = TokioIo::new(TcpStream::connect(server.addr).await.unwrap());
        clients.spawn(async move {
            let mut requests = (0..REQUESTS).map(|_| {
                let body = Full::new(Bytes::from(vec![b'x'; 20_500]));
                Request::post("http://a/").header("te", "trailers").body(body).unwrap()
            });
            let mut answers = Vec::new();
            let mut read = async |response: Response<Incoming>| {
                let body = response.into_body().collect().await.unwrap();
                let trailers = body.trailers().is_some();
                answers.push((body.to_bytes(), trailers));
            };
            if http2 {
                let (mut client, connection) =
                    conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(connection);
                client.ready().await.unwrap();
                let sent: Vec<_> =
                    requests.by_ref().map(|request| client.send_request(request)).collect();
                for response in sent {
                    read(response.await.unwrap()).await;
                }
            } else {
                let (mut client, connection) = conn::http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                for request in requests {
                    client.ready().await.unwrap();
                    read(client.send_request(request).await.unwrap()).await;
                }
            }
            answers
        });
    }
    clients.join_all().await.concat()
}

#[test]
fn a_reader_that_never_reads_changes_nothing_for_the_traffic() {
    for http2 in [false, true] {
        run(async {
            let all = CONNECTIONS * REQUESTS;
            let bare = answers(LifecycleLayer::new(()), http2).await;
            let whole = |answer: &(Bytes, bool)| answer.0.len() == 20_500 && (answer.1 || !http2);
            assert!(bare.len() == all && bare.iter().all(whole));

            let (observer, mut events) = channel(16);
            let (tell, mut closed) = watch::channel(0);
            let count = Hooks::new().on_close(move |_| tell.send_modify(|closed| *closed += 1));
            let observer = observer.with_interest(Interest::ALL);
            let watched = answers(LifecycleLayer::new((observer, count)), http2).await;
            assert!(watched == bare, "other answers");

            closed.wait_for(|closed| *closed == all).await.unwrap();
            let received = drain(&mut events);
            assert!(received.len() <= 16 && events.dropped_events() > 0);
            let count = |hook| received.iter().filter(|event| told(event).1 == hook).count();
            assert_eq!(count("begin"), count("on_close"));
            assert_eq!(events.missed_exchanges(), (all - count("begin")) as u64);
        });
    }
}

#[test]
fn both_ends_go_to_other_tasks() {
    assert_impl_all!(ChannelObserver: Clone, fmt::Debug, Send, Sync);
    assert_impl_all!(ChannelState: fmt::Debug, Send);
    assert_impl_all!(Events: fmt::Debug, Send, Sync, Unpin);
    assert_impl_all!(TryRecvError: Error, Send, Sync);
}
