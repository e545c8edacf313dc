//! Views of exchanges that are open: who is handed one, when, and what it shows.

mod support;

use std::{
    collections::HashSet,
    convert::Infallible,
    future::pending,
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use tower::{Layer, Service as _, ServiceExt as _, service_fn};
use tower_lifecycle::{
    BoxObserver, Data, Disconnect, End, ExchangeView, Failure, Finish, Interest, LifecycleLayer,
    Listener, Mark, Observer, Party, RequestBody, RequestClose, RequestHead, ResponseBody,
    ResponseHead, Role, Stage, Summary,
    testing::{BoxError, ManualClock, MockBody, Step},
};

use support::{
    panics::{boom, quiet},
    polls::{data, now, poll_body, poll_once, read},
};

type Asked = Request<RequestBody<MockBody>>;

/// Writes down every hook by name, and keeps the view.
#[derive(Clone)]
struct Views {
    name: &'static str,
    interest: Interest,
    panics: bool,
    /// While it begins.
    meanwhile: Option<Arc<Mutex<Option<Meanwhile>>>>,
    seen: Arc<Mutex<Seen>>,
}

type Meanwhile = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Seen {
    hooks: Vec<String>,
    views: Vec<ExchangeView>,
    summaries: Vec<Summary>,
}

struct Viewer(Views);

impl Views {
    fn new(interest: Interest) -> Self {
        Self { name: "", interest, panics: false, meanwhile: None, seen: Arc::default() }
    }

    fn named(&self, name: &'static str) -> Self {
        Self { name, ..self.clone() }
    }

    fn hooks(&self) -> Vec<String> {
        self.seen.lock().unwrap().hooks.clone()
    }

    fn view(&self) -> ExchangeView {
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.views.len(), 1);
        seen.views[0].clone()
    }

    fn summary(&self) -> Summary {
        self.seen.lock().unwrap().summaries[0].clone()
    }

    fn note(&self, hook: &str) {
        self.seen.lock().unwrap().hooks.push(format!("{}{hook}", self.name));
    }
}

impl Observer for Views {
    type State = Viewer;

    fn interest(&self) -> Interest {
        self.interest
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<Viewer> {
        self.note("begin");
        if let Some(meanwhile) = self.meanwhile.as_ref().and_then(|it| it.lock().unwrap().take()) {
            meanwhile();
        }
        Some(Viewer(self.clone()))
    }
}

impl Listener for Viewer {
    fn opened(&mut self, view: &ExchangeView) {
        self.0.note("opened");
        self.0.seen.lock().unwrap().views.push(view.clone());
        if self.0.panics {
            boom();
        }
    }
    fn on_disconnect(&mut self, _: Disconnect) {
        self.0.note("disconnect");
    }
    fn on_request_data(&mut self, _: Data) {
        self.0.note("request_data");
    }
    fn on_request_end(&mut self, _: &End<'_>) {
        self.0.note("request_end");
    }
    fn on_request_error(&mut self, _: &Failure<'_>) {
        self.0.note("request_error");
    }
    fn on_request_close(&mut self, _: RequestClose) {
        self.0.note("request_close");
    }
    fn on_response(&mut self, _: &ResponseHead<'_>) {
        self.0.note("response");
    }
    fn on_finish(&mut self, _: Finish) {
        self.0.note("finish");
    }
    fn on_close(&mut self, summary: &Summary) {
        self.0.note("close");
        self.0.seen.lock().unwrap().summaries.push(summary.clone());
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.note("drop");
    }
}

async fn answers<B>(request: Request<B>) -> Result<Response<MockBody>, BoxError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    request.into_body().collect().await.map_err(Into::into)?;
    Ok(Response::new(MockBody::stream(1)))
}

fn exchange<O: Observer>(layer: &LifecycleLayer<O>, body: MockBody) {
    let response =
        now(layer.layer(service_fn(answers::<RequestBody<MockBody>>)).oneshot(Request::new(body)))
            .unwrap();
    read(response.into_body()).unwrap();
}

const VIEWS: Interest = Interest::ALL;

// ===== who is handed one, and when =====

#[test]
fn a_view_is_handed_out_once_before_any_other_hook() {
    // Even a request that is at its end when it begins.
    for body in [MockBody::empty(), MockBody::stream(2)] {
        let views = Views::new(VIEWS);
        let layer = LifecycleLayer::new(views.clone());
        let inner = views.named("inner: ");
        let service = layer.layer(service_fn(move |request: Asked| {
            inner.note("called");
            answers(request)
        }));
        let response = now(service.oneshot(Request::new(body))).unwrap();
        read(response.into_body()).unwrap();
        let hooks = views.hooks();
        assert_eq!(hooks[..2], ["begin", "opened"]);
        assert_eq!(hooks.iter().filter(|hook| *hook == "opened").count(), 1);
        let called = hooks.iter().position(|hook| hook == "inner: called").unwrap();
        assert!(hooks[2..called].iter().all(|hook| hook.starts_with("request_")), "{hooks:?}");
    }
}

