//! Who is whose parent: handlers, streams and tasks under the exchange, and exchanges under each other.

use std::{
    future::pending,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context as Task, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry::{
    Context,
    trace::{FutureExt, Span, SpanId, TraceContextExt, TraceId, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{SdkTracer, SpanData};
use tokio::task::yield_now;
use tower::{Layer, ServiceExt, service_fn};
use tower_lifecycle::{
    Hooks, LifecycleLayer, RequestBody,
    otel::ParentPolicy,
    testing::{BoxError, MockBody},
};
use tracing::{Instrument, info_span, subscriber};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{
    memory::{exchange, get, ok},
    site::{Seam, Site},
    stand::Stand,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// Of a remote client: `flags` are `01` where it is sampled.
fn traced(flags: &str) -> Request<MockBody> {
    let mut request = get("/");
    let parent = format!("00-{TRACE}-{SPAN}-{flags}");
    request.headers_mut().insert("traceparent", parent.parse().unwrap());
    request.headers_mut().insert("tracestate", HeaderValue::from_static("vendor=value"));
    request
}

/// Body that makes a span in each of its polls.
struct Spans {
    tracer: SdkTracer,
    name: &'static str,
    body: MockBody,
}

impl Body for Spans {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.tracer.start(self.name).end();
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

fn assert_children(stand: &Stand, parent: &SpanData, names: &[&str]) {
    let (trace, parent) = (parent.span_context.trace_id(), parent.span_context.span_id());
    for name in names {
        let mut spans = stand.spans();
        spans.retain(|span| span.name == *name);
        assert!(!spans.is_empty(), "{name}");
        for span in spans {
            assert_eq!(span.span_context.trace_id(), trace, "{name}");
            assert_eq!(span.parent_span_id, parent, "{name}");
        }
    }
}

#[tokio::test]
async fn what_handlers_do_is_under_the_exchange_at_every_await() {
    let stand = Stand::new();
    let tracer = stand.tracer_provider.tracer("handler");
    let layer = LifecycleLayer::new(stand.otel());
    let spans = |name, body| Spans { tracer: tracer.clone(), name, body };
    let service = layer.layer(service_fn(async |request: Request<RequestBody<_>>| {
        tracer.start("at first").end();
        yield_now().await;
        tracer.start("after an await").end();
        request.into_body().collect().await?;
        let in_task = tracer.clone();
        let task = async move {
            yield_now().await;
            in_task.start("in a task").end();
        };
        tokio::spawn(task.with_context(Context::current())).await?;
        Ok::<_, BoxError>(Response::new(spans("in the stream", MockBody::stream(3))))
    }));
    let request = Request::post("/").body(spans("in the upload", MockBody::stream(2))).unwrap();
    service.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    assert!(!Context::current().has_active_span(), "nothing is left attached");
    assert_children(
        &stand,
        &stand.named("POST"),
        &["at first", "after an await", "in the upload", "in a task", "in the stream"],
    );
}

#[tokio::test]
async fn what_handlers_do_with_tracing_is_under_the_exchange_too() {
    let stand = Stand::new();
    let tracer = stand.tracer_provider.tracer("handler");
    let bridge = tracing_opentelemetry::layer().with_tracer(tracer.clone());
    let _default = subscriber::set_default(tracing_subscriber::registry().with(bridge));
    let layer = LifecycleLayer::new(stand.otel());
    let service = layer.layer(service_fn(async |_: Request<_>| {
        info_span!("at first").in_scope(|| ());
        yield_now().await;
        let work = async {
            yield_now().await;
            tracer.start("native, inside").end();
        };
        work.instrument(info_span!("after an await")).await;
        Ok::<_, BoxError>(Response::new(MockBody::stream(1)))
    }));
    let response = service.oneshot(get("/")).await.unwrap();
    response.into_body().collect().await.unwrap();
    assert_children(&stand, &stand.named("GET"), &["at first", "after an await"]);
    assert_children(&stand, &stand.named("after an await"), &["native, inside"]);
}

/// Says by a span that it is dropped.
struct Ends(SdkTracer, &'static str);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.start(self.1).end();
    }
}

#[tokio::test]
async fn what_is_dropped_is_under_the_exchange_too() {
    let stand = Stand::new();
    let tracer = stand.tracer_provider.tracer("handler");
    let layer = LifecycleLayer::new(stand.otel());
    let service = layer.layer(service_fn(async |_: Request<_>| {
        let _ends = Ends(tracer.clone(), "in the handler");
        pending::<()>().await;
        ok(MockBody::empty())
    }));
    let mut asked = Box::pin(service.oneshot(get("/")));
    assert!(futures_util::poll!(&mut asked).is_pending());
    drop(asked);
    assert_children(&stand, &stand.named("GET"), &["in the handler"]);
}

#[tokio::test]
async fn other_observers_are_told_of_the_trace() {
    let stand = Stand::new();
    let traced = Arc::new(Mutex::new(None));
    let tells = Arc::clone(&traced);
    let hooks = Hooks::new().on_close(move |summary| *tells.lock().unwrap() = summary.trace);
    exchange(&LifecycleLayer::new((stand.otel(), hooks)), get("/"), ok(MockBody::empty())).await;
    let (context, trace) = (stand.named("GET").span_context, traced.lock().unwrap().unwrap());
    assert_eq!(trace.trace_id, context.trace_id().to_bytes());
    assert_eq!(trace.span_id, context.span_id().to_bytes());
    assert!(trace.sampled);
}

#[tokio::test]
async fn exchanges_that_take_turns_are_not_taken_for_each_other() {
    let stand = Stand::new();
    let tracer = stand.tracer_provider.tracer("handler");
    let layer = LifecycleLayer::new(stand.otel());
    let service = layer.layer(service_fn(async |request: Request<_>| {
        for _ in 0..10 {
            yield_now().await;
            let name = request.headers()["x-name"].to_str().unwrap().to_owned();
            tracer.start(name).end();
        }
        ok(MockBody::empty())
    }));
    let mut asked: Vec<Request<MockBody>> = vec![get("/"), get("/")];
    for (request, name) in asked.iter_mut().zip(["first", "second"]) {
        request.headers_mut().insert("x-name", HeaderValue::from_static(name));
    }
    let [first, second] = <[_; 2]>::try_from(asked).unwrap();
    let (first, second) =
        tokio::join!(service.clone().oneshot(first), service.clone().oneshot(second));
    drop((first.unwrap(), second.unwrap()));
    let parents = |name| {
        let mut spans = stand.spans();
        spans.retain(|span| span.name == name);
        assert_eq!(spans.len(), 10);
        assert!(spans.iter().all(|span| span.parent_span_id == spans[0].parent_span_id));
        spans[0].parent_span_id
    };
    assert_ne!(parents("first"), parents("second"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_and_a_server_are_one_trace() {
    for seam in Seam::ALL {
        let stand = Stand::new();
        let site = Site::serve(seam, stand.otel()).await;
        let otel = stand.otel();
        let client = Client::builder(TokioExecutor::new()).build::<_, _>(HttpConnector::new());
        let layer = LifecycleLayer::new(otel.clone()).client();
        let service = layer.layer(otel.inject().layer(client));
        let request = get(&format!("http://{}/users/7", site.addr));

        let tracer = stand.tracer_provider.tracer("caller");
        let root = Context::new().with_span(tracer.start("root"));
        let asks = async { service.oneshot(request).await.unwrap().into_body().collect().await };
        asks.with_context(root.clone()).await.unwrap();
        root.span().end();
        crate::support::until("the server's close", || stand.spans().len() == 3).await;

        let [root, client, server] =
            ["root", "GET", "GET /users/{id}"].map(|name| stand.named(name));
        assert_children(&stand, &root, &["GET"]);
        assert_children(&stand, &client, &["GET /users/{id}"]);
        assert!(server.parent_span_is_remote && !client.parent_span_is_remote);
        assert_eq!(server.span_context.trace_id(), root.span_context.trace_id());
    }
}

#[tokio::test]
async fn what_the_caller_does_not_sample_nobody_samples() {
    let stand = Stand::new();
    let tracer = stand.tracer_provider.tracer("handler");
    let otel = stand.otel();
    let server = LifecycleLayer::new(otel.clone());
    let service = server.layer(service_fn(async |_: Request<_>| {
        tracer.start("in the handler").end();
        // It asks somebody else.
        let client = LifecycleLayer::new(otel.clone()).client();
        let remote = service_fn(async |request: Request<_>| {
            let parent = request.headers()["traceparent"].to_str().unwrap().to_owned();
            assert!(
                parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-00"),
                "{parent}"
            );
            ok(MockBody::empty())
        });
        client.layer(otel.inject().layer(remote)).oneshot(get("http://a/")).await?;
        Ok::<_, BoxError>(Response::new(MockBody::stream(1)))
    }));
    let response = service.oneshot(traced("00")).await.unwrap();
    response.into_body().collect().await.unwrap();
    assert_eq!(stand.spans().len(), 0);
    let samples = stand.durations();
    assert_eq!(samples.iter().map(|point| point.count).sum::<u64>(), 2, "{samples:#?}");
}

#[tokio::test]
async fn the_clients_trace_is_inherited_linked_or_ignored() {
    let remote = (TraceId::from_hex(TRACE).unwrap(), SpanId::from_hex(SPAN).unwrap());
    for policy in [ParentPolicy::Inherit, ParentPolicy::Link, ParentPolicy::Ignore] {
        let stand = Stand::new();
        let layer = LifecycleLayer::new(stand.builder().parent(policy).build());
        exchange(&layer, traced("01"), ok(MockBody::empty())).await;
        let (span, _) = stand.only().await;
        let inherits = policy == ParentPolicy::Inherit;
        let parent = if inherits { remote.1 } else { SpanId::INVALID };
        assert_eq!(span.parent_span_id, parent, "{policy:?}");
        assert_eq!(span.parent_span_is_remote, inherits, "{policy:?}");
        assert_eq!(span.span_context.trace_id() == remote.0, inherits, "{policy:?}");
        let state = span.span_context.trace_state().header();
        assert_eq!(state, if inherits { "vendor=value" } else { "" }, "{policy:?}");
        let links: Vec<_> = span
            .links
            .iter()
            .map(|link| (link.span_context.trace_id(), link.span_context.span_id()))
            .collect();
        let is_linked = policy == ParentPolicy::Link;
        assert_eq!(links, if is_linked { vec![remote] } else { vec![] }, "{policy:?}");
    }
}

#[tokio::test]
async fn without_a_trace_there_is_nothing_to_inherit_or_to_link() {
    for policy in [ParentPolicy::Inherit, ParentPolicy::Link, ParentPolicy::Ignore] {
        let stand = Stand::new();
        let layer = LifecycleLayer::new(stand.builder().parent(policy).build());
        exchange(&layer, get("/"), ok(MockBody::empty())).await;
        let (span, _) = stand.only().await;
        assert_eq!((span.parent_span_id, span.links.len()), (SpanId::INVALID, 0), "{policy:?}");
    }
}

/// W3C's Trace Context: what is malformed is as good as none, and a malformed state costs the state alone.
#[tokio::test]
async fn a_malformed_trace_is_none() {
    let good = format!("00-{TRACE}-{SPAN}-01");
    let rows: [(&[&str], &str, bool, &str); 9] = [
        (&[&good], "vendor=value", true, "vendor=value"),
        (&[&good], "=;,malformed", true, ""),
        (&[&good, &good], "vendor=value", false, ""),
        (&[&good, ""], "vendor=value", false, ""),
        (&[&good.to_uppercase()], "vendor=value", false, ""),
        (&[&format!("ff-{TRACE}-{SPAN}-01")], "vendor=value", false, ""),
        (&[&format!("00-{TRACE}-{SPAN}")], "vendor=value", false, ""),
        (&[&format!("00-{TRACE}-0000000000000000-01")], "vendor=value", false, ""),
        (&[&format!("00-{}-{SPAN}-01", "0".repeat(32))], "vendor=value", false, ""),
    ];
    for (parents, state, inherits, told) in rows {
        let stand = Stand::new();
        let mut request = get("/");
        for parent in parents {
            request.headers_mut().append("traceparent", parent.parse().unwrap());
        }
        request.headers_mut().insert("tracestate", state.parse().unwrap());
        exchange(&LifecycleLayer::new(stand.otel()), request, ok(MockBody::empty())).await;
        let (span, _) = stand.only().await;
        assert_eq!(span.parent_span_is_remote, inherits, "{parents:?}");
        assert_eq!(span.span_context.trace_id().to_string() == TRACE, inherits, "{parents:?}");
        assert_eq!(span.span_context.trace_state().header(), told, "{parents:?}, {state}");
    }
}

/// A public endpoint that is told not to be sampled is sampled by its own sampler's will.
#[tokio::test]
async fn a_client_that_is_not_believed_decides_no_sampling() {
    for policy in [ParentPolicy::Link, ParentPolicy::Ignore] {
        let stand = Stand::new();
        let layer = LifecycleLayer::new(stand.builder().parent(policy).build());
        exchange(&layer, traced("00"), ok(MockBody::empty())).await;
        stand.only().await;
    }
}

/// Whatever is in the headers, what the propagator writes is what the server gets.
#[tokio::test]
async fn headers_that_were_there_are_replaced() {
    let stand = Stand::new();
    let otel = stand.otel();
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let client = LifecycleLayer::new(otel.clone()).client();
    let remote = service_fn(async |request: Request<_>| {
        *seen.lock().unwrap() = request.headers().clone();
        ok(MockBody::empty())
    });
    drop(client.layer(otel.inject().layer(remote)).oneshot(traced("01")).await.unwrap());
    let span = stand.spans().remove(0);
    let seen = seen.lock().unwrap();
    let parents: Vec<_> = seen.get_all("traceparent").iter().collect();
    let context = &span.span_context;
    assert_eq!(parents, [&format!("00-{}-{}-01", context.trace_id(), context.span_id())]);
}
