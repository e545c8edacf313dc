//! Two layers in one stack: with a handle outside, the inner one joins the exchange; else there are two. In memory, and
//! in an axum router over a real hyper.

mod support;

use std::{
    future::{self, Future},
    pin::Pin,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body::Body;
use tower::service_fn;
use tower_layer::Layer;
use tower_lifecycle::{
    BoxObserver, Close, Data, EventKind, ExchangeHandle, ExchangeId, Interest, LifecycleLayer,
    Listener, Mark, Observer, Reason, RequestBody, RequestClose, RequestHead, ResponseBody,
    Summary,
    testing::{BoxError, Broken, ManualClock, MockBody, Recorder, Recording, Step},
};
use tower_service::Service;

use support::{
    panics::{boom, catch, quiet},
    polls::{now, poll_body, poll_once, read, trailers},
    spy::Spy,
};

type Mock = MockBody;
type Outcome<B = Mock> = Result<Response<B>, BoxError>;
type Once = RequestBody<Mock>;
type Twice = RequestBody<Once>;
type Log = Arc<Mutex<Vec<String>>>;

const CHUNK: Step = Step::Data(3);
const PATIENCE: Duration = Duration::from_secs(10);
const ORDINARY: &str = "begin req.data req.end req.close(complete) response(200) res.data res.end \
                        finish(released) close(complete)";

fn posting(body: Mock) -> Request<Mock> {
    Request::builder().method(Method::POST).uri("/path").body(body).unwrap()
}

fn post() -> Request<Mock> {
    posting(Mock::new(&[CHUNK, CHUNK]))
}

fn get() -> Request<Mock> {
    Request::builder().uri("/path").body(Mock::new(&[])).unwrap()
}

/// Reads the request and answers with two frames.
async fn echo<B: Body<Data = Bytes, Error = BoxError>>(request: Request<B>) -> Outcome {
    read(request.into_body())?;
    Ok(Response::new(Mock::new(&[CHUNK, CHUNK]).streamed()))
}

/// Calls the service and reads the answer.
fn ordinary<S, B>(service: &mut S, request: Request<Mock>)
where
    S: Service<Request<Mock>, Response = Response<B>, Error = BoxError>,
    B: Body<Data = Bytes, Error = BoxError>,
{
    assert_eq!(read(now(service.call(request)).unwrap().into_body()).unwrap(), 6);
}

fn outside<O: Observer>(observer: O) -> LifecycleLayer<O> {
    LifecycleLayer::new(observer).with_handle()
}

fn handle_of<B>(request: &Request<B>) -> ExchangeHandle {
    request.extensions().get::<ExchangeHandle>().expect("the layer has handles").clone()
}

fn named(name: &'static str, log: &Log) -> Spy {
    let log = Arc::clone(log);
    Spy::new(move |hook| log.lock().unwrap().push(format!("{name}.{hook}")))
}

/// Both saw the same exchange, and say the same of it.
#[track_caller]
fn assert_joined(outer: &Recorder, inner: &Recorder) -> (Recording, Recording) {
    let (outer, inner) = (outer.only(), inner.only());
    assert_same(&outer, &inner);
    (outer, inner)
}

#[track_caller]
fn assert_same(outer: &Recording, inner: &Recording) {
    let [a, b] = [outer, inner].map(|exchange| exchange.summary().expect("closed"));
    assert!(a.id.is_some());
    assert_eq!(a.id, b.id, "one exchange");
    assert_eq!(a.close, b.close);
    assert_eq!(a.request_close, b.request_close);
    assert_eq!((&a.request, &a.response), (&b.request, &b.response));
    assert_eq!((a.status, &a.marks), (b.status, &b.marks));
}

/// The same hooks, with the same in each.
#[track_caller]
fn assert_heard_alike(outer: &Recording, inner: &Recording) {
    assert_eq!(format!("{:#?}", outer.hooks), format!("{:#?}", inner.hooks));
}

#[track_caller]
fn assert_apart(outer: &Recorder, inner: &Recorder) {
    let (outer, inner) =
        (outer.only().summary().unwrap().clone(), inner.only().summary().unwrap().clone());
    assert!(inner.id.is_none() || inner.id != outer.id, "two exchanges");
}

// ===== joining =====

#[test]
fn with_a_handle_outside_the_inner_layer_joins_the_exchange() {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let mut service = outside(outer.clone())
        .layer(LifecycleLayer::new(inner.clone()).layer(service_fn(echo::<Twice>)));
    ordinary(&mut service, post());
    let (outer, inner) = assert_joined(&outer, &inner);
    assert_eq!(outer.words(), ORDINARY);
    assert_eq!(inner.words(), ORDINARY);
    assert_heard_alike(&outer, &inner);
}

#[test]
fn without_a_handle_outside_there_are_two_exchanges() {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    for inside in [LifecycleLayer::new(inner.clone()), outside(inner.clone())] {
        let mut service =
            LifecycleLayer::new(outer.clone()).layer(inside.layer(service_fn(echo::<Twice>)));
        ordinary(&mut service, post());
    }
    let (outer, inner) = (outer.exchanges(), inner.exchanges());
    assert_eq!((outer.len(), inner.len()), (2, 2));
    for exchange in outer.iter().chain(&inner) {
        exchange.assert_grammar();
        assert_eq!(exchange.words(), ORDINARY);
    }
    assert!(outer.iter().all(|exchange| exchange.summary().unwrap().id.is_none()));
}

#[test]
fn a_standalone_layer_makes_an_exchange_of_its_own() {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let inside = LifecycleLayer::new(inner.clone()).standalone();
    let mut service = outside(outer.clone()).layer(inside.layer(service_fn(echo::<Twice>)));
    ordinary(&mut service, post());
    assert_apart(&outer, &inner);
}

#[test]
fn a_standalone_layer_with_a_handle_puts_its_own_into_the_request() {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let inside = outside(inner.clone()).standalone();
    let ids: Arc<Mutex<Vec<ExchangeId>>> = Arc::default();
    let keep = Arc::clone(&ids);
    let mut service =
        outside(outer.clone()).layer(inside.layer(service_fn(move |request: Request<Twice>| {
            keep.lock().unwrap().push(handle_of(&request).id());
            echo(request)
        })));
    ordinary(&mut service, post());
    assert_apart(&outer, &inner);
    assert_eq!(inner.only().summary().unwrap().id, Some(ids.lock().unwrap()[0]));
}

#[test]
fn an_inner_layer_with_a_handle_that_joins_leaves_that_of_the_exchange_in_place() {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let ids: Arc<Mutex<Vec<ExchangeId>>> = Arc::default();
    let keep = Arc::clone(&ids);
    let mut service = outside(outer.clone()).layer(outside(inner.clone()).layer(service_fn(
        move |request: Request<Twice>| {
            keep.lock().unwrap().push(handle_of(&request).id());
            echo(request)
        },
    )));
    ordinary(&mut service, post());
    let (outer, _) = assert_joined(&outer, &inner);
    assert_eq!(outer.summary().unwrap().id, Some(ids.lock().unwrap()[0]));
}

#[test]
fn both_hear_in_the_order_in_which_members_of_one_layer_do() {
    let requests = [post(), posting(Mock::new(&[CHUNK, Step::Trailers]).streamed())];
    for (at, request) in requests.into_iter().enumerate() {
        let one = Log::default();
        let layer = LifecycleLayer::new((named("outer", &one), named("inner", &one)));
        let mut service = layer.layer(service_fn(echo::<Once>));
        let again = [post(), posting(Mock::new(&[CHUNK, Step::Trailers]).streamed())];
        ordinary(&mut service, again.into_iter().nth(at).unwrap());

        let two = Log::default();
        let inside = LifecycleLayer::new(named("inner", &two));
        let mut service =
            outside(named("outer", &two)).layer(inside.layer(service_fn(echo::<Twice>)));
        ordinary(&mut service, request);
        let hooks = |log: &Log| -> Vec<String> {
            let log = log.lock().unwrap();
            log.iter().filter(|entry| !entry.ends_with("drop")).cloned().collect()
        };
        assert_eq!(hooks(&two), hooks(&one));
        let log = two.lock().unwrap();
        assert!(log.iter().any(|entry| entry == "inner.drop"), "{log:?}");
        assert!(log.iter().any(|entry| entry == "outer.drop"), "{log:?}");
    }
}

#[test]
fn the_inner_begin_finds_the_handle_and_the_id_of_the_exchange() {
    type Found = (ExchangeId, Option<ExchangeId>);
    #[derive(Clone, Default)]
    struct Finds(Arc<Mutex<Vec<Found>>>);
    impl Observer for Finds {
        type State = ();
        fn begin(&self, head: &RequestHead<'_>) -> Option<()> {
            let handle = head.extensions.get::<ExchangeHandle>().map(ExchangeHandle::id);
            self.0.lock().unwrap().push((head.id(), handle));
            None
        }
    }
    let finds = Finds::default();
    let inside = LifecycleLayer::new(finds.clone());
    let mut service = outside(finds.clone()).layer(inside.layer(service_fn(echo::<Twice>)));
    ordinary(&mut service, post());
    let found = finds.0.lock().unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], found[1]);
    assert_eq!(Some(found[0].0), found[0].1);
}