#[test]
fn nobody_is_handed_one_who_does_not_ask() {
    for interest in [Interest::DEFAULT, Interest::ALL - Interest::VIEW, Interest::CLOSE] {
        let views = Views::new(interest);
        exchange(&LifecycleLayer::new(views.clone()), MockBody::stream(1));
        assert!(!views.hooks().contains(&"opened".to_owned()), "{interest:?}");
        assert!(views.hooks().contains(&"close".to_owned()));
    }
    assert!(!Interest::DEFAULT.contains(Interest::VIEW) && Interest::ALL.contains(Interest::VIEW));
}

/// Who asks for nothing else hears of nothing else, and still has a view that knows.
#[test]
fn who_asks_for_a_view_alone_is_handed_one() {
    let views = Views::new(Interest::VIEW);
    let service = LifecycleLayer::new(views.clone()).layer(service_fn(answers));
    let response = now(service.oneshot(Request::new(MockBody::stream(3)))).unwrap();
    let view = views.view();
    assert_eq!((view.stage(), view.status()), (Stage::Response, Some(StatusCode::OK)));
    assert_eq!((view.request_progress().bytes, view.request_progress().frames), (15, 3));
    assert!(view.began().is_none() && view.age().is_none());
    assert!(view.request_wait().is_none() && view.response_wait().is_none());
    assert_eq!(view.response_turn(), Some(Party::Consumer));
    drop(response);
    assert_eq!(views.hooks(), ["begin", "opened", "drop"]);
    assert_eq!(view.stage(), Stage::Done);
}

#[test]
fn each_member_of_a_composition_is_handed_one_if_it_asks() {
    let views = Views::new(VIEWS);
    let quiet = Views { interest: Interest::DEFAULT, ..views.named("c ") };
    let layer = LifecycleLayer::new((
        views.named("a "),
        (Arc::new(views.named("b ")), quiet),
        Box::new(views.named("d ")),
        BoxObserver::new(views.named("e ")),
        Some(views.named("f ")),
        None::<Views>,
    ));
    exchange(&layer, MockBody::stream(1));
    let opened = |hook: &String| hook.ends_with("opened");
    let opened: Vec<_> = views.hooks().into_iter().filter(opened).collect();
    assert_eq!(opened, ["a opened", "b opened", "d opened", "e opened", "f opened"]);
    let hooks = views.hooks();
    let last = hooks.iter().rposition(|hook| hook.ends_with("opened")).unwrap();
    assert!(hooks[..=last].iter().all(|hook| hook.ends_with("opened") || hook.ends_with("begin")));
}

#[test]
fn a_layer_that_joins_is_handed_one_whether_the_outer_asks_or_not() {
    for outer in [Interest::CLOSE, Interest::ALL, Interest::NONE] {
        let views = Views::new(VIEWS);
        let outer = Views { interest: outer, ..Views::new(outer) };
        let inner = LifecycleLayer::new(views.clone()).layer(service_fn(answers));
        let stack = LifecycleLayer::new(outer).with_handle().layer(inner);
        let response = now(stack.oneshot(Request::new(MockBody::stream(2)))).unwrap();
        let view = views.view();
        assert_eq!(views.hooks()[..2], ["begin", "opened"]);
        assert_eq!(view.stage(), Stage::Response);
        assert_eq!(view.request_progress().bytes, 10);
        read(response.into_body()).unwrap();
        assert_eq!(view.stage(), Stage::Done);
        assert_eq!((view.response_progress().bytes, views.summary().response.bytes), (5, 5));
    }
}

