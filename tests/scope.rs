//! What surrounds the work that is done for an exchange.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{pending, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lifecycle::{
    BoxObserver, Hooks, Interest, LifecycleLayer, Listener, Observer, RequestBody, RequestHead,
    Role, Summary, TraceIds,
    observe::Scope,
    testing::{BoxError, MockBody},
};

thread_local!(static INSIDE: RefCell<Inside> = const { RefCell::new(Vec::new()) });

fn inside() -> Inside {
    INSIDE.with_borrow(Clone::clone)
}

/// What was inside where, as told by those who were there.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(&'static str, Inside)>>>);

type Inside = Vec<&'static str>;

impl Told {
    fn here(&self, place: &'static str) {
        self.0.lock().unwrap().push((place, inside()));
    }

    fn of(&self, place: &str) -> Vec<Inside> {
        let told = self.0.lock().unwrap();
        told.iter().filter(|(here, _)| *here == place).map(|(_, inside)| inside.clone()).collect()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Good,
    PanicsAtEntry,
    PanicsAtExit,
}

#[derive(Clone, Copy)]
struct Named(&'static str, Manner);

impl Observer for Named {
    type State = Self;

    fn begin(&self, _: &RequestHead<'_>) -> Option<Self> {
        Some(*self)
    }
}

impl Listener for Named {
    fn scope(&mut self) -> Option<Arc<dyn Scope>> {
        Some(Arc::new(*self))
    }
}

impl Scope for Named {
    fn enter(&self) {
        let Self(name, manner) = *self;
        assert!(manner != Manner::PanicsAtEntry, "at entry");
        INSIDE.with_borrow_mut(|inside| inside.push(name));
    }

    fn exit(&self) {
        let Self(name, manner) = *self;
        assert_eq!(INSIDE.with_borrow_mut(Vec::pop), Some(name));
        assert!(manner != Manner::PanicsAtExit, "at exit");
    }
}

/// Yields one frame, and tells of each poll and of its drop.
struct Telling(Told, &'static str, u8);

impl Body for Telling {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.here(self.1);
        self.2 += 1;
        Poll::Ready((self.2 == 1).then(|| Ok(Frame::data(Bytes::from_static(b"frame")))))
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.here("drop of a body");
    }
}

struct TellsDrop(Told);

impl Drop for TellsDrop {
    fn drop(&mut self) {
        self.0.here("drop of the handler");
    }
}

async fn exchange(layer: LifecycleLayer<impl Observer>, told: &Told) {
    let handler = told.clone();
    let service = service_fn(move |request: Request<RequestBody<Telling>>| {
        handler.here("call");
        let told = handler.clone();
        async move {
            let _dropped = TellsDrop(told.clone());
            told.here("handler");
            request.into_body().collect().await?;
            Ok::<_, Infallible>(Response::new(Telling(told, "response", 0)))
        }
    });
    let request = Request::new(Telling(told.clone(), "request", 0));
    let response = layer.layer(service).oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes().as_ref(), b"frame");
}

const PLACES: [&str; 5] = ["call", "handler", "request", "response", "drop of the handler"];

#[tokio::test]
async fn a_scope_surrounds_the_call_each_poll_and_the_drop_of_the_handler() {
    let told = Told::default();
    exchange(LifecycleLayer::new(Named("one", Manner::Good)), &told).await;
    for place in PLACES {
        let all = told.of(place);
        assert!(!all.is_empty() && all.iter().all(|inside| inside.contains(&"one")), "{place}");
    }
    assert_eq!(told.of("handler"), [["one"]]);
    assert_eq!(told.of("response"), [["one"], ["one"]]);
    assert!(inside().is_empty());
}

#[tokio::test]
async fn scopes_of_a_tuple_are_nested_in_its_order() {
    let told = Told::default();
    let three =
        (Named("a", Manner::Good), (), (Named("b", Manner::Good), Named("c", Manner::Good)));
    exchange(LifecycleLayer::new(three), &told).await;
    assert_eq!(told.of("handler"), [["a", "b", "c"]]);
    exchange(LifecycleLayer::new(BoxObserver::new(Named("boxed", Manner::Good))), &told).await;
    assert_eq!(told.of("handler")[1], ["boxed"]);
}

#[tokio::test]
async fn hooks_are_called_outside_of_the_scope() {
    let told = Told::default();
    let (head, close) = (told.clone(), told.clone());
    let hooks =
        Hooks::new().on_response(move |_| head.here("hook")).on_close(move |_| close.here("hook"));
    exchange(LifecycleLayer::new((Named("one", Manner::Good), hooks)), &told).await;
    assert_eq!(told.of("hook"), [Vec::<&str>::new(), Vec::new()]);
}

#[tokio::test]
async fn a_scope_that_panics_changes_nothing_but_the_count_of_panics() {
    for (manner, within) in [(Manner::PanicsAtEntry, &[][..]), (Manner::PanicsAtExit, &["bad"])] {
        let told = Told::default();
        let layer = LifecycleLayer::new(Named("bad", manner));
        let seen = told.clone();
        let layer = layer.on_observer_panic(move |panic| {
            assert_eq!(panic.hook, "scope");
            assert!(panic.observer.ends_with("Named"));
            seen.here("panic");
        });
        exchange(layer.clone(), &told).await;
        assert_eq!(told.of("handler"), [within]);
        assert!(layer.observer_panics() > 0);
        assert_eq!(told.of("panic").len() as u64, layer.observer_panics());
        assert!(inside().is_empty());
    }
}

#[tokio::test]
async fn a_scope_that_panics_leaves_none_of_a_tuple_entered() {
    for manner in [Manner::PanicsAtEntry, Manner::PanicsAtExit] {
        let told = Told::default();
        let three = (Named("a", Manner::Good), Named("bad", manner), Named("c", Manner::Good));
        let layer = LifecycleLayer::new(three);
        exchange(layer.clone(), &told).await;
        assert!(layer.observer_panics() > 0);
        assert!(inside().is_empty());
    }
}

#[test]
fn a_panic_of_the_handler_passes_through_a_scope_as_it_is() {
    let told = Told::default();
    let verdict = told.clone();
    let hooks = Hooks::new().on_close(move |summary| {
        assert_eq!(summary.close.to_string(), "panicked in handler, by local, known by unwind");
        verdict.here("close");
    });
    let layer = LifecycleLayer::new((Named("one", Manner::Good), hooks));
    let mut service = layer.layer(service_fn(
        async |_: Request<_>| -> Result<Response<Empty<Bytes>>, BoxError> {
            std::panic::panic_any("the handler's own");
        },
    ));
    let mut future = Box::pin(service.call(Request::new(Empty::<Bytes>::new())));
    let mut cx = Context::from_waker(Waker::noop());
    let poll = AssertUnwindSafe(|| future.as_mut().poll(&mut cx).is_ready());
    let thrown = catch_unwind(poll).unwrap_err();
    assert_eq!(thrown.downcast_ref::<&str>(), Some(&"the handler's own"));
    drop(future);
    assert_eq!(told.of("close"), [Vec::<&str>::new()]);
    assert_eq!(layer.observer_panics(), 0);
    assert!(inside().is_empty());
}

#[test]
fn a_handler_that_is_dropped_is_dropped_inside() {
    let told = Told::default();
    let handler = told.clone();
    let layer = LifecycleLayer::new(Named("one", Manner::Good));
    let mut service = layer.layer(service_fn(move |_: Request<_>| {
        let dropped = TellsDrop(handler.clone());
        async move {
            let _dropped = dropped;
            pending::<Result<Response<Empty<Bytes>>, Infallible>>().await
        }
    }));
    let mut future = Box::pin(service.call(Request::new(Empty::<Bytes>::new())));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    drop(future);
    assert_eq!(told.of("drop of the handler"), [["one"]]);
}

#[tokio::test]
async fn a_response_that_is_dropped_is_dropped_inside() {
    let told = Told::default();
    let body = told.clone();
    let layer = LifecycleLayer::new(Named("one", Manner::Good));
    let service = layer.layer(service_fn(move |_: Request<_>| {
        ready(Ok::<_, Infallible>(Response::new(Telling(body.clone(), "response", 0))))
    }));
    drop(service.oneshot(Request::new(Empty::<Bytes>::new())).await.unwrap());
    assert_eq!(told.of("drop of a body"), [["one"]]);
}

#[tokio::test]
async fn a_layer_that_joins_keeps_its_scope_from_there_on_in() {
    let told = Told::default();
    let handler = told.clone();
    let inner = LifecycleLayer::new(Named("inner", Manner::Good));
    let service =
        inner.layer(service_fn(move |request: Request<RequestBody<RequestBody<Telling>>>| {
            handler.here("call");
            let told = handler.clone();
            async move {
                told.here("handler");
                request.into_body().collect().await?;
                Ok::<_, Infallible>(Response::new(Telling(told, "response", 0)))
            }
        }));
    let between = told.clone();
    let service = service_fn(move |request: Request<_>| {
        between.here("between");
        service.clone().oneshot(request)
    });
    let outer = LifecycleLayer::new(Named("outer", Manner::Good)).with_handle();
    let request = Request::new(Telling(told.clone(), "request", 0));
    let response = outer.layer(service).oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    assert_eq!(told.of("between"), [["outer"]]);
    assert_eq!(told.of("call"), [["outer", "inner"]]);
    assert_eq!(told.of("handler"), [["outer", "inner"]]);
    assert!(told.of("request").iter().all(|inside| inside.contains(&"inner")));
    assert_eq!(told.of("response"), [["outer", "inner"], ["outer", "inner"]]);
}

#[tokio::test]
async fn who_does_not_ask_for_a_scope_has_none() {
    struct Uninterested(Named);
    impl Observer for Uninterested {
        type State = Named;
        fn interest(&self) -> Interest {
            Interest::ALL - Interest::SCOPE
        }
        fn begin(&self, _: &RequestHead<'_>) -> Option<Named> {
            Some(self.0)
        }
    }
    let told = Told::default();
    exchange(LifecycleLayer::new(Uninterested(Named("one", Manner::Good))), &told).await;
    assert!(PLACES.iter().all(|place| told.of(place).concat().is_empty()));
}

#[tokio::test]
async fn a_trace_s_ids_are_in_the_summary_and_the_first_that_says_them_counts() {
    struct Traced(u64);
    impl Observer for Traced {
        type State = ();
        fn begin(&self, head: &RequestHead<'_>) -> Option<()> {
            assert_eq!(head.role, Role::Client);
            assert!(head.connection.is_none());
            head.set_trace(TraceIds {
                trace_id: 0xabc_u128.to_be_bytes(),
                span_id: self.0.to_be_bytes(),
                sampled: true,
            });
            None
        }
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let hooks = Hooks::new().on_close(move |summary: &Summary| {
        sender.send((summary.role, summary.trace)).unwrap();
    });
    let layer = LifecycleLayer::new((hooks, Traced(1), Traced(2))).client();
    let service = layer.layer(service_fn(async |_: Request<_>| {
        Ok::<_, BoxError>(Response::new(MockBody::empty()))
    }));
    service.oneshot(Request::new(MockBody::empty())).await.unwrap();
    let (role, trace) = receiver.recv().unwrap();
    assert_eq!(role, Role::Client);
    let parent = "00-00000000000000000000000000000abc-0000000000000001-01";
    assert_eq!(trace.unwrap().to_string(), parent);
}

#[tokio::test]
async fn a_handle_can_say_the_route() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let hooks = Hooks::new().on_close(move |summary: &Summary| {
        sender.send(summary.route.clone()).unwrap();
    });
    let layer = LifecycleLayer::new(hooks).with_handle();
    let service = layer.layer(service_fn(async |request: Request<_>| {
        let handle = request.extensions().get::<tower_lifecycle::ExchangeHandle>().unwrap();
        handle.set_route("/users/{id}");
        handle.set_route("/later");
        Ok::<_, BoxError>(Response::new(MockBody::empty()))
    }));
    service.oneshot(Request::new(MockBody::empty())).await.unwrap();
    assert_eq!(receiver.recv().unwrap().as_deref(), Some("/users/{id}"));
}

#[cfg(feature = "detach")]
#[tokio::test]
async fn what_is_detached_is_still_inside() {
    use std::time::Duration;
    use tower_lifecycle::detach::{DetachLayer, shield};

    let told = Told::default();
    let handler = told.clone();
    let inner = LifecycleLayer::new(Named("inner", Manner::Good)).standalone();
    let service = inner.layer(service_fn(move |_: Request<_>| {
        let told = handler.clone();
        async move {
            let _dropped = TellsDrop(told.clone());
            tokio::task::yield_now().await;
            told.here("handler");
            let section = told.clone();
            shield(async move {
                tokio::task::yield_now().await;
                section.here("section");
            })
            .await;
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    }));
    let service = DetachLayer::new(Duration::from_secs(1)).layer(service);
    let layer = LifecycleLayer::new(Named("outer", Manner::Good));
    let request = Request::new(Empty::<Bytes>::new());
    layer.layer(service).oneshot(request).await.unwrap();
    for place in ["handler", "section", "drop of the handler"] {
        assert_eq!(told.of(place), [["outer", "inner"]], "{place}");
    }
    assert!(inside().is_empty());
}
