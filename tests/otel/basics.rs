//! What is told, and on which way an exchange ends.

use std::{
    cell::RefCell,
    future::{Future, pending, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex},
    task::{self, Poll, Waker},
    thread,
    time::Duration,
};

use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use opentelemetry::{
    Context, KeyValue, Value,
    baggage::BaggageExt,
    trace::{
        SpanId, SpanKind, Status, TraceContextExt, TraceId, TraceState, Tracer, TracerProvider,
    },
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{
        SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample, SpanData, SpanProcessor,
    },
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lifecycle::{
    ExchangeHandle, Hooks, LifecycleLayer, RequestBody, ResponseBody, Role,
    otel::{Otel, ParentPolicy},
    semconv::Conventions,
    testing::{BoxError, MockBody},
};

use super::kept::{Answer, Kept, Series, get, small, text};

fn value(span: &SpanData, key: &str) -> Option<Value> {
    let mut found = span.attributes.iter().filter(|at| at.key.as_str() == key);
    let first = found.next().map(|at| at.value.clone());
    assert!(found.next().is_none(), "{key} twice");
    first
}

fn traced(parent: &str) -> Request<MockBody> {
    let mut request = get("/");
    request.headers_mut().insert("traceparent", parent.parse().unwrap());
    request.headers_mut().insert("baggage", "tenant=7".parse().unwrap());
    request
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const SPAN: u64 = 0xb7ad_6b71_6920_3331;

async fn answer(
    layer: &LifecycleLayer<Otel>,
    request: Request<MockBody>,
    mut handler: impl FnMut(Request<RequestBody<MockBody>>) -> Answer,
) {
    let service = service_fn(move |request| ready(handler(request)));
    let Ok(response) = layer.layer(service).oneshot(request).await else { return };
    let _ = response.into_body().collect().await;
}

fn status(status: u16) -> Answer {
    let status = StatusCode::from_u16(status)?;
    Ok(Response::builder().status(status).body(MockBody::stream(1))?)
}

#[tokio::test]
async fn an_exchange_is_one_span_and_one_sample_by_the_conventions() {
    let kept = Kept::new();
    let conventions = Conventions::new().route(|_| Some("/users/{id}".into()));
    let layer = kept.layer(kept.otel().conventions(conventions));
    let request = get("http://example.com:8080/users/7?sig=secret&a=b");
    answer(&layer, request, |_| status(200)).await;
    let span = kept.span();
    assert_eq!(span.name, "GET /users/{id}");
    assert_eq!((span.span_kind.clone(), span.status.clone()), (SpanKind::Server, Status::Unset));
    assert_eq!(span.instrumentation_scope.name(), "tower-lifecycle");
    assert_eq!(
        span.instrumentation_scope.schema_url(),
        Some("https://opentelemetry.io/schemas/1.44.0")
    );
    assert_eq!(
        text(span.attributes.iter()),
        "http.request.method=GET http.response.status_code=200 http.route=/users/{id} \
         network.protocol.version=1.1 server.address=example.com server.port=8080 \
         tower_lifecycle.response.head.duration=0 tower_lifecycle.termination=-- \
         url.path=/users/7 url.query=sig=REDACTED&a=b url.scheme=http"
    );
    assert_eq!(value(&span, "http.response.status_code"), Some(Value::I64(200)));
    let metrics = kept.metrics();
    assert_eq!(metrics.keys().collect::<Vec<_>>(), ["http.server.request.duration"]);
    assert_eq!(
        kept.only("http.server.request.duration"),
        Series(
            "http.request.method=GET http.response.status_code=200 http.route=/users/{id} \
             network.protocol.version=1.1 url.scheme=http"
                .to_owned(),
            1,
            0.0
        )
    );
}

#[tokio::test]
async fn a_server_fails_by_its_status_from_500_on_and_by_whatever_cuts_an_exchange() {
    type Case = (fn() -> Answer, Option<i64>, Option<&'static str>);
    let cases: [Case; 5] = [
        (|| status(404), Some(404), None),
        (|| status(500), Some(500), Some("500")),
        (|| Err("no".into()), None, Some("service_failed")),
        (|| Ok(Response::new(MockBody::fails_after(1))), Some(200), Some("response_failed")),
        (|| Ok(Response::new(MockBody::declares(9, 1))), Some(200), Some("length_mismatch")),
    ];
    for (handler, status, error) in cases {
        let kept = Kept::new();
        answer(&kept.layer(kept.otel()), get("/"), |_| handler()).await;
        let span = kept.span();
        assert_eq!(span.name, "GET");
        assert_eq!(value(&span, "http.response.status_code"), status.map(Value::I64));
        assert_eq!(value(&span, "error.type"), error.map(Value::from));
        let expected = if error.is_some() { Status::error("") } else { Status::Unset };
        assert_eq!(span.status, expected);
        let Series(labels, samples, _) = kept.only("http.server.request.duration");
        let told = error.map(|error| format!("error.type={error} ")).unwrap_or_default();
        assert!(labels.starts_with(&format!("{told}http.request.method=GET")), "{labels}");
        assert_eq!(labels.contains("status_code"), status.is_some());
        assert_eq!(samples, 1);
    }
}

#[tokio::test]
async fn span_and_sample_last_as_long_as_the_exchange() {
    let kept = Kept::new();
    let layer = kept.layer(kept.otel().head_duration());
    let clock = kept.clock.clone();
    let service = service_fn(move |_: Request<_>| {
        clock.advance(Duration::from_millis(250));
        ready(Ok::<_, BoxError>(Response::new(MockBody::stream(2))))
    });
    let began = kept.clock.time();
    let response = layer.layer(service).oneshot(get("/")).await.unwrap();
    kept.clock.advance(Duration::from_millis(750));
    response.into_body().collect().await.unwrap();
    let span = kept.span();
    assert_eq!((span.start_time, span.end_time), (began, began + Duration::from_secs(1)));
    assert_eq!(value(&span, "tower_lifecycle.response.head.duration"), Some(Value::F64(0.25)));
    let Series(_, 1, 1.0) = kept.only("http.server.request.duration") else { panic!() };
    let Series(_, 1, 0.25) = kept.only("tower_lifecycle.server.response.head.duration") else {
        panic!()
    };
}

#[tokio::test]
async fn a_stream_has_its_sample_apart() {
    let kept = Kept::new();
    let layer = kept.layer(kept.otel());
    answer(&layer, get("/"), |_| {
        let response = Response::builder().header("content-type", "text/event-stream");
        Ok(response.body(MockBody::stream(3))?)
    })
    .await;
    let metrics = kept.metrics();
    assert_eq!(metrics.keys().collect::<Vec<_>>(), ["tower_lifecycle.server.stream.duration"]);
}

#[test]
fn whatever_is_dropped_or_panics_is_told_and_counted_down() {
    let kept = Kept::new();
    let layer = kept.layer(kept.otel().active_requests());
    let mut hangs =
        layer.layer(service_fn(|_: Request<RequestBody<MockBody>>| pending::<Answer>()));
    let mut panics =
        layer.layer(service_fn(async |_: Request<RequestBody<MockBody>>| -> Answer { panic!() }));
    let mut cx = task::Context::from_waker(task::Waker::noop());
    let mut future = Box::pin(hangs.call(get("/")));
    assert!(future.as_mut().poll(&mut cx).is_pending());
    let open = || kept.only("http.server.active_requests");
    assert_eq!(open(), Series("http.request.method=GET url.scheme=http".to_owned(), 1, 0.0));
    drop(future);
    let mut future = Box::pin(panics.call(get("/")));
    catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx).is_ready())).unwrap_err();
    drop(future);
    drop(hangs.call(get("/")));
    assert_eq!(open().1, 0);
    let spans = kept.spans.get_finished_spans().unwrap();
    let errors: Vec<_> = spans.iter().map(|span| value(span, "error.type").unwrap()).collect();
    assert_eq!(errors, ["unknown".into(), "panicked".into(), "unknown".into()]);
    let samples = kept.metrics()["http.server.request.duration"].clone();
    assert_eq!(samples.iter().map(|series| series.1).sum::<i64>(), 3);
}