/// What an outer middleware has read before belongs to the exchange too.
#[test]
fn who_joins_late_sees_what_has_passed_before() {
    for outer in [Interest::CLOSE, Interest::ALL, Interest::ALL - Interest::VIEW, Interest::NONE] {
        let views = Views::new(VIEWS);
        let inner = LifecycleLayer::new(views.clone());
        let middle = service_fn(move |mut request: Asked| {
            let inner = inner.clone();
            async move {
                request.body_mut().frame().await.unwrap().unwrap();
                let pending = service_fn(async |mut request: Request<RequestBody<_>>| {
                    let _: Option<_> = request.body_mut().frame().await;
                    pending::<Result<Response<MockBody>, BoxError>>().await
                });
                inner.layer(pending).oneshot(request).await
            }
        });
        let stack = LifecycleLayer::new(Views::new(outer)).with_handle().layer(middle);
        let mut call = pin!(stack.oneshot(Request::new(MockBody::stream(4))));
        assert!(poll_once(call.as_mut()).is_pending());
        let view = views.view();
        let progress = view.request_progress();
        assert_eq!((progress.bytes, progress.frames), (10, 2), "outer: {outer:?}");
        assert_eq!(view.stage(), Stage::Request);
    }
}

#[test]
fn a_panic_when_it_is_handed_out_silences() {
    quiet();
    let views = Views { panics: true, ..Views::new(VIEWS) };
    let other = Views::new(VIEWS);
    let panicked = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&panicked);
    let layer = LifecycleLayer::new((views.clone(), other.clone()))
        .on_observer_panic(move |panic| hears.lock().unwrap().push(panic.hook));
    exchange(&layer, MockBody::stream(1));
    assert_eq!(views.hooks(), ["begin", "opened", "drop"]);
    assert_eq!(other.hooks().last().unwrap(), "drop");
    assert!(other.hooks().contains(&"close".to_owned()));
    assert_eq!(*panicked.lock().unwrap(), ["opened"]);
    assert_eq!(layer.observer_panics(), 1);
}

// ===== what it shows =====

#[test]
fn a_view_shows_each_step() {
    const MS: Duration = Duration::from_millis(1);
    let (views, clock) = (Views::new(VIEWS), ManualClock::new());
    let layer = LifecycleLayer::new(views.clone()).with_clock(clock.clone());
    let (give, take) = std::sync::mpsc::channel();
    let mut service = layer.layer(service_fn(move |request: Asked| {
        give.send(request.into_body()).unwrap();
        async {
            Ok::<_, BoxError>(Response::builder().status(201).body(MockBody::stream(1)).unwrap())
        }
    }));
    let steps = [Step::Data(3), Step::Pending, Step::Data(4)];
    let mut call = Box::pin(service.call(Request::new(MockBody::new(&steps).streamed())));
    let mut body = take.recv().unwrap();
    let view = views.view();
    assert_eq!(view.role(), Role::Server);
    assert_eq!(
        (view.stage(), view.status(), view.request_turn()),
        (Stage::Request, None, Some(Party::Consumer))
    );
    assert!(!view.is_outermost() && view.connection().is_none() && view.trace().is_none());
    assert_eq!(view.began(), Some(clock.now()));
    clock.advance(MS);
    assert_eq!(view.age(), Some(MS));
    assert!(poll_body(&mut body).is_ready());
    assert_eq!((view.request_progress().bytes, view.request_progress().frames), (3, 1));
    assert!(poll_body(&mut body).is_pending());
    assert_eq!(view.request_turn(), Some(Party::Producer));
    clock.advance(MS * 2);
    let wait = view.request_wait().unwrap();
    assert_eq!((wait.producer, wait.consumer, wait.last), (MS * 2, MS, Party::Producer));
    assert!(poll_body(&mut body).is_ready());
    assert!(poll_body(&mut body).is_ready());
    assert_eq!((view.stage(), view.passed(Mark::RequestClose)), (Stage::Handler, Some(MS * 3)));
    assert!(view.response_wait().is_none() && view.passed(Mark::Response).is_none());
    clock.advance(MS);
    let std::task::Poll::Ready(Ok(response)) = poll_once(call.as_mut()) else { panic!() };
    assert_eq!((view.stage(), view.status()), (Stage::Response, Some(StatusCode::CREATED)));
    assert_eq!(view.passed(Mark::Response), Some(MS * 4));
    clock.advance(MS * 5);
    assert_eq!(view.response_wait().unwrap().consumer, MS * 5);
    let mut response = response.into_body();
    assert!(poll_body(&mut response).is_ready());
    clock.advance(MS * 6);
    assert!(poll_body(&mut response).is_ready());
    let wait = view.response_wait().unwrap();
    assert_eq!((wait.producer, wait.consumer), (Duration::ZERO, MS * 11));
    assert_eq!(Some(wait), views.summary().response.wait());

    // It may be kept, and says what was last.
    drop((call, body, response));
    clock.advance(MS * 100);
    assert_eq!((view.stage(), view.status()), (Stage::Done, Some(StatusCode::CREATED)));
    assert_eq!((view.request_progress().bytes, view.response_progress().bytes), (7, 5));
    assert_eq!(view.passed(Mark::ResponseEnd), Some(MS * 15));
    assert_eq!(view.response_wait(), Some(wait));
    assert!(view.passed(Mark::Close).is_none() && view.passed(Mark::Finish).is_none());
    assert!(!format!("{view:?}").is_empty());
}