#[test]
fn three_layers_observe_one_exchange() {
    let recorders: [Recorder; 3] = std::array::from_fn(|_| Recorder::new());
    let log = Log::default();
    let layer =
        |at: usize| LifecycleLayer::new((recorders[at].clone(), named(["a", "b", "c"][at], &log)));
    let mut service = layer(0)
        .with_handle()
        .layer(layer(1).layer(layer(2).layer(service_fn(echo::<RequestBody<Twice>>))));
    ordinary(&mut service, post());
    assert_joined(&recorders[0], &recorders[1]);
    let (outermost, innermost) = assert_joined(&recorders[0], &recorders[2]);
    assert_heard_alike(&outermost, &innermost);
    let log = log.lock().unwrap();
    let order = |hook: &str| -> String {
        let hook = format!(".{hook}");
        log.iter().filter_map(|entry| entry.strip_suffix(&hook)).collect()
    };
    for hook in ["begin", "on_request_end", "on_request_close"] {
        assert_eq!(order(hook), "abc", "{hook}");
    }
    for hook in ["on_response", "on_response_end", "on_finish", "on_close"] {
        assert_eq!(order(hook), "cba", "{hook}");
    }
}

/// The one in the middle has no handle, so what is further in finds that of the outermost.
#[test]
fn a_standalone_layer_without_a_handle_does_not_hide_the_outer_exchange() {
    let recorders: [Recorder; 3] = std::array::from_fn(|_| Recorder::new());
    let layer = |at: usize| LifecycleLayer::new(recorders[at].clone());
    let mut service = layer(0)
        .with_handle()
        .layer(layer(1).standalone().layer(layer(2).layer(service_fn(echo::<RequestBody<Twice>>))));
    ordinary(&mut service, post());
    assert_apart(&recorders[0], &recorders[1]);
    assert_joined(&recorders[0], &recorders[2]);
}

#[test]
fn an_exchange_that_nobody_outside_observes_is_joined() {
    let inner = Recorder::new();
    let handles: Arc<Mutex<Vec<ExchangeHandle>>> = Arc::default();
    let keep = Arc::clone(&handles);
    let inside = LifecycleLayer::new(inner.clone());
    let mut service =
        outside(()).layer(inside.layer(service_fn(move |request: Request<Twice>| {
            keep.lock().unwrap().push(handle_of(&request));
            echo(request)
        })));
    ordinary(&mut service, post());
    let exchange = inner.only();
    assert_eq!(exchange.words(), ORDINARY);
    let handle = handles.lock().unwrap()[0].clone();
    assert_eq!(exchange.summary().unwrap().id, Some(handle.id()));
    assert_eq!(handle.close_reason(), Some(exchange.close()));
}

