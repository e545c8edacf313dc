//! What the span and the events tell, and of which type.

use std::time::Duration;

use http::{Request, Version};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifecycle::{
    LifecycleLayer, Observer, RequestHead, TraceIds,
    semconv::{Conventions, DisconnectPolicy},
    testing::{BoxError, ManualClock, MockBody, Step},
    trace::Trace,
};
use tracing::Level;

use super::capture::{Capture, Value, exchange, failure, get, reply, string, text};

const FIELDS: [&str; 30] = [
    "otel.name",
    "otel.kind",
    "otel.status_code",
    "http.request.method",
    "http.request.method_original",
    "url.scheme",
    "url.path",
    "url.query",
    "url.full",
    "url.template",
    "http.route",
    "network.protocol.version",
    "server.address",
    "server.port",
    "client.address",
    "network.peer.address",
    "network.peer.port",
    "user_agent.original",
    "http.response.status_code",
    "error.type",
    "tower_lifecycle.termination",
    "tower_lifecycle.outcome",
    "http.request.body.size",
    "http.response.body.size",
    "tower_lifecycle.response.head.duration",
    "tower_lifecycle.response.first_data",
    "tower_lifecycle.request.body.wait_on_client",
    "tower_lifecycle.request.body.wait_on_handler",
    "tower_lifecycle.response.body.wait_on_producer",
    "tower_lifecycle.response.body.wait_on_consumer",
];

fn routed() -> Conventions {
    Conventions::new().route(|_| Some("/users/{id}".into()))
}

#[tokio::test]
async fn the_span_of_a_server_has_what_the_conventions_ask_for() {
    let (capture, _guard) = Capture::start();
    let layer = LifecycleLayer::new(Trace::new().conventions(routed()));
    let request = Request::post("/users/42?sig=secret&page=2")
        .header("host", "example.com:8080")
        .header("user-agent", "curl/8")
        .body(MockBody::stream(1))
        .unwrap();
    exchange(layer, request, reply(201, MockBody::stream(2))).await;

    let mut span = capture.only();
    span.assert_closed();
    assert_eq!(
        (span.name, span.level, &*span.target),
        ("HTTP request", Level::INFO, "tower_lifecycle")
    );
    assert_eq!(span.declared, FIELDS);
    let head = span.values.remove("tower_lifecycle.response.head.duration");
    assert!(matches!(head, Some(Value::F64(seconds)) if seconds >= 0.0));
    let expected = [
        ("otel.name", string("POST /users/{id}")),
        ("otel.kind", string("server")),
        ("http.request.method", string("POST")),
        ("url.scheme", string("http")),
        ("url.path", string("/users/42")),
        ("url.query", string("sig=REDACTED&page=2")),
        ("http.route", string("/users/{id}")),
        ("network.protocol.version", string("1.1")),
        ("server.address", string("example.com")),
        ("server.port", Value::I64(8080)),
        ("user_agent.original", string("curl/8")),
        ("http.response.status_code", Value::I64(201)),
        ("tower_lifecycle.termination", string("--")),
        ("http.request.body.size", Value::I64(5)),
        ("http.response.body.size", Value::I64(10)),
    ];
    assert_eq!(span.values, expected.into());
}

#[tokio::test]
async fn the_span_of_a_client_has_what_the_conventions_ask_for() {
    let (capture, _guard) = Capture::start();
    let layer = LifecycleLayer::new(Trace::new().conventions(routed())).client();
    let request = get("https://me:secret@example.com/users/42");
    let mut response = reply(404, MockBody::stream(1));
    *response.version_mut() = Version::HTTP_2;
    exchange(layer, request, response).await;

    let mut span = capture.only();
    span.assert_closed();
    assert_eq!((span.name, &*span.target), ("HTTP client request", "tower_lifecycle"));
    assert_eq!(span.declared, FIELDS);
    span.values.remove("tower_lifecycle.response.head.duration").unwrap();
    let expected = [
        ("otel.name", string("GET /users/{id}")),
        ("otel.kind", string("client")),
        ("otel.status_code", string("ERROR")),
        ("http.request.method", string("GET")),
        ("url.full", string("https://REDACTED:REDACTED@example.com/users/42")),
        ("url.template", string("/users/{id}")),
        ("network.protocol.version", string("2")),
        ("server.address", string("example.com")),
        ("server.port", Value::I64(443)),
        ("http.response.status_code", Value::I64(404)),
        ("error.type", string("404")),
        ("tower_lifecycle.termination", string("--")),
        ("http.request.body.size", Value::I64(0)),
        ("http.response.body.size", Value::I64(5)),
    ];
    assert_eq!(span.values, expected.into());
}