thread_local! {
    /// What is dropped when a thread ends.
    static KEPT: RefCell<Option<ResponseBody<MockBody>>> = const { RefCell::new(None) };
}

#[test]
fn what_a_thread_drops_at_its_very_end_is_told() {
    let kept = Kept::new();
    let layer = kept.layer(kept.otel());
    let told = layer.clone();
    thread::spawn(move || {
        // The last that was first used is the first that is dropped: the current context outlives it, what we keep does not.
        drop(Context::new().attach());
        KEPT.set(None);
        let service = told.layer(service_fn(async |_: Request<RequestBody<MockBody>>| {
            Ok::<_, BoxError>(Response::new(MockBody::stream(2)))
        }));
        let future = pin!(service.oneshot(get("/")));
        let Poll::Ready(response) = future.poll(&mut task::Context::from_waker(Waker::noop()))
        else {
            panic!("it is pending");
        };
        KEPT.set(Some(response.unwrap().into_body()));
    })
    .join()
    .unwrap();
    assert_eq!(layer.observer_panics(), 0);
    assert_eq!(value(&kept.span(), "error.type"), Some("unknown".into()));
}

#[tokio::test]
async fn a_panic_of_a_users_function_costs_neither_span_nor_sample() {
    let kept = Kept::new();
    let conventions = Conventions::new()
        .route(|_| panic!("route"))
        .errors(|_| panic!("errors"))
        .streams_if(|_| panic!("streams"));
    let layer = kept.layer(kept.otel().active_requests().conventions(conventions));
    answer(&layer, get("/"), |_| Err("no".into())).await;
    assert_eq!(layer.observer_panics(), 3);
    assert_eq!(value(&kept.span(), "error.type"), Some("service_failed".into()));
    assert_eq!(kept.only("http.server.request.duration").1, 1);
    assert_eq!(kept.only("http.server.active_requests").1, 0);
}