#[test]
fn an_inner_layer_that_nobody_listens_with_changes_nothing() {
    let outer = Recorder::new();
    let mut service =
        outside(outer.clone()).layer(LifecycleLayer::new(()).layer(service_fn(echo::<Twice>)));
    ordinary(&mut service, post());
    assert_eq!(outer.only().words(), ORDINARY);
    let outer = Recorder::new();
    let mut service = outside(outer.clone()).layer(outside(()).layer(service_fn(echo::<Twice>)));
    ordinary(&mut service, post());
    assert_eq!(outer.only().words(), ORDINARY);
}

#[test]
fn an_inner_begin_that_returns_none_is_silent_for_this_exchange() {
    struct Silent;
    struct Never;
    impl Listener for Never {
        fn on_close(&mut self, _: &Summary) {
            panic!("silent");
        }
    }
    impl Observer for Silent {
        type State = Never;
        fn begin(&self, _: &RequestHead<'_>) -> Option<Never> {
            None
        }
    }
    let outer = Recorder::new();
    let inside = LifecycleLayer::new(Silent);
    let mut service = outside(outer.clone()).layer(inside.layer(service_fn(echo::<Twice>)));
    ordinary(&mut service, post());
    assert_eq!(outer.only().words(), ORDINARY);
    assert_eq!(inside.observer_panics(), 0);
}

#[test]
fn a_panic_of_the_inner_observer_silences_it_alone() {
    quiet();
    for hook in support::spy::HOOKS {
        let outer = Recorder::new();
        let spy = Spy::new(move |called| {
            if called == hook {
                boom();
            }
        });
        let told = Arc::new(AtomicUsize::new(0));
        let tells = Arc::clone(&told);
        let inside = LifecycleLayer::new(spy).on_observer_panic(move |_| {
            tells.fetch_add(1, Ordering::SeqCst);
        });
        let outside = outside(outer.clone());
        let mut service = outside.layer(inside.layer(service_fn(echo::<Twice>)));
        ordinary(&mut service, post());
        assert_eq!(outer.only().words(), ORDINARY, "{hook}");
        assert_eq!(outside.observer_panics(), 0, "{hook}");
        let expected = u64::from(!hook.ends_with("error"));
        assert_eq!(inside.observer_panics(), expected, "{hook}");
        assert_eq!(told.load(Ordering::SeqCst) as u64, expected, "{hook}");
    }
}

#[test]
fn a_panic_of_the_outer_observer_silences_it_alone() {
    quiet();
    for hook in support::spy::HOOKS {
        let inner = Recorder::new();
        let spy = Spy::new(move |called| {
            if called == hook {
                boom();
            }
        });
        let outside = outside(spy);
        let inside = LifecycleLayer::new(inner.clone());
        let mut service = outside.layer(inside.layer(service_fn(echo::<Twice>)));
        ordinary(&mut service, post());
        assert_eq!(inner.only().words(), ORDINARY, "{hook}");
        assert_eq!(inside.observer_panics(), 0, "{hook}");
    }
}

// ===== what was missed =====

#[test]
fn of_a_bodiless_request_the_inner_hears_the_end_right_after_begin() {
    let log = Log::default();
    let recorders = [Recorder::new(), Recorder::new()];
    let inside = LifecycleLayer::new((recorders[1].clone(), named("inner", &log)));
    let logs = Arc::clone(&log);
    let handler = service_fn(move |request: Request<Twice>| {
        logs.lock().unwrap().push("handler".to_owned());
        echo(request)
    });
    let mut service =
        outside((recorders[0].clone(), named("outer", &log))).layer(inside.layer(handler));
    ordinary(&mut service, get());
    assert_joined(&recorders[0], &recorders[1]);
    let log = log.lock().unwrap();
    let expected = [
        "outer.begin",
        "outer.on_request_end",
        "outer.on_request_close",
        "inner.begin",
        "inner.on_request_end",
        "inner.on_request_close",
        "handler",
    ];
    assert_eq!(log[..expected.len()], expected);
}

/// A middleware that reads so many frames, and passes on the rest.
macro_rules! reads_before {
    ($frames:expr, $inner:expr) => {{
        let inner = $inner;
        service_fn(move |mut request: Request<Once>| {
            for _ in 0..$frames {
                let _ = poll_body(request.body_mut());
            }
            let mut inner = inner.clone();
            async move { inner.call(request).await }
        })
    }};
}

fn interests() -> [Interest; 6] {
    [
        Interest::ALL,
        Interest::CLOSE,
        Interest::CLOSE | Interest::MARKS,
        Interest::ALL - Interest::DATA,
        Interest::REQUEST_DATA,
        Interest::ALL - Interest::MARKS - Interest::WAITS,
    ]
}

#[test]
fn request_data_read_before_the_inner_layer_arrives_added_up() {
    let steps = [CHUNK, CHUNK, Step::Data(5)];
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let inside = LifecycleLayer::new(inner.clone());
    let mut service =
        outside(outer.clone()).layer(reads_before!(2, inside.layer(service_fn(echo::<Twice>))));
    ordinary(&mut service, posting(Mock::new(&steps)));
    let (_, inner) = assert_joined(&outer, &inner);
    assert_eq!(request_data(&inner), [(6, 2), (5, 1)]);
}

/// Bytes and frames, as they were told.
fn request_data(exchange: &Recording) -> Vec<(u64, u64)> {
    let data = exchange.hooks.iter().filter_map(|hook| match hook {
        EventKind::RequestData(Data { bytes, frames, .. }) => Some((*bytes, *frames)),
        _ => None,
    });
    data.collect()
}

/// Reads `before` frames between the layers, the outer one with this interest, and returns what the inner one heard.
fn joined_late(interest: Interest, before: usize) -> Recording {
    let (outer, inner) = (Recorder::with_interest(interest), Recorder::new());
    let inside = LifecycleLayer::new(inner.clone());
    let mut service = outside(outer.clone())
        .layer(reads_before!(before, inside.layer(service_fn(echo::<Twice>))));
    ordinary(&mut service, posting(Mock::new(&[CHUNK, CHUNK, Step::Data(5)])));
    let exchange = inner.exchanges().remove(0);
    exchange.assert_grammar();
    exchange
}

