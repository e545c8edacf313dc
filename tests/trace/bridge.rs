//! What OpenTelemetry is told, through `tracing-opentelemetry`.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{
    BodyExt,
    channel::{Channel, Sender},
};
use opentelemetry::{
    Context, Value,
    trace::{
        SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
        TracerProvider,
    },
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifecycle::{
    LifecycleLayer, RequestBody, ResponseBody, semconv::Conventions, testing::MockBody,
    trace::Trace,
};
use tracing::{info_span, level_filters::LevelFilter, subscriber::DefaultGuard};
use tracing_subscriber::layer::SubscriberExt;

use super::capture::{Incoming, exchange, get, reply};

struct Bridge {
    exporter: InMemorySpanExporter,
    provider: SdkTracerProvider,
    #[expect(dead_code, reason = "listens as long as it lives")]
    guard: DefaultGuard,
}

impl Bridge {
    fn start() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let registry = tracing_subscriber::registry().with(LevelFilter::INFO).with(layer);
        let guard = tracing::subscriber::set_default(registry);
        Self { exporter, provider, guard }
    }

    fn spans(&self) -> Vec<SpanData> {
        self.provider.force_flush().unwrap();
        self.exporter.get_finished_spans().unwrap()
    }

    fn of_kind(&self, kind: &SpanKind) -> SpanData {
        let spans = self.spans();
        let mut spans = spans.into_iter().filter(|span| span.span_kind == *kind);
        let span = spans.next().expect("a span");
        assert!(spans.next().is_none(), "one span");
        span
    }
}

#[expect(clippy::disallowed_methods, reason = "it is compared with that of OpenTelemetry")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Later than all that was told before, however coarse the clock is.
fn later() -> SystemTime {
    let before = now();
    loop {
        let now = now();
        if now > before {
            return now;
        }
        std::thread::yield_now();
    }
}

fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    let mut values = span.attributes.iter().filter(|attribute| attribute.key.as_str() == key);
    let value = values.next().map(|attribute| attribute.value.clone());
    assert!(values.next().is_none(), "{key} twice");
    value
}

#[tokio::test]
async fn name_kind_status_and_types_arrive() {
    let bridge = Bridge::start();
    let routed = Conventions::new().route(|_| Some("/users/{id}".into()));
    let layer = LifecycleLayer::new(Trace::new().conventions(routed));
    let request = Request::get("/users/42?page=2")
        .header("host", "example.com:8080")
        .body(MockBody::empty())
        .unwrap();
    exchange(layer, request, reply(503, MockBody::stream(2))).await;

    let span = bridge.of_kind(&SpanKind::Server);
    assert_eq!(span.name, "GET /users/{id}");
    assert!(matches!(span.status, Status::Error { .. }));
    for (key, value) in [
        ("http.request.method", Value::from("GET")),
        ("url.scheme", "http".into()),
        ("url.path", "/users/42".into()),
        ("url.query", "page=2".into()),
        ("http.route", "/users/{id}".into()),
        ("network.protocol.version", "1.1".into()),
        ("server.address", "example.com".into()),
        ("server.port", Value::I64(8080)),
        ("http.response.status_code", Value::I64(503)),
        ("error.type", "503".into()),
        ("http.request.body.size", Value::I64(0)),
        ("http.response.body.size", Value::I64(10)),
        ("tower_lifecycle.termination", "--".into()),
    ] {
        assert_eq!(attribute(&span, key), Some(value), "{key}");
    }
    let head = attribute(&span, "tower_lifecycle.response.head.duration");
    assert!(matches!(head, Some(Value::F64(_))));
    for absent in
        ["url.full", "otel.name", "otel.kind", "otel.status_code", "http.request.method_original"]
    {
        assert_eq!(attribute(&span, absent), None);
    }
    assert_eq!(span.events.iter().len(), 1);
}

#[tokio::test]
async fn a_success_has_no_status() {
    let bridge = Bridge::start();
    exchange(LifecycleLayer::new(Trace::new()), get("/"), reply(404, MockBody::stream(1))).await;
    let span = bridge.of_kind(&SpanKind::Server);
    assert_eq!((&*span.name, span.status), ("GET", Status::Unset));
}

#[tokio::test]
async fn a_client_s_span_is_one_of_a_client() {
    let bridge = Bridge::start();
    let layer = LifecycleLayer::new(Trace::new()).client();
    exchange(layer, get("http://example.com/"), reply(200, MockBody::stream(1))).await;
    let span = bridge.of_kind(&SpanKind::Client);
    assert_eq!(attribute(&span, "url.full"), Some("http://example.com/".into()));
    assert_eq!(attribute(&span, "server.port"), Some(Value::I64(80)));
}