#[tokio::test]
async fn status_and_error_type_are_those_of_the_conventions() {
    let plain = Conventions::new();
    let lenient = Conventions::new().disconnects(DisconnectPolicy::Unset);
    for (status, body, conventions, error) in [
        (200, MockBody::stream(1), &plain, None),
        (404, MockBody::stream(1), &plain, None),
        (503, MockBody::stream(1), &plain, Some("503")),
        (200, MockBody::fails_after(1), &plain, Some("response_failed")),
        (500, MockBody::fails_after(1), &plain, Some("response_failed")),
        (200, MockBody::declares(15, 1), &lenient, Some("length_mismatch")),
    ] {
        let (capture, _guard) = Capture::start();
        let layer = LifecycleLayer::new(Trace::new().conventions(conventions.clone()));
        exchange(layer, get("/"), reply(status, body)).await;
        let span = capture.only();
        assert_eq!(span.values.get("error.type"), error.map(string).as_ref());
        let code = error.map(|_| string("ERROR"));
        assert_eq!(span.values.get("otel.status_code"), code.as_ref());
        let level = if error.is_some() { Level::ERROR } else { Level::INFO };
        let close = capture.event("lifecycle.close");
        assert_eq!(close.level, level);
        assert_eq!(close.values.get("error_type"), error.map(string).as_ref());
    }
}

#[tokio::test]
async fn the_user_names_the_errors_of_the_service() {
    let (capture, _guard) = Capture::start();
    let conventions =
        Conventions::new().errors(|error| (error.to_string() == "no more beds").then_some("full"));
    failure(LifecycleLayer::new(Trace::new().conventions(conventions)), get("/")).await;
    let span = capture.only();
    assert_eq!(span.text("error.type"), "full");
    assert_eq!(span.text("tower_lifecycle.termination"), "SH");
    assert!(!span.values.contains_key("http.response.status_code"));
    let error = capture.event("lifecycle.response_error").values;
    assert_eq!(text(&error, "error"), "no more beds");
    assert_eq!(text(&error, "reason"), "service_failed");
}

#[tokio::test]
async fn waits_are_told_where_they_are_asked_for() {
    let (capture, _guard) = Capture::start();
    let clock = ManualClock::new();
    let layer = LifecycleLayer::new(Trace::new().waits()).with_clock(clock);
    exchange(layer, get("/"), reply(200, MockBody::stream(1))).await;
    let values = capture.only().values;
    for name in
        FIELDS.iter().filter(|name| name.contains(".body.wait_on_") || name.ends_with("first_data"))
    {
        assert_eq!(values.get(name), Some(&Value::F64(0.0)), "{name}");
    }
}

#[tokio::test]
async fn the_time_to_the_head_is_in_seconds() {
    use tower::{Layer, ServiceExt, service_fn};
    let (capture, _guard) = Capture::start();
    let clock = ManualClock::new();
    let layer = LifecycleLayer::new(Trace::new()).with_clock(clock.clone());
    let service = layer.layer(service_fn(async |_: super::capture::Incoming| {
        clock.advance(Duration::from_millis(250));
        Ok::<_, std::convert::Infallible>(reply(200, MockBody::stream(1)))
    }));
    let response = service.oneshot(get("/")).await.unwrap();
    clock.advance(Duration::from_secs(1));
    http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
    let head = "tower_lifecycle.response.head.duration";
    assert_eq!(capture.only().values[head], Value::F64(0.25));
    assert_eq!(capture.event("lifecycle.close").values["duration_ms"], Value::F64(1250.0));
}