#[test]
fn request_data_read_before_is_told_whatever_the_outer_layer_is_interested_in() {
    for interest in interests() {
        // All of it, and with it the end.
        let exchange = joined_late(interest, 3);
        assert_eq!(request_data(&exchange), [(11, 3)]);
        assert_eq!(exchange.words(), ORDINARY, "{interest:?}");
    }
}

#[test]
fn who_joins_in_the_middle_of_the_request_body_hears_of_the_rest() {
    for interest in interests() {
        for before in [1, 2] {
            let exchange = joined_late(interest, before);
            let told = if before == 1 { &[(3, 1), (3, 1), (5, 1)][..] } else { &[(6, 2), (5, 1)] };
            assert_eq!(request_data(&exchange), told, "{interest:?}");
            assert_eq!(exchange.words(), ORDINARY, "{interest:?}");
        }
    }
}

#[test]
fn a_request_that_ended_or_failed_or_was_dropped_before_is_replayed() {
    let bodies: [(&[Step], &str, RequestClose); 4] = [
        (&[CHUNK, Step::Trailers], "req.data req.end+trailers", RequestClose::Complete),
        (&[CHUNK, Step::Error], "req.data req.error(request_failed)", RequestClose::Failed),
        (&[CHUNK, Step::Pending, CHUNK], "req.data", RequestClose::Partial),
        (&[Step::Pending, Step::Pending, CHUNK], "", RequestClose::Unread),
    ];
    for (steps, words, how) in bodies {
        let (outer, inner) = (Recorder::new(), Recorder::new());
        let inside = LifecycleLayer::new(inner.clone()).layer(service_fn(
            async |_: Request<RequestBody<Mock>>| {
                Outcome::Ok(Response::new(Mock::new(&[CHUNK, CHUNK]).streamed()))
            },
        ));
        let mut service =
            outside(outer.clone()).layer(service_fn(move |request: Request<Once>| {
                let (parts, mut body) = request.into_parts();
                for _ in 0..2 {
                    let _ = poll_body(&mut body);
                }
                drop(body);
                let mut inside = inside.clone();
                async move {
                    // Another body in its place.
                    inside.call(Request::from_parts(parts, Mock::new(&[Step::Data(9)]))).await
                }
            }));
        ordinary(&mut service, posting(Mock::new(steps).streamed()));
        let (outer, inner) = assert_joined(&outer, &inner);
        assert_eq!(inner.summary().unwrap().request_close, how);
        let heard = format!("begin {words} req.close({how})").replace("  ", " ");
        assert!(inner.words().starts_with(&heard), "{} {heard}", inner.words());
        assert!(outer.words().starts_with(&heard), "{}", outer.words());
    }
}

#[test]
fn the_inner_on_close_has_the_whole_summary() {
    let (recorder, inner) = (Recorder::with_interest(Interest::CLOSE), Recorder::new());
    let clock = ManualClock::new();
    let ticks = clock.clone();
    let inside = LifecycleLayer::new(inner.clone());
    let handler =
        service_fn(move |request: Request<Twice>| {
            assert!(handle_of(&request).mark("db"), "the inner one wants marks");
            ticks.advance(Duration::from_millis(5));
            let read = read(request.into_body());
            future::ready(read.map(|_| {
                Response::new(Mock::new(&[CHUNK, Step::Pending, Step::Trailers]).streamed())
            }))
        });
    let outside = outside(recorder.clone()).with_clock(clock.clone());
    let between = clock.clone();
    let inside = inside.layer(handler);
    let mut service = outside.layer(service_fn(move |request: Request<Once>| {
        between.advance(Duration::from_millis(1));
        let mut inside = inside.clone();
        async move { inside.call(request).await }
    }));
    let body = Mock::new(&[CHUNK, Step::Trailers]).streamed();
    let answer = now(service.call(posting(body))).unwrap();
    assert_eq!(read(answer.into_body()).unwrap(), 3);
    let exchange = inner.only();
    let summary = exchange.summary().unwrap().clone();
    assert_eq!((summary.method.as_str(), summary.version), ("POST", Version::HTTP_11));
    assert_eq!(summary.uri.unwrap().path(), "/path");
    assert_eq!(summary.status.unwrap(), 200);
    assert_eq!((summary.request.bytes, summary.request.frames), (3, 1));
    assert_eq!((summary.response.bytes, summary.response.frames), (3, 1));
    assert!(summary.request.complete && summary.response.complete);
    assert_eq!(summary.request.trailers.as_deref(), Some(&trailers()));
    assert_eq!(summary.response.trailers.as_deref(), Some(&trailers()));
    // Since the exchange began, not since the inner layer joined.
    let millis = Duration::from_millis;
    assert_eq!(summary.marks.named("db"), Some(millis(1)));
    assert_eq!(summary.marks.get(Mark::RequestData), Some(millis(6)));
    assert_eq!(summary.marks.get(Mark::Response), Some(millis(6)));
    assert_eq!(summary.marks.get(Mark::Close), Some(millis(6)));
    assert!(summary.request.wait().is_some() && summary.response.wait().is_some());
    let outer = recorder.exchanges().remove(0).summary().unwrap().clone();
    assert_eq!((outer.close, outer.id), (summary.close, summary.id));
    assert_eq!(outer.response.bytes, 3);
}