#[tokio::test]
async fn the_handler_s_span_is_a_child() {
    let bridge = Bridge::start();
    let layer = LifecycleLayer::new(Trace::new());
    let service = layer.layer(service_fn(async |_: Incoming| {
        tokio::task::yield_now().await;
        info_span!("query").in_scope(|| {});
        Ok::<_, Infallible>(reply(200, MockBody::stream(1)))
    }));
    let response = service.oneshot(get("/")).await.unwrap();
    response.into_body().collect().await.unwrap();
    let (exchange, query) =
        (bridge.of_kind(&SpanKind::Server), bridge.of_kind(&SpanKind::Internal));
    assert_eq!(query.name, "query");
    assert_eq!(query.parent_span_id, exchange.span_context.span_id());
    assert_eq!(query.span_context.trace_id(), exchange.span_context.trace_id());
}

#[tokio::test]
async fn the_context_that_is_attached_around_the_service_is_the_parent() {
    let bridge = Bridge::start();
    let (trace, parent) = (TraceId::from(7), SpanId::from(8));
    let remote = SpanContext::new(trace, parent, TraceFlags::SAMPLED, true, TraceState::default());
    let attached = Context::new().with_remote_span_context(remote).attach();
    exchange(LifecycleLayer::new(Trace::new()), get("/"), reply(200, MockBody::stream(1))).await;
    drop(attached);
    let span = bridge.of_kind(&SpanKind::Server);
    assert_eq!((span.span_context.trace_id(), span.parent_span_id), (trace, parent));
}

/// A response whose frames are still to be sent.
async fn stream() -> (Sender<Bytes, Infallible>, ResponseBody<Channel<Bytes, Infallible>>) {
    let (sender, body) = Channel::new(1);
    let mut body = Some(body);
    let service = LifecycleLayer::new(Trace::new()).layer(service_fn(
        move |_: Request<RequestBody<MockBody>>| {
            let body = body.take().unwrap();
            async { Ok::<_, Infallible>(Response::new(body)) }
        },
    ));
    (sender, service.oneshot(get("/")).await.unwrap().into_body())
}

#[tokio::test]
async fn a_stream_s_span_covers_the_stream() {
    let bridge = Bridge::start();
    let before = now();
    let (mut sender, mut body) = stream().await;
    sender.send_data(Bytes::from_static(b"first")).await.unwrap();
    body.frame().await.unwrap().unwrap();
    let last = later();
    sender.send_data(Bytes::from_static(b"last")).await.unwrap();
    drop(sender);
    body.frame().await.unwrap().unwrap();
    assert!(bridge.spans().is_empty());
    assert!(body.frame().await.is_none());
    let after = now();

    let span = bridge.of_kind(&SpanKind::Server);
    assert!(before <= span.start_time && span.start_time <= last);
    assert!(last <= span.end_time && span.end_time <= after);
}

/// In real time: the bridge reads a clock of its own.
#[tokio::test]
async fn a_stream_of_a_second_is_a_second_through_the_bridge() {
    let second = Duration::from_secs(1);
    let bridge = Bridge::start();
    let before = now();
    let (mut sender, mut body) = stream().await;
    // A little more, because a clock of the day may be a little slow.
    tokio::time::sleep(second + Duration::from_millis(10)).await;
    sender.send_data(Bytes::from_static(b"late")).await.unwrap();
    drop(sender);
    while body.frame().await.is_some() {}
    let lasted = now().duration_since(before).unwrap();

    let span = bridge.of_kind(&SpanKind::Server);
    let duration = span.end_time.duration_since(span.start_time).unwrap();
    assert!((second..=lasted).contains(&duration), "{duration:?}");
}

#[tokio::test]
async fn a_span_ends_with_its_exchange_where_nothing_is_polled_at_the_end() {
    let bridge = Bridge::start();
    let service = LifecycleLayer::new(Trace::new()).layer(service_fn(async |_: Incoming| {
        Ok::<_, Infallible>(reply(200, MockBody::hangs_after(1)))
    }));
    let mut body = service.oneshot(get("/")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    let last = later();
    drop(body);
    let after = now();
    let span = bridge.of_kind(&SpanKind::Server);
    assert!(last <= span.end_time && span.end_time <= after);
    assert_eq!(attribute(&span, "error.type"), Some("unknown".into()));
}

#[tokio::test]
async fn a_task_that_reads_on_after_the_close_does_not_move_the_end() {
    let bridge = Bridge::start();
    let (keep, mut kept) = tokio::sync::mpsc::unbounded_channel();
    let service = LifecycleLayer::new(Trace::new()).layer(service_fn(async |request: Incoming| {
        keep.send(request.into_body()).unwrap();
        Ok::<_, Infallible>(reply(200, MockBody::stream(1)))
    }));
    let request = Request::post("/").body(MockBody::stream(2)).unwrap();
    service.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    let after = now();
    let span = bridge.of_kind(&SpanKind::Server);
    assert!(span.end_time <= after);
    kept.recv().await.unwrap().collect().await.unwrap();
    assert_eq!(bridge.of_kind(&SpanKind::Server).end_time, span.end_time);
}