#[tokio::test]
async fn the_context_of_the_exchange_is_that_of_its_handler_with_baggage() {
    let kept = Kept::new();
    let layer = kept.layer(kept.otel());
    let tracer = kept.tracers.tracer("handler");
    answer(&layer, traced(PARENT), |_| {
        assert_eq!(Context::current().baggage().get("tenant").unwrap().as_str(), "7");
        tracer.start("inside");
        status(200)
    })
    .await;
    let spans = kept.spans.get_finished_spans().unwrap();
    let [inside, exchange] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(exchange.parent_span_id, SpanId::from(SPAN));
    assert!(exchange.parent_span_is_remote);
    assert_eq!(inside.parent_span_id, exchange.span_context.span_id());
    for span in [inside, exchange] {
        assert_eq!(span.span_context.trace_id(), TraceId::from(TRACE));
    }
    assert!(!Context::current().has_active_span());
}

#[tokio::test]
async fn a_public_endpoint_links_to_what_its_client_says_or_ignores_it() {
    for (policy, links) in [(ParentPolicy::Link, 1), (ParentPolicy::Ignore, 0)] {
        let kept = Kept::new();
        answer(&kept.layer(kept.otel().parent(policy)), traced(PARENT), |_| {
            let baggage = Context::current().baggage().get("tenant").is_some();
            assert_eq!(baggage, policy == ParentPolicy::Link);
            status(200)
        })
        .await;
        let span = kept.span();
        assert_eq!(span.parent_span_id, SpanId::INVALID);
        assert_ne!(span.span_context.trace_id(), TraceId::from(TRACE));
        assert_eq!(span.links.len(), links);
        for link in span.links.iter() {
            assert_eq!(link.span_context.span_id(), SpanId::from(SPAN));
        }
    }
}

#[tokio::test]
async fn the_trace_is_known_to_other_observers() {
    let kept = Kept::new();
    let told = Arc::new(Mutex::new(None));
    let into = Arc::clone(&told);
    let hooks = Hooks::new().on_close(move |summary| *into.lock().unwrap() = summary.trace);
    let layer = LifecycleLayer::new((kept.otel().build(), hooks));
    let service = service_fn(|_: Request<RequestBody<MockBody>>| ready(status(200)));
    drop(layer.layer(service).oneshot(get("/")).await.unwrap());
    let (ids, span) = (told.lock().unwrap().unwrap(), kept.span().span_context);
    assert_eq!(TraceId::from_bytes(ids.trace_id), span.trace_id());
    assert_eq!(SpanId::from_bytes(ids.span_id), span.span_id());
    assert!(ids.sampled);
}