#[test]
fn an_inner_layer_is_served_what_the_outer_one_does_not_want() {
    for interest in [Interest::CLOSE, Interest::REQUEST_END, Interest::RESPONSE_DATA] {
        for request in [post(), get(), posting(Mock::new(&[CHUNK, Step::Trailers]).streamed())] {
            let (outer, inner) = (Recorder::with_interest(interest), Recorder::new());
            let inside = LifecycleLayer::new(inner.clone());
            let mut service = outside(outer.clone()).layer(inside.layer(service_fn(echo::<Twice>)));
            ordinary(&mut service, request);
            let [inner] = <[Recording; 1]>::try_from(inner.exchanges()).unwrap();
            inner.assert_grammar();
            // And the outer one hears no more than it asked for.
            let more = outer.exchanges()[0].hooks.iter().any(|hook| {
                matches!(
                    hook,
                    EventKind::RequestClose(_) | EventKind::Response(_) | EventKind::Finish(_)
                )
            });
            assert!(!more, "{outer:?}", outer = outer.exchanges());
        }
    }
}

/// Handles can mark, so there are marks.
#[test]
fn who_joins_an_exchange_of_which_nobody_wants_marks_has_them_all() {
    let (outer, inner) = (Recorder::with_interest(Interest::CLOSE), Recorder::new());
    let inside = LifecycleLayer::new(inner.clone());
    let mut service = outside(outer).layer(inside.layer(service_fn(echo::<Twice>)));
    ordinary(&mut service, get());
    inner.only();
}

#[test]
fn an_inner_layer_hears_no_more_than_it_asked_for() {
    let (outer, inner) = (Recorder::new(), Recorder::with_interest(Interest::RESPONSE));
    let inside = LifecycleLayer::new(inner.clone());
    for request in [post(), get()] {
        let mut service =
            outside(outer.clone()).layer(reads_before!(1, inside.layer(service_fn(echo::<Twice>))));
        ordinary(&mut service, request);
    }
    for exchange in inner.exchanges() {
        assert_eq!(exchange.words(), "begin response(200)");
        assert_eq!(exchange.hooks.len(), 2);
        assert!(exchange.dropped);
    }
}

#[test]
fn how_an_exchange_goes_wrong_is_the_same_for_both() {
    type Handling = fn(Request<Twice>) -> Pin<Box<dyn Future<Output = Outcome>>>;
    quiet();
    let handlers: [(Handling, Reason); 6] = [
        (|_| Box::pin(future::ready(Err(Broken.into()))), Reason::ServiceFailed),
        (|_| Box::pin(async { boom() }), Reason::Panicked),
        (|_| boom(), Reason::Panicked),
        (|_| Box::pin(future::pending()), Reason::Unknown),
        (
            |_| {
                let body = Mock::new(&[CHUNK, Step::Error]).streamed();
                Box::pin(future::ready(Ok(Response::new(body))))
            },
            Reason::ResponseFailed,
        ),
        (
            |_| {
                let body = Mock::new(&[CHUNK, Step::Panic]).streamed();
                Box::pin(future::ready(Ok(Response::new(body))))
            },
            Reason::Panicked,
        ),
    ];
    for (handler, reason) in handlers {
        let (outer, inner) = (Recorder::new(), Recorder::new());
        let inside = LifecycleLayer::new(inner.clone());
        let mut service = outside(outer.clone()).layer(inside.layer(service_fn(handler)));
        let _ = catch(|| {
            let mut future = Box::pin(service.call(post()));
            if let Poll::Ready(Ok(response)) = poll_once(future.as_mut()) {
                let mut body = response.into_body();
                while let Poll::Ready(Some(Ok(_))) = poll_body(&mut body) {}
            }
        });
        let (outer, inner) = assert_joined(&outer, &inner);
        assert_eq!(outer.reason(), reason);
        assert_heard_alike(&outer, &inner);
    }
}

// ===== what is not joined =====

#[test]
fn a_client_in_a_server_does_not_join_its_exchange() {
    for handles in [false, true] {
        let (outer, inner) = (Recorder::new(), Recorder::new());
        let mut client = LifecycleLayer::new(inner.clone()).client();
        if handles {
            client = client.with_handle();
        }
        // The request is sent on, with its extensions.
        let mut service = outside(outer.clone()).layer(client.layer(service_fn(echo::<Twice>)));
        ordinary(&mut service, post());
        assert_apart(&outer, &inner);
        let finished = |exchange: &Recording| exchange.words().contains("finish");
        assert!(finished(&outer.only()) && !finished(&inner.only()));
    }
}

#[test]
fn a_client_joins_a_client() {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let inside = LifecycleLayer::new(inner.clone()).client();
    let mut service =
        outside(outer.clone()).client().layer(inside.layer(service_fn(echo::<Twice>)));
    ordinary(&mut service, post());
    assert_joined(&outer, &inner);
}

/// An inner layer is called with the extensions of a request that another layer was handed before, when that has answered
/// or is closed.
fn sent_again(closed: bool) -> (Recorder, Recorder) {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let kept: Arc<Mutex<http::Extensions>> = Arc::default();
    let keep = Arc::clone(&kept);
    let mut first = outside(outer.clone()).layer(service_fn(move |request: Request<Once>| {
        *keep.lock().unwrap() = request.extensions().clone();
        echo(request)
    }));
    let mut answer = now(first.call(post())).unwrap().into_body();
    if closed {
        read(Pin::new(&mut answer)).unwrap();
    }
    let mut again = post();
    *again.extensions_mut() = kept.lock().unwrap().clone();
    let mut second = LifecycleLayer::new(inner.clone()).layer(service_fn(echo::<Once>));
    ordinary(&mut second, again);
    read(answer).unwrap();
    (outer, inner)
}

#[test]
fn an_exchange_that_is_closed_is_not_joined() {
    let (outer, inner) = sent_again(true);
    assert_apart(&outer, &inner);
}

#[test]
fn an_exchange_that_has_answered_is_not_joined() {
    let (outer, inner) = sent_again(false);
    assert_apart(&outer, &inner);
}