/// As handles have it.
#[test]
fn with_handles_what_a_task_reads_after_the_close_is_not_shown() {
    let views = Views::new(VIEWS);
    let layer = LifecycleLayer::new(views.clone()).with_handle();
    let (give, take) = std::sync::mpsc::channel();
    let mut service = layer.layer(service_fn(move |request: Asked| {
        give.send(request.into_body()).unwrap();
        async { Ok::<_, BoxError>(Response::new(MockBody::empty())) }
    }));
    let response = now(service.call(Request::new(MockBody::stream(3)))).unwrap();
    let mut body = take.recv().unwrap();
    drop(response);
    let view = views.view();
    assert_eq!(view.stage(), Stage::Done);
    assert!(poll_body(&mut body).is_ready());
    let summed_up = views.summary().request.bytes;
    assert_eq!((view.request_progress().bytes, summed_up), (0, 0));
}

#[test]
fn a_view_shows_what_handles_have_marked_and_the_route() {
    let views = Views::new(VIEWS);
    let layer = LifecycleLayer::new(views.clone()).with_handle();
    let mut call = Box::pin(
        layer
            .layer(service_fn(async |request: Asked| {
                let handle = request.extensions().get::<tower_lifecycle::ExchangeHandle>().unwrap();
                handle.mark("db");
                handle.mark("parked");
                handle.set_route("/{id}");
                pending::<Result<Response<MockBody>, BoxError>>().await
            }))
            .call(Request::new(MockBody::empty())),
    );
    let view = views.view();
    assert!(!view.is_parked() && view.marks().is_empty() && view.route().is_none());
    assert!(poll_once(call.as_mut()).is_pending());
    assert!(view.is_parked());
    assert_eq!(view.marks().iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["db", "parked"]);
    assert_eq!(view.route().as_deref(), Some("/{id}"));
    drop(call);
    assert!(!view.is_parked(), "nothing is parked of what is over");
    assert_eq!(view.route().as_deref(), Some("/{id}"));
}

#[test]
fn a_view_keeps_no_body() {
    let views = Views::new(VIEWS);
    let layer = LifecycleLayer::new(views.clone());
    let mut body = MockBody::stream(1);
    let mut reply = MockBody::stream(1);
    let (asked, answered) = (body.probe(), reply.probe());
    let reply = Mutex::new(Some(reply));
    let service = layer.layer(service_fn(move |request: Asked| {
        drop(request);
        let reply = reply.lock().unwrap().take().unwrap();
        async { Ok::<_, BoxError>(Response::new(reply)) }
    }));
    drop(now(service.oneshot(Request::new(body))).unwrap());
    let view = views.view();
    assert!(asked.is_dropped() && answered.is_dropped());
    assert_eq!(view.stage(), Stage::Done);
}

// ===== who looks =====

/// A layer joins the exchange of a request that was handed on, and while it begins `meanwhile` is called with the outer call.
fn joins<F>(uri: &str, meanwhile: F) -> Views
where
    F: FnOnce(Response<ResponseBody<MockBody>>) + Send + 'static,
{
    let (give, take) = std::sync::mpsc::channel();
    let outer = LifecycleLayer::new(Views::new(Interest::URI)).with_handle();
    let mut stack = outer.layer(service_fn(move |request: Asked| {
        give.send(request).unwrap();
        async {
            let response = Response::builder().status(201).body(MockBody::hangs_after(1));
            Ok::<_, BoxError>(response.unwrap())
        }
    }));
    let request = Request::builder().uri(uri).body(MockBody::empty()).unwrap();
    let call = stack.call(request);
    let goes_on = move || meanwhile(now(call).unwrap());
    let views = Views {
        meanwhile: Some(Arc::new(Mutex::new(Some(Box::new(goes_on))))),
        ..Views::new(VIEWS)
    };
    let pending = service_fn(async |_: Request<RequestBody<_>>| {
        pending::<Result<Response<MockBody>, BoxError>>().await
    });
    drop(LifecycleLayer::new(views.clone()).layer(pending).call(take.recv().unwrap()));
    views
}

#[test]
fn who_joins_when_there_is_a_response_sees_its_status() {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let views = joins("/", move |response| *keep.lock().unwrap() = Some(response));
    assert_eq!(
        (views.view().stage(), views.view().status()),
        (Stage::Response, Some(StatusCode::CREATED))
    );
}