#[tokio::test]
async fn a_client_tells_the_server_of_its_span() {
    let kept = Kept::new();
    let otel = kept.otel().active_requests().build();
    let layer = LifecycleLayer::new(otel.clone()).with_clock(kept.clock.clone()).client();
    let seen = Arc::new(Mutex::new(None));
    let into = Arc::clone(&seen);
    let server = service_fn(move |request: Request<RequestBody<MockBody>>| {
        *into.lock().unwrap() = request.headers().get("traceparent").cloned();
        ready(status(404))
    });
    let service = layer.layer(otel.inject().layer(server));
    let mut request = traced(PARENT);
    *request.uri_mut() = "https://me:secret@example.com/a?b=c".parse().unwrap();
    let response = service.oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    let span = kept.span();
    assert_eq!(
        (span.span_kind.clone(), span.status.clone()),
        (SpanKind::Client, Status::error(""))
    );
    assert_eq!(span.parent_span_id, SpanId::INVALID, "what is sent is no parent");
    assert_eq!(
        text(span.attributes.iter()),
        "error.type=404 http.request.method=GET http.response.status_code=404 \
         network.protocol.version=1.1 server.address=example.com server.port=443 \
         tower_lifecycle.response.head.duration=0 \
         tower_lifecycle.termination=-- url.full=https://REDACTED:REDACTED@example.com/a?b=c"
    );
    let header = seen.lock().unwrap().clone().unwrap();
    let context = &span.span_context;
    let expected = format!("00-{}-{}-01", context.trace_id(), context.span_id());
    assert_eq!(header.to_str().unwrap(), expected);
    assert_eq!(
        kept.only("http.client.request.duration").0,
        "error.type=404 http.request.method=GET http.response.status_code=404 \
         network.protocol.version=1.1 server.address=example.com server.port=443"
    );
    assert_eq!(
        kept.only("http.client.active_requests"),
        Series(
            "http.request.method=GET server.address=example.com server.port=443".to_owned(),
            0,
            0.0
        )
    );
}

#[tokio::test]
async fn the_version_is_the_request_s_at_a_server_and_the_response_s_at_a_client() {
    for (role, expected) in [(Role::Server, "1.1"), (Role::Client, "2")] {
        let kept = Kept::new();
        let layer = kept.layer(kept.otel().body_sizes().head_duration().active_requests());
        let layer = if role == Role::Client { layer.client() } else { layer };
        answer(&layer, get("http://example.com/"), |_| {
            let mut response = status(200)?;
            *response.version_mut() = Version::HTTP_2;
            Ok(response)
        })
        .await;
        assert_eq!(value(&kept.span(), "network.protocol.version"), Some(expected.into()));
        let expected = format!("network.protocol.version={expected}");
        for (metric, series) in kept.metrics() {
            let is_told = series[0].0.contains(&expected);
            assert_eq!(is_told, !metric.ends_with("active_requests"), "{metric}: {series:?}");
        }
    }
}

#[test]
fn a_client_that_loses_interest_is_no_error() {
    let kept = Kept::new();
    let layer = kept.layer(kept.otel()).client();
    let service = service_fn(|_: Request<RequestBody<MockBody>>| pending::<Answer>());
    drop(layer.layer(service).call(get("http://example.com/")));
    let span = kept.span();
    assert_eq!((span.status.clone(), value(&span, "error.type")), (Status::Unset, None));
    assert_eq!(value(&span, "tower_lifecycle.outcome"), Some("cancelled".into()));
    assert_eq!(value(&span, "network.protocol.version"), None, "nobody has answered");
    assert_eq!(
        kept.only("http.client.request.duration").0,
        "http.request.method=GET server.address=example.com server.port=80"
    );
}

/// Keeps what it was shown, and drops every span.
#[derive(Clone, Debug, Default)]
struct Shown(Arc<Mutex<String>>);

impl ShouldSample for Shown {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        name: &str,
        _: &SpanKind,
        attributes: &[KeyValue],
        _: &[opentelemetry::trace::Link],
    ) -> SamplingResult {
        *self.0.lock().unwrap() = format!("{name}: {}", text(attributes.iter()));
        SamplingResult {
            decision: SamplingDecision::Drop,
            attributes: Vec::new(),
            trace_state: TraceState::default(),
        }
    }
}

#[tokio::test]
async fn what_is_not_sampled_is_shown_to_the_sampler_measured_and_passed_on() {
    let shown = Shown::default();
    let kept = Kept::sampled(shown.clone());
    answer(&kept.layer(kept.otel()), traced(PARENT), |_| {
        let context = Context::current();
        let span = context.span().span_context().clone();
        assert_eq!(span.trace_id(), TraceId::from(TRACE));
        assert!(!span.is_sampled() && span.span_id() != SpanId::from(SPAN));
        status(200)
    })
    .await;
    assert_eq!(*shown.0.lock().unwrap(), "GET: http.request.method=GET url.path=/ url.scheme=http");
    assert!(kept.spans.get_finished_spans().unwrap().is_empty());
    assert_eq!(kept.only("http.server.request.duration").1, 1);
}