/// An outer exchange under way, with the request as it is between the layers.
fn under_way(
    outer: &Recorder,
) -> (impl Future<Output = Outcome<ResponseBody<Mock>>> + Send + use<>, Request<Once>) {
    let kept: Arc<Mutex<Option<Request<Once>>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let mut service = outside(outer.clone()).layer(service_fn(move |request| {
        *keep.lock().unwrap() = Some(request);
        // Answers at its first poll.
        future::ready(Outcome::Ok(Response::new(Mock::new(&[CHUNK, CHUNK]).streamed())))
    }));
    let future = service.call(post());
    let request = kept.lock().unwrap().take().unwrap();
    (future, request)
}

/// The inner layer is called by a task of its own, when the outer exchange is over.
#[test]
fn who_comes_after_the_close_makes_an_exchange_of_its_own() {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let (future, request) = under_way(&outer);
    drop(future);
    let mut inside = LifecycleLayer::new(inner.clone()).layer(service_fn(echo::<Twice>));
    assert_eq!(read(now(inside.call(request)).unwrap().into_body()).unwrap(), 6);
    assert_apart(&outer, &inner);
    assert_eq!(inner.only().words(), ORDINARY);
}

/// The outer exchange is dropped, or answered and read, while a task calls the inner layer: whatever comes first, each hears
/// one close, last, and of one that was dropped all that belongs to it.
#[test]
fn a_join_that_races_with_the_end_of_the_exchange_hears_one_close() {
    for round in 0..2000 {
        let answers = round % 2 == 0;
        let (outer, inner) = (Recorder::new(), Recorder::new());
        let (future, request) = under_way(&outer);
        let mut inside = LifecycleLayer::new(inner.clone()).layer(service_fn(echo::<Twice>));
        let start = Arc::new(Barrier::new(2));
        let starts = Arc::clone(&start);
        let task = thread::spawn(move || {
            starts.wait();
            drop(now(inside.call(request)).map(|response| read(response.into_body())));
        });
        start.wait();
        if answers {
            assert_eq!(read(now(future).unwrap().into_body()).unwrap(), 6);
        } else {
            drop(future);
        }
        task.join().unwrap();
        outer.only();
        let inner = inner.exchanges().remove(0);
        assert!(inner.dropped);
        let closes = inner.hooks.iter().filter(|hook| matches!(hook, EventKind::Close(_))).count();
        assert_eq!(closes, 1);
        if !answers {
            inner.assert_grammar();
        }
    }
}

/// Who joins in the same moment in which another thread answers hears of the response all, or nothing but the close.
#[test]
fn a_join_that_races_with_the_answer_hears_the_request_in_order_and_one_close() {
    const LATE: [&str; 3] = [
        "begin req.data req.end req.close(complete) close(complete)",
        "begin req.data req.close(detached) close(complete)",
        "begin req.close(detached) close(complete)",
    ];
    for _ in 0..20_000 {
        let (outer, inner) = (Recorder::new(), Recorder::new());
        let (future, request) = under_way(&outer);
        let mut inside = LifecycleLayer::new(inner.clone()).layer(service_fn(echo::<Twice>));
        let start = Arc::new(Barrier::new(2));
        let starts = Arc::clone(&start);
        let task = thread::spawn(move || {
            starts.wait();
            drop(now(inside.call(request)).map(|response| read(response.into_body())));
        });
        start.wait();
        assert_eq!(read(now(future).unwrap().into_body()).unwrap(), 6);
        task.join().unwrap();
        let outer = outer.only();
        let [inner] = <[Recording; 1]>::try_from(inner.exchanges()).unwrap();
        assert!(inner.dropped);
        if inner.summary().expect("closed").id.is_none() {
            // It came too late to join.
            inner.assert_grammar();
            continue;
        }
        assert_same(&outer, &inner);
        if inner.words().contains("response") {
            inner.assert_grammar();
            continue;
        }
        assert!(LATE.contains(&inner.words().as_str()), "{inner:#?}");
        let request = &inner.summary().unwrap().request;
        let told = request_data(&inner).iter().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        assert_eq!(told, (request.bytes, request.frames), "{inner:#?}");
        let closes = |kind: &&EventKind| matches!(kind, EventKind::Close(_));
        assert_eq!(inner.hooks.iter().filter(closes).count(), 1);
    }
}

// ===== a retry between the layers =====

/// Calls the inner service until it is well, or so many times. The request is read before and sent again each time.
macro_rules! retries {
    ($attempts:expr, $inner:expr) => {{
        let inner = $inner;
        service_fn(move |request: Request<Once>| {
            let mut inner = inner.clone();
            async move {
                let (parts, body) = request.into_parts();
                let length = read(body)?;
                let mut outcome = None;
                for _ in 0..$attempts {
                    let parts = parts.clone();
                    let request = Request::from_parts(parts, Mock::new(&[Step::Data(length)]));
                    let answer = inner.call(request).await?;
                    let well = answer.status().is_success();
                    outcome = Some(answer);
                    if well {
                        break;
                    }
                }
                Ok::<_, BoxError>(outcome.unwrap())
            }
        })
    }};
}

/// Answers 503 twice, then 200.
fn unwell() -> impl FnMut(Request<Once>) -> Pin<Box<dyn Future<Output = Outcome>>> + Clone {
    let calls = Arc::new(AtomicUsize::new(0));
    move |request| {
        let status = if calls.fetch_add(1, Ordering::SeqCst) < 2 { 503 } else { 200 };
        Box::pin(async move {
            let mut answer = echo(request).await?;
            *answer.status_mut() = http::StatusCode::from_u16(status)?;
            Ok(answer)
        })
    }
}

/// A layer joins once: what it is called for again is no part of the outer exchange's one answer.
#[test]
fn with_a_retry_between_the_layers_the_first_attempt_joins_and_later_ones_are_exchanges_of_their_own()
 {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let inside = LifecycleLayer::new(inner.clone());
    let mut service = outside(outer.clone()).layer(retries!(5, inside.layer(service_fn(unwell()))));
    ordinary(&mut service, post());
    let outer = outer.only();
    assert_eq!(outer.words(), ORDINARY);
    let attempts = inner.exchanges();
    assert_eq!(attempts.len(), 3);
    attempts.iter().for_each(Recording::assert_grammar);
    // It hears of the outer answer: the status of this attempt is not told.
    assert_same(&outer, &attempts[0]);
    assert_eq!(attempts[0].words(), ORDINARY);
    for attempt in &attempts[1..] {
        assert_ne!(attempt.summary().unwrap().id, outer.summary().unwrap().id);
    }
    assert_eq!(
        attempts[1].words(),
        "begin req.data req.end req.close(complete) response(503) close(unknown)",
        "its answer was dropped"
    );
    assert_eq!(attempts[2].words(), ORDINARY);
}