#[test]
fn who_joins_after_the_close_hears_of_the_target_and_nobody_keeps_it() {
    let views = joins("/a/b", drop);
    assert_eq!(views.hooks().last().unwrap(), "drop");
    assert_eq!(views.summary().uri.unwrap().path(), "/a/b");
    assert_eq!(views.view().summary().unwrap().uri, None);
}

#[test]
fn of_two_who_look_at_once_both_are_answered() {
    const LOOKS: usize = 200_000;
    let views = Views::new(VIEWS);
    exchange(&LifecycleLayer::new(views.clone()), MockBody::stream(1));
    let view = views.view();
    let looks = || (0..LOOKS).filter(|_| view.summary().is_some()).count();
    let answered = std::thread::scope(|scope| {
        [scope.spawn(looks), scope.spawn(looks)].map(|it| it.join().unwrap())
    });
    assert_eq!(answered, [LOOKS; 2]);
}

/// Where each of its hooks is called.
#[derive(Clone, Default)]
struct Where {
    view: Arc<OnceLock<ExchangeView>>,
    threads: Arc<Mutex<HashSet<ThreadId>>>,
}

impl Observer for Where {
    type State = Self;

    fn interest(&self) -> Interest {
        Interest::VIEW | Interest::RESPONSE_DATA
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<Self> {
        Some(self.clone())
    }
}

impl Listener for Where {
    fn opened(&mut self, view: &ExchangeView) {
        let _ = self.view.set(view.clone());
    }

    fn on_response_data(&mut self, _: Data) {
        self.threads.lock().unwrap().insert(thread::current().id());
    }
}

#[test]
fn who_looks_at_what_is_open_calls_no_hook() {
    const FRAMES: usize = 200_000;
    let seen = Where::default();
    let service = LifecycleLayer::new(seen.clone()).layer(service_fn(async |_: Asked| {
        Ok::<_, BoxError>(Response::new(MockBody::stream(FRAMES)))
    }));
    let response = now(service.oneshot(Request::new(MockBody::empty()))).unwrap();
    let reads = AtomicBool::new(true);
    thread::scope(|scope| {
        scope.spawn(|| {
            let view = seen.view.get().unwrap();
            while reads.load(Ordering::Relaxed) {
                let _: Option<Summary> = view.summary();
            }
        });
        read(response.into_body()).unwrap();
        reads.store(false, Ordering::Relaxed);
    });
    assert_eq!(*seen.threads.lock().unwrap(), HashSet::from([thread::current().id()]));
}

// ===== what it costs =====

/// Two frames of four bytes, without an allocation.
#[derive(Default)]
struct Frames(u8);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> support::polls::Polled<Self> {
        self.0 += 1;
        std::task::Poll::Ready((self.0 <= 2).then(|| Ok(http_body::Frame::data(data(4)))))
    }
}

/// Does nothing.
struct Idle(Interest);

struct Idler(Option<ExchangeView>);

impl Observer for Idle {
    type State = Idler;

    fn interest(&self) -> Interest {
        self.0
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<Idler> {
        Some(Idler(None))
    }
}

impl Listener for Idler {
    fn opened(&mut self, view: &ExchangeView) {
        self.0 = Some(view.clone());
    }

    fn on_close(&mut self, _: &Summary) {
        self.0 = None;
    }
}

fn allocations(interest: Interest) -> u64 {
    async fn handler<B: Body<Data = Bytes>>(
        request: Request<B>,
    ) -> Result<Response<Frames>, Infallible> {
        assert_eq!(read(request.into_body()).ok(), Some(8));
        Ok(Response::new(Frames::default()))
    }
    let mut service =
        LifecycleLayer::new(Idle(interest)).layer(service_fn(handler::<RequestBody<Frames>>));
    let request = Request::new(Frames::default());
    let counted = measure(|| {
        let Ok(response) = now(service.call(request));
        assert_eq!(read(response.into_body()).ok(), Some(8));
    });
    assert_eq!(counted.count_current, 0, "all of it is given back");
    counted.count_total
}

#[test]
fn a_view_allocates_nothing_asked_for_or_not() {
    let plain = Interest::CLOSE | Interest::DATA;
    assert_eq!(allocations(plain), 1);
    assert_eq!(allocations(plain | Interest::VIEW), 1);
    assert_eq!(allocations(Interest::VIEW), 1);
    assert_eq!(allocations(Interest::VIEW | Interest::MARKS), 1);
}