#[tokio::test]
async fn without_spans_what_a_client_says_is_still_passed_on() {
    let kept = Kept::new();
    let layer = kept.layer(kept.otel().without_spans());
    answer(&layer, traced(PARENT), |_| {
        assert_eq!(Context::current().span().span_context().span_id(), SpanId::from(SPAN));
        status(200)
    })
    .await;
    answer(&layer, get("/"), |_| {
        assert!(!Context::current().has_active_span());
        status(200)
    })
    .await;
    assert!(kept.spans.get_finished_spans().unwrap().is_empty());
    assert_eq!(kept.only("http.server.request.duration").1, 2);
}

#[tokio::test]
async fn without_metrics_there_are_none() {
    let kept = Kept::new();
    let layer = kept.layer(kept.otel().all_metrics().without_metrics());
    answer(&layer, get("/"), |_| status(200)).await;
    assert!(kept.metrics().is_empty());
    kept.span();
}

#[tokio::test]
async fn sizes_and_waits_are_told_when_asked_for() {
    let kept = Kept::new();
    let layer = kept.layer(kept.otel().body_sizes().waits());
    let clock = kept.clock.clone();
    let service = service_fn(move |request: Request<RequestBody<MockBody>>| {
        let clock = clock.clone();
        async move {
            clock.advance(Duration::from_secs(2));
            request.into_body().collect().await?;
            status(200)
        }
    });
    let request = Request::post("/").body(MockBody::stream(3)).unwrap();
    let response = layer.layer(service).oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    let span = kept.span();
    let key = "tower_lifecycle.request.body.wait_on_handler";
    assert_eq!(value(&span, key), Some(Value::F64(2.0)));
    let Some(Value::I64(sent)) = value(&span, "http.request.body.size") else { panic!() };
    assert!(sent > 0);
    let expected = small(sent.try_into().unwrap());
    assert_eq!(kept.only("http.server.request.body.size").2.to_bits(), expected.to_bits());
    assert_eq!(kept.only("http.server.response.body.size").1, 1);
    let waits = kept.metrics()["tower_lifecycle.server.wait.duration"].clone();
    let on_handler = "http.request.method=POST tower_lifecycle.wait.on=handler url.scheme=http";
    assert_eq!(waits.len(), 4);
    assert!(waits.contains(&Series(on_handler.to_owned(), 1, 2.0)), "{waits:?}");
}

#[tokio::test]
async fn what_is_suppressed_is_not_told() {
    let kept = Kept::new();
    let layer = kept.layer(kept.otel());
    let _suppressed = Context::enter_telemetry_suppressed_scope();
    answer(&layer, get("/"), |_| status(200)).await;
    assert!(kept.metrics().is_empty() && kept.spans.get_finished_spans().unwrap().is_empty());
}

#[tokio::test]
async fn a_provider_that_was_shut_down_does_not_cut_the_trace() {
    let kept = Kept::new();
    let layer = kept.layer(kept.otel());
    kept.tracers.shutdown().unwrap();
    answer(&layer, traced(PARENT), |_| {
        assert_eq!(Context::current().span().span_context().span_id(), SpanId::from(SPAN));
        status(200)
    })
    .await;
    assert_eq!(kept.only("http.server.request.duration").1, 1);
}

/// The one test that touches what is global.
#[tokio::test]
async fn the_global_providers_are_those_of_when_it_was_built() {
    let (before, after) = (Kept::new(), Kept::new());
    let set = |kept: &Kept| {
        opentelemetry::global::set_tracer_provider(kept.tracers.clone());
        opentelemetry::global::set_meter_provider(kept.meters.clone());
    };
    set(&before);
    let otel = Otel::new();
    set(&after);
    answer(&LifecycleLayer::new(otel), get("/"), |_| status(200)).await;
    before.span();
    assert_eq!(before.only("http.server.request.duration").1, 1);
    assert!(after.metrics().is_empty() && after.spans.get_finished_spans().unwrap().is_empty());
}