/// Those of an inner layer with handles have their own.
#[test]
fn the_handle_of_a_later_attempt_is_that_of_its_own_exchange_where_the_layer_has_handles() {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let ids: Arc<Mutex<Vec<ExchangeId>>> = Arc::default();
    let keep = Arc::clone(&ids);
    let mut answer = unwell();
    let inside = outside(inner.clone());
    let handler = service_fn(move |request: Request<Once>| {
        keep.lock().unwrap().push(handle_of(&request).id());
        answer(request)
    });
    let mut service = outside(outer.clone()).layer(retries!(5, inside.layer(handler)));
    ordinary(&mut service, post());
    let told: Vec<_> = inner.exchanges().iter().map(|told| told.summary().unwrap().id).collect();
    let ids = ids.lock().unwrap();
    assert_eq!(told, ids.iter().copied().map(Some).collect::<Vec<_>>());
    assert_eq!(outer.only().summary().unwrap().id, Some(ids[0]));
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
}

#[test]
fn a_standalone_layer_inside_a_retry_sees_each_attempt() {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let inside = LifecycleLayer::new(inner.clone()).standalone();
    let mut service = outside(outer.clone()).layer(retries!(5, inside.layer(service_fn(unwell()))));
    ordinary(&mut service, post());
    assert_eq!(outer.only().words(), ORDINARY);
    let attempts = inner.exchanges();
    let statuses: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            attempt.assert_grammar();
            attempt.summary().unwrap().status.unwrap().as_u16()
        })
        .collect();
    assert_eq!(statuses, [503, 503, 200]);
    assert_eq!(attempts[0].reason(), Reason::Unknown, "its answer was dropped");
}