#[tokio::test]
async fn a_route_that_becomes_known_late_names_the_span_anew() {
    use tower::{Layer, ServiceExt, service_fn};
    let (capture, _guard) = Capture::start();
    let layer = LifecycleLayer::new(Trace::new()).with_handle();
    let service = layer.layer(service_fn(async |request: super::capture::Incoming| {
        let handle = request.extensions().get::<tower_lifecycle::ExchangeHandle>().unwrap();
        handle.set_route("/users/{id}");
        Ok::<_, std::convert::Infallible>(reply(200, MockBody::empty()))
    }));
    service.oneshot(get("/users/42")).await.unwrap();
    assert_eq!(capture.only().text("otel.name"), "GET /users/{id}");
    assert_eq!(capture.only().text("http.route"), "/users/{id}");
    assert_eq!(text(&capture.event("lifecycle.close").values, "route"), "/users/{id}");
}

#[tokio::test]
async fn a_method_that_is_not_known_is_no_name() {
    let (capture, _guard) = Capture::start();
    let method = "X".repeat(10_000);
    let request = Request::builder().method(&*method).uri("/").body(MockBody::empty()).unwrap();
    exchange(LifecycleLayer::new(Trace::new()), request, reply(200, MockBody::empty())).await;
    let span = capture.only();
    assert_eq!(span.text("otel.name"), "HTTP");
    assert_eq!(span.text("http.request.method"), "_OTHER");
    assert_eq!(span.text("http.request.method_original").len(), 1024);
    assert!(text(&capture.event("lifecycle.close").values, "message").len() < 400);
}

#[tokio::test]
async fn each_hook_has_an_event_in_the_span() {
    let (capture, _guard) = Capture::start();
    let request = Request::post("/").body(MockBody::stream(1)).unwrap();
    let body = MockBody::new(&[Step::Data(5), Step::Pending, Step::Data(5)]).streamed();
    exchange(LifecycleLayer::new(Trace::new()), request, reply(200, body)).await;
    let events = [
        "lifecycle.begin",
        "lifecycle.request_data",
        "lifecycle.request_end",
        "lifecycle.request_close",
        "lifecycle.response",
        "lifecycle.response_data",
        "lifecycle.response_data",
        "lifecycle.response_end",
        "lifecycle.finish",
        "lifecycle.close",
    ];
    assert_eq!(capture.events(), events);
    let seen = capture.seen();
    for event in &seen.events {
        assert_eq!((event.span, &*event.target), (Some(0), "tower_lifecycle"), "{}", event.name);
        let level = match event.name {
            "lifecycle.close" => Level::INFO,
            name if name.ends_with("data") => Level::TRACE,
            _ => Level::DEBUG,
        };
        assert_eq!(event.level, level, "{}", event.name);
        assert!(event.values.values().all(|value| !matches!(value, Value::Other(_))));
    }
}

#[tokio::test]
async fn what_a_client_does_wrong_is_an_error_of_the_span_and_none_of_the_log() {
    for body in [MockBody::fails_after(1), MockBody::declares(15, 1)] {
        let (capture, _guard) = Capture::start();
        let request = Request::post("/").body(body).unwrap();
        exchange(LifecycleLayer::new(Trace::new()), request, reply(200, MockBody::empty())).await;
        assert_eq!(capture.only().text("otel.status_code"), "ERROR");
        assert_eq!(capture.event("lifecycle.close").level, Level::INFO);
    }
}

#[tokio::test]
async fn the_summary_has_the_trace_s_id_where_an_observer_says_it() {
    struct Traced;

    impl Observer for Traced {
        type State = ();

        fn begin(&self, head: &RequestHead<'_>) -> Option<()> {
            head.set_trace(TraceIds { trace_id: [7; 16], span_id: [8; 8], sampled: true });
            None
        }
    }

    let (capture, _guard) = Capture::start();
    let layer = LifecycleLayer::new((Trace::new(), Traced));
    let service = layer
        .layer(service_fn(async |_: Request<_>| Ok::<_, BoxError>(reply(200, MockBody::empty()))));
    service.oneshot(get("/")).await.unwrap();
    assert_eq!(text(&capture.event("lifecycle.close").values, "trace_id"), "07".repeat(16));
}
