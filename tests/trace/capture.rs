//! A subscriber that keeps what it was told, and exchanges to be told of.
#![allow(unreachable_pub, reason = "for the other modules")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer as _, ServiceExt, service_fn};
use tower_lifecycle::{
    LifecycleLayer, RequestBody, ResponseBody,
    testing::{BoxError, MockBody},
    trace::Trace,
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// A value and its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    I64(i64),
    F64(f64),
    Str(String),
    /// Formatted.
    Text(String),
    Other(&'static str),
}

pub type Values = BTreeMap<&'static str, Value>;

#[derive(Clone, Debug)]
pub struct Span {
    pub name: &'static str,
    pub target: String,
    pub level: Level,
    pub declared: Vec<&'static str>,
    pub values: Values,
    pub parent: Option<u64>,
    pub entered: usize,
    pub inside: usize,
    pub closed: usize,
    /// Entered after it was closed, or recorded.
    pub late: usize,
}

#[derive(Clone, Debug)]
pub struct Told {
    pub name: &'static str,
    pub target: String,
    pub level: Level,
    pub values: Values,
    pub span: Option<u64>,
}

#[derive(Debug, Default)]
pub struct Seen {
    /// Each under a number of its own, which is in its extensions.
    pub spans: BTreeMap<u64, Span>,
    pub events: Vec<Told>,
}

#[derive(Clone, Debug, Default)]
pub struct Capture(Arc<Mutex<Seen>>);

struct Number(u64);

impl Capture {
    /// Listens in this thread.
    pub fn start() -> (Self, DefaultGuard) {
        let capture = Self::default();
        let guard =
            tracing::subscriber::set_default(tracing_subscriber::registry().with(capture.clone()));
        (capture, guard)
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap()
    }

    pub fn named(&self, name: &str) -> Vec<Span> {
        self.seen().spans.values().filter(|span| span.name == name).cloned().collect()
    }

    /// The one exchange there was.
    pub fn only(&self) -> Span {
        let spans: Vec<_> =
            [self.named("HTTP request"), self.named("HTTP client request")].concat();
        let [span] = &spans[..] else { panic!("{} spans", spans.len()) };
        span.clone()
    }

    pub fn events(&self) -> Vec<&'static str> {
        self.seen().events.iter().map(|event| event.name).collect()
    }

    pub fn event(&self, name: &str) -> Told {
        let seen = self.seen();
        let mut events = seen.events.iter().filter(|event| event.name == name);
        let event = events.next().unwrap_or_else(|| panic!("no {name}")).clone();
        assert!(events.next().is_none(), "two of {name}");
        event
    }
}

impl Span {
    #[track_caller]
    pub fn text(&self, name: &str) -> &str {
        text(&self.values, name)
    }

    /// Closed once, and not entered since.
    #[track_caller]
    pub fn assert_closed(&self) {
        assert_eq!((self.closed, self.inside, self.late), (1, 0, 0), "{self:?}");
    }
}

#[track_caller]
pub fn text<'a>(values: &'a Values, name: &str) -> &'a str {
    match values.get(name) {
        Some(Value::Str(text) | Value::Text(text)) => text,
        other => panic!("{name} is {other:?}"),
    }
}

pub fn string(text: &str) -> Value {
    Value::Str(text.to_owned())
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let span = cx.span(id).unwrap();
        let parent = span.parent().map(|span| number(&span.extensions()));
        let mut values = Values::new();
        attributes.record(&mut Visitor(&mut values));
        let metadata = span.metadata();
        let mut seen = self.seen();
        let number = seen.spans.len() as u64;
        span.extensions_mut().insert(Number(number));
        seen.spans.insert(
            number,
            Span {
                name: metadata.name(),
                target: metadata.target().to_owned(),
                level: *metadata.level(),
                declared: metadata.fields().iter().map(|field| field.name()).collect(),
                values,
                parent,
                entered: 0,
                inside: 0,
                closed: 0,
                late: 0,
            },
        );
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, cx: Context<'_, S>) {
        self.of(id, &cx, |span| {
            span.late += usize::from(span.closed > 0);
            record.record(&mut Visitor(&mut span.values));
        });
    }

    fn on_enter(&self, id: &Id, cx: Context<'_, S>) {
        self.of(id, &cx, |span| {
            span.late += usize::from(span.closed > 0);
            span.entered += 1;
            span.inside += 1;
        });
    }

    fn on_exit(&self, id: &Id, cx: Context<'_, S>) {
        self.of(id, &cx, |span| span.inside -= 1);
    }

    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        self.of(&id, &cx, |span| span.closed += 1);
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let span = cx.event_span(event).map(|span| number(&span.extensions()));
        let mut values = Values::new();
        event.record(&mut Visitor(&mut values));
        let metadata: &Metadata<'_> = event.metadata();
        self.seen().events.push(Told {
            name: metadata.name(),
            target: metadata.target().to_owned(),
            level: *metadata.level(),
            values,
            span,
        });
    }
}

impl Capture {
    fn of<S>(&self, id: &Id, cx: &Context<'_, S>, tell: impl FnOnce(&mut Span))
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let number = number(&cx.span(id).unwrap().extensions());
        tell(self.seen().spans.get_mut(&number).unwrap());
    }
}

fn number(extensions: &tracing_subscriber::registry::Extensions<'_>) -> u64 {
    extensions.get::<Number>().unwrap().0
}

struct Visitor<'a>(&'a mut Values);

impl Visit for Visitor<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name(), Value::I64(value));
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name(), Value::F64(value));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), string(value));
    }
    fn record_u64(&mut self, field: &Field, _: u64) {
        self.0.insert(field.name(), Value::Other("u64"));
    }
    fn record_bool(&mut self, field: &Field, _: bool) {
        self.0.insert(field.name(), Value::Other("bool"));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), Value::Text(format!("{value:?}")));
    }
}

pub type Body = ResponseBody<MockBody>;
pub type Incoming = Request<RequestBody<MockBody>>;

pub fn get(uri: &str) -> Request<MockBody> {
    Request::get(uri).body(MockBody::empty()).unwrap()
}

pub fn reply(status: u16, body: MockBody) -> Response<MockBody> {
    Response::builder().status(status).body(body).unwrap()
}

/// Sends a request through a layer, and reads the response.
pub async fn exchange(
    layer: LifecycleLayer<Trace>,
    request: Request<MockBody>,
    reply: Response<MockBody>,
) {
    let reply = Mutex::new(Some(reply));
    let service = layer.layer(service_fn(async |request: Incoming| {
        let _ = request.into_body().collect().await;
        Ok::<_, Infallible>(reply.lock().unwrap().take().unwrap())
    }));
    let response = service.oneshot(request).await.unwrap();
    let _ = response.into_body().collect().await;
}

/// The service fails.
pub async fn failure(layer: LifecycleLayer<Trace>, request: Request<MockBody>) {
    let service = layer.layer(service_fn(async |_: Incoming| {
        Err::<Response<MockBody>, BoxError>("no more beds".into())
    }));
    service.oneshot(request).await.unwrap_err();
}