/// Who joins is kept until the close, so an attempt more must not be one more that joins.
#[test]
fn a_retry_between_the_layers_keeps_no_more_with_each_attempt() {
    let (outer, inner) = (Recorder::new(), Recorder::with_interest(Interest::CLOSE));
    let alive = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (lives, mosts) = (Arc::clone(&alive), Arc::clone(&most));
    let spy = Spy::new(move |hook| match hook {
        "begin" => {
            mosts.fetch_max(lives.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        }
        "drop" => {
            lives.fetch_sub(1, Ordering::SeqCst);
        }
        _ => {}
    });
    let inside = LifecycleLayer::new((inner, spy));
    let handler = service_fn(async |request: Request<Once>| {
        let mut answer = echo(request).await?;
        *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        Outcome::Ok(answer)
    });
    let mut service = outside(outer).layer(retries!(10_000, inside.layer(handler)));
    ordinary(&mut service, post());
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    // That of the attempt that joined, and of the last two: each answer is dropped when there is another.
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

/// Calls each of these services with the same request, and answers as the last does.
macro_rules! calls_each {
    ($services:expr) => {{
        let services: Vec<_> = $services.collect();
        service_fn(move |request: Request<Once>| {
            let services = services.clone();
            async move {
                let (parts, body) = request.into_parts();
                let length = read(body)?;
                let mut outcome = None;
                for mut service in services {
                    let body = Mock::new(&[Step::Data(length)]);
                    let request = Request::from_parts(parts.clone(), body);
                    outcome = Some(service.call(request).await?);
                }
                Ok::<_, BoxError>(outcome.unwrap())
            }
        })
    }};
}

#[test]
fn sixteen_layers_join_and_more_make_exchanges_of_their_own() {
    let outer = Recorder::new();
    let inner: Vec<_> = (0..20).map(|_| Recorder::new()).collect();
    let layers: Vec<_> = inner.iter().map(|told| LifecycleLayer::new(told.clone())).collect();
    let called = calls_each!(layers.iter().map(|layer| layer.layer(service_fn(echo::<Once>))));
    let mut service = outside(outer.clone()).layer(called);
    ordinary(&mut service, post());
    for (at, inner) in inner.iter().enumerate() {
        if at < 16 {
            assert_joined(&outer, inner);
        } else {
            assert_apart(&outer, inner);
        }
    }
}

/// The next exchange begins anew.
#[test]
fn a_layer_joins_once_in_each_exchange_though_it_is_in_the_stack_twice() {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let inside = LifecycleLayer::new(inner.clone());
    let services = [inside.clone(), inside].map(|layer| layer.layer(service_fn(echo::<Once>)));
    let mut service = outside(outer.clone()).layer(calls_each!(services.into_iter()));
    for round in 0..3 {
        ordinary(&mut service, post());
        let (outer, inner) = (outer.exchanges(), inner.exchanges());
        assert_eq!((outer.len(), inner.len()), (round + 1, 2 * round + 2));
        inner.iter().for_each(Recording::assert_grammar);
        assert_same(&outer[round], &inner[2 * round]);
        assert_ne!(inner[2 * round + 1].summary().unwrap().id, outer[round].summary().unwrap().id);
    }
}

// ===== what a user might not expect =====

/// The bodies are the outer layer's, so what they can be asked of their errors is the outer layer's to know.
#[test]
fn errors_are_read_by_what_the_outer_layer_knows() {
    #[derive(Debug)]
    struct Cut(std::io::Error);
    impl std::fmt::Display for Cut {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("cut")
        }
    }
    impl std::error::Error for Cut {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    type Cutting = MockBody<Cut>;
    for (outer_knows, reason) in [(true, Reason::Reset), (false, Reason::RequestFailed)] {
        let (outer, inner) = (Recorder::new(), Recorder::new());
        let mut outside = outside(outer.clone());
        if outer_knows {
            outside = outside.known_error::<Cut>();
        }
        let inside = LifecycleLayer::new(inner.clone()).known_error::<Cut>();
        let handler = service_fn(async |request: Request<RequestBody<RequestBody<Cutting>>>| {
            let _ = read(request.into_body());
            Outcome::Ok(Response::new(Mock::new(&[CHUNK, CHUNK])))
        });
        let mut service = outside.layer(inside.layer(handler));
        let cut = || Cut(std::io::ErrorKind::ConnectionReset.into());
        let body = MockBody::new(&[CHUNK, Step::Error]).streamed().fails_with(cut);
        let request = Request::builder().method(Method::POST).body(body).unwrap();
        let answer = now(service.call(request)).unwrap();
        read(answer.into_body()).unwrap();
        let (outer, _) = assert_joined(&outer, &inner);
        assert_eq!(outer.reason(), reason);
    }
}

/// What passes is what passes the outer layer.
#[test]
fn a_body_that_is_put_in_place_between_the_layers_is_not_counted() {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let inside = LifecycleLayer::new(inner.clone()).layer(service_fn(echo::<Once>));
    let mut service = outside(outer.clone()).layer(service_fn(move |request: Request<Once>| {
        let mut inside = inside.clone();
        async move {
            let (parts, body) = request.into_parts();
            read(body)?;
            let longer = Mock::new(&[Step::Data(60)]);
            inside.call(Request::from_parts(parts, longer)).await
        }
    }));
    ordinary(&mut service, post());
    let (_, inner) = assert_joined(&outer, &inner);
    assert_eq!(inner.summary().unwrap().request.bytes, 6);
}

/// A layer chosen at run time joins as any.
#[test]
fn boxed_observers_join() {
    let (outer, inner) = (Recorder::new(), Recorder::new());
    let inside = LifecycleLayer::new(BoxObserver::new((inner.clone(), ())));
    let mut service =
        outside(BoxObserver::new(outer.clone())).layer(inside.layer(service_fn(echo::<Twice>)));
    ordinary(&mut service, post());
    assert_joined(&outer, &inner);
}

#[test]
fn callbacks_run_after_both_observers() {
    let log = Log::default();
    let inside = LifecycleLayer::new(named("inner", &log));
    let logs = Arc::clone(&log);
    let mut service = outside(named("outer", &log)).layer(inside.layer(service_fn(
        move |request: Request<Twice>| {
            let logs = Arc::clone(&logs);
            let called = move |close: Close| {
                logs.lock().unwrap().push(format!("callback {}", close.reason));
            };
            handle_of(&request).on_close(called).unwrap().keep();
            echo(request)
        },
    )));
    ordinary(&mut service, post());
    let log = log.lock().unwrap();
    assert_eq!(log.last().unwrap(), "callback complete");
    assert_eq!(log.iter().filter(|entry| entry.ends_with(".on_close")).count(), 2);
    assert_eq!(log.iter().filter(|entry| entry.ends_with("drop")).count(), 2);
}

/// A state of the inner observer is dropped at the close too, though a task holds the bodies and a handle.
#[test]
fn after_the_close_nothing_of_the_inner_state_is_alive() {
    let kept: Arc<Mutex<Vec<(ExchangeHandle, Twice)>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let alive = Arc::new(());
    let inside = LifecycleLayer::new({
        let alive = Arc::clone(&alive);
        Spy::new(move |_| {
            let _ = &alive;
        })
    });
    let mut service =
        outside(()).layer(inside.layer(service_fn(move |request: Request<Twice>| {
            keep.lock().unwrap().push((handle_of(&request), request.into_body()));
            future::ready(Outcome::Ok(Response::new(Mock::new(&[CHUNK, CHUNK]).streamed())))
        })));
    ordinary(&mut service, post());
    drop(service);
    drop(inside);
    assert_eq!(Arc::strong_count(&alive), 1);
    drop(kept);
}

// ===== in an axum router over a real hyper =====

#[test]
fn in_a_router_over_a_real_hyper_an_outer_and_a_route_layer_see_one_exchange() {
    use axum::{Router, routing::post};
    use support::{
        client::{
            Act::{self, AwaitParked, Close, Read as Receive, ReadToEnd, Send},
            Client,
        },
        server::{Server, Signals},
    };

    const POST: &str = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    const LAST: &str =
        "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    const PARKED: &str = "POST /park HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let clients: [&[Act]; 2] = [
        &[Send(POST), Receive("hello"), Send(LAST), ReadToEnd],
        &[Send(PARKED), AwaitParked, Close],
    ];

    let (outer, inner) = (Recorder::new(), Recorder::new());
    support::rows::run(async {
        let signals = Arc::new(Signals::default());
        let parks = Arc::clone(&signals);
        let park = move || {
            let signals = Arc::clone(&parks);
            async move {
                signals.parked.notify_one();
                future::pending::<()>().await;
            }
        };
        let app = Router::new()
            .route("/echo", post(async |body: String| body))
            .route("/park", post(park))
            .route_layer(LifecycleLayer::new(inner.clone()))
            .layer(outside(outer.clone()));
        let server = Server::start(app).await;
        for script in clients {
            let mut client = Client::connect(server.addr).await;
            let play = client.play(script, &signals);
            tokio::time::timeout(PATIENCE, play).await.unwrap();
        }
        outer.settled(3).await;
        inner.settled(3).await;
    });
    let (outer, inner) = (outer.exchanges(), inner.exchanges());
    assert_eq!((outer.len(), inner.len()), (3, 3));
    for (outer, inner) in outer.iter().zip(&inner) {
        outer.assert_grammar();
        inner.assert_grammar();
        assert_same(outer, inner);
        assert_heard_alike(outer, inner);
    }
    assert_eq!(outer[0].reason(), Reason::Complete);
    assert_eq!(outer[2].reason(), Reason::Unknown);
}