#[tokio::test]
async fn hostile_headers_do_no_harm() {
    let kept = Kept::new();
    let layer = kept.layer(kept.otel());
    for parent in [vec![b'0'; 10_000], b"\xff\xfe".to_vec(), b"00-0-0-01".to_vec()] {
        let mut request = get("/");
        let value = http::HeaderValue::from_bytes(&parent).unwrap();
        request.headers_mut().insert("traceparent", value);
        answer(&layer, request, |_| status(200)).await;
    }
    let mut twice = traced(PARENT);
    twice.headers_mut().append("traceparent", PARENT.parse().unwrap());
    answer(&layer, twice, |_| status(200)).await;
    let spans = kept.spans.get_finished_spans().unwrap();
    assert_eq!(spans.len(), 4);
    assert!(spans.iter().all(|span| span.parent_span_id == SpanId::INVALID));
}

#[tokio::test]
async fn a_route_that_is_told_late_is_in_name_span_and_sample() {
    let kept = Kept::new();
    let layer = kept.layer(kept.otel().active_requests()).with_handle();
    answer(&layer, get("/users/7"), |request| {
        request.extensions().get::<ExchangeHandle>().unwrap().set_route("/users/{id}");
        status(200)
    })
    .await;
    let span = kept.span();
    assert_eq!(span.name, "GET /users/{id}");
    assert_eq!(value(&span, "http.route"), Some("/users/{id}".into()));
    assert!(kept.only("http.server.request.duration").0.contains("http.route=/users/{id}"));
    assert_eq!(kept.only("http.server.active_requests").1, 0);
}

/// Panics when it is asked, and when it is told of a span's end.
#[derive(Clone, Debug)]
struct Panics;

impl SpanProcessor for Panics {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {
        panic!("on purpose");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[tokio::test]
async fn a_processor_that_panics_costs_no_sample_and_leaves_nothing_counted() {
    let mut kept = Kept::new();
    kept.tracers = SdkTracerProvider::builder().with_span_processor(Panics).build();
    let layer = kept.layer(kept.otel().active_requests());
    answer(&layer, get("/"), |_| status(200)).await;
    assert_eq!(layer.observer_panics(), 1);
    assert_eq!(kept.only("http.server.request.duration").1, 1);
    assert_eq!(kept.only("http.server.active_requests").1, 0);
}

impl ShouldSample for Panics {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[opentelemetry::trace::Link],
    ) -> SamplingResult {
        panic!("on purpose");
    }
}

#[tokio::test]
async fn a_sampler_that_panics_costs_no_sample() {
    let kept = Kept::sampled(Panics);
    let layer = kept.layer(kept.otel().active_requests());
    answer(&layer, get("/"), |_| status(200)).await;
    assert_eq!(layer.observer_panics(), 1);
    assert_eq!(kept.only("http.server.request.duration").1, 1);
    assert_eq!(kept.only("http.server.active_requests").1, 0);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn through_a_seam_addresses_routes_and_connections_are_told() {
    use axum::{Router, routing};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    let kept = Kept::new();
    let layer = LifecycleLayer::new(kept.otel().connections().network().build()).with_handle();
    let app: Router = Router::new()
        .route("/users/{id}", routing::get(async || "Hello"))
        .layer(tower_lifecycle::RouteLayer::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = axum::serve(layer.listener(listener), layer.make_service(app));
    let server = tokio::spawn(async move { serving.await });
    let mut client = TcpStream::connect(address).await.unwrap();
    let head = b"GET /users/7 HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n\r\n";
    client.write_all(head).await.unwrap();
    client.read_to_end(&mut Vec::new()).await.unwrap();
    let over = async {
        while !kept.metrics().contains_key("tower_lifecycle.server.connection.duration") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), over).await.unwrap();
    server.abort();
    let span = kept.span();
    assert_eq!(span.name, "GET /users/{id}");
    assert_eq!(value(&span, "client.address"), Some("127.0.0.1".into()));
    assert_eq!(value(&span, "network.peer.address"), Some("127.0.0.1".into()));
    let port = client.local_addr().unwrap().port();
    assert_eq!(value(&span, "network.peer.port"), Some(Value::I64(port.into())));
    assert_eq!(value(&span, "network.local.port"), Some(Value::I64(address.port().into())));
    assert_eq!(value(&span, "client.port"), Some(Value::I64(port.into())));
    assert_eq!(value(&span, "network.transport"), Some("tcp".into()));
    let labels = "network.transport=tcp network.type=ipv4";
    let open = kept.only("tower_lifecycle.server.active_connections");
    assert_eq!((&*open.0, open.1), (labels, 0));
    let closed = kept.only("tower_lifecycle.server.connection.duration");
    assert_eq!((&*closed.0, closed.1), (labels, 1));
}
