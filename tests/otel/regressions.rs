//! What went wrong once, and what might have.

use std::{
    future::ready,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use opentelemetry::{
    Context,
    baggage::BaggageExt,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
    trace::{SpanId, TraceContextExt},
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::Sampler};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lifecycle::{
    Hooks, LifecycleLayer, RequestBody,
    otel::ParentPolicy,
    testing::{ManualClock, MockBody},
};

use super::kept::{Answer, Kept, get};

fn span_here() -> SpanId {
    Context::map_current(|context| context.span().span_context().span_id())
}

#[tokio::test]
async fn a_sampler_that_follows_its_parent_samples_a_trace_that_begins_at_a_public_endpoint() {
    for flags in ["00", "01"] {
        let kept = Kept::sampled(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
        let layer = LifecycleLayer::new(kept.otel().parent(ParentPolicy::Link).build());
        let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        let mut request = get("/");
        request.headers_mut().insert("traceparent", parent.parse().unwrap());
        request.headers_mut().insert("baggage", "tenant=7;meta=1".parse().unwrap());
        let service = service_fn(|_| {
            let tenant = Context::current().baggage().get("tenant").cloned();
            assert_eq!(tenant, Some("7".into()));
            ready(Answer::Ok(Response::new(MockBody::empty())))
        });
        layer.layer(service).oneshot(request).await.unwrap();
        let spans = kept.ended();
        assert_eq!(spans.len(), 1);
        assert_eq!(spans[0].parent_span_id, SpanId::INVALID);
        assert_eq!(spans[0].links.len(), 1);
    }
}

#[tokio::test]
async fn a_layer_that_joins_late_makes_a_span_that_ends_with_the_exchange() {
    let kept = Kept::sampled(Sampler::AlwaysOn);
    let clock = ManualClock::new();
    let outer =
        LifecycleLayer::new(Hooks::new().on_close(|_| {})).with_handle().with_clock(clock.clone());
    let inner = LifecycleLayer::new(kept.otel().build()).with_clock(clock.clone());
    let advance = clock.clone();
    let service = inner.layer(service_fn(move |_| {
        advance.advance(Duration::from_secs(1));
        ready(Answer::Ok(Response::new(MockBody::stream(1))))
    }));
    let late = clock.clone();
    let service = outer.layer(service_fn(move |request| {
        late.advance(Duration::from_secs(2));
        service.clone().oneshot(request)
    }));
    let response = service.oneshot(get("/")).await.unwrap();
    response.into_body().collect().await.unwrap();
    let spans = kept.ended();
    assert_eq!(spans.len(), 1);
    let lasted = spans[0].end_time.duration_since(spans[0].start_time).unwrap();
    assert_eq!(spans[0].end_time, clock.time());
    assert!((kept.sum("http.server.request.duration") - lasted.as_secs_f64()).abs() < 1e-9);
}

#[tokio::test]
async fn an_exchange_within_another_has_a_span_below_it() {
    let kept = Kept::sampled(Sampler::AlwaysOn);
    let otel = kept.otel().active_requests().build();
    let inner = LifecycleLayer::new(otel.clone()).client().standalone();
    let inner = inner.layer(service_fn(|_| ready(Answer::Ok(Response::new(MockBody::stream(1))))));
    let outer = LifecycleLayer::new(otel).layer(service_fn(move |request: Request<_>| {
        let inner = inner.clone();
        async move {
            let _ = inner.oneshot(request).await?.into_body().collect().await;
            Answer::Ok(Response::new(MockBody::stream(1)))
        }
    }));
    let response = outer.oneshot(get("/")).await.unwrap();
    response.into_body().collect().await.unwrap();
    let spans = kept.ended();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].parent_span_id, spans[1].span_context.span_id());
    assert_eq!(span_here(), SpanId::INVALID);
}

#[tokio::test]
async fn exchanges_that_are_polled_in_turns_do_not_see_each_other() {
    let kept = Kept::sampled(Sampler::AlwaysOn);
    let layer = LifecycleLayer::new(kept.otel().active_requests().build());
    let service = layer.layer(service_fn(|_: Request<RequestBody<MockBody>>| async {
        let own = span_here();
        assert_ne!(own, SpanId::INVALID);
        for _ in 0..10 {
            tokio::task::yield_now().await;
            assert_eq!(span_here(), own);
        }
        Answer::Ok(Response::new(MockBody::stream(3)))
    }));
    let all = tokio::task::LocalSet::new();
    for _ in 0..20 {
        let one = service.clone().oneshot(get("/"));
        all.spawn_local(async move {
            let response = one.await.unwrap();
            assert_eq!(span_here(), SpanId::INVALID);
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                frame.unwrap();
                assert_eq!(span_here(), SpanId::INVALID);
                tokio::task::yield_now().await;
            }
        });
    }
    all.await;
    assert!(kept.sum("http.server.active_requests").abs() < 0.5);
    assert_eq!(kept.ended().len(), 20);
}

#[tokio::test]
async fn what_cannot_be_injected_any_more_is_left_out() {
    let kept = Kept::sampled(Sampler::AlwaysOn);
    let otel = kept.otel().build();
    let client = service_fn(|_: Request<_>| ready(Answer::Ok(Response::new(MockBody::empty()))));
    let client = otel.inject().layer(client);
    let client = LifecycleLayer::new(otel).client().layer(client);
    let mut request = get("http://example.com/");
    for number in 0.. {
        let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
        if request.headers_mut().try_insert(name, http::HeaderValue::from_static("")).is_err() {
            break;
        }
    }
    client.oneshot(request).await.unwrap();
}

#[tokio::test]
async fn the_url_of_a_client_has_its_own_scheme() {
    let kept = Kept::sampled(Sampler::AlwaysOn);
    let client = service_fn(|_: Request<_>| ready(Answer::Ok(Response::new(MockBody::empty()))));
    let client = LifecycleLayer::new(kept.otel().build()).client().layer(client);
    client.oneshot(get("wss://example.com/chat")).await.unwrap();
    let spans = kept.ended();
    let url = spans[0].attributes.iter().find(|at| at.key.as_str() == "url.full").unwrap();
    assert_eq!(url.value.as_str(), "wss://example.com/chat");
}

#[tokio::test]
async fn both_lines_of_a_trace_state_are_read() {
    let kept = Kept::sampled(Sampler::AlwaysOn);
    let layer = LifecycleLayer::new(kept.otel().build());
    let mut request = get("/");
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.headers_mut().insert("traceparent", parent.parse().unwrap());
    request.headers_mut().append("tracestate", "a=1".parse().unwrap());
    request.headers_mut().append("tracestate", "b=2".parse().unwrap());
    request.headers_mut().append("baggage", "c=3".parse().unwrap());
    request.headers_mut().append("baggage", "d=4".parse().unwrap());
    let service = service_fn(|_| {
        let context = Context::current();
        assert_eq!(context.span().span_context().trace_state().header(), "a=1,b=2");
        assert_eq!(context.baggage().len(), 2);
        ready(Answer::Ok(Response::new(MockBody::empty())))
    });
    layer.layer(service).oneshot(request).await.unwrap();
}

#[tokio::test]
async fn a_request_body_that_outlives_its_exchange_counts_no_more() {
    let kept = Kept::sampled(Sampler::AlwaysOn);
    let layer = LifecycleLayer::new(kept.otel().active_requests().build());
    let held = Arc::new(Mutex::new(None));
    let holds = Arc::clone(&held);
    let service = service_fn(move |request: Request<_>| {
        *holds.lock().unwrap() = Some(request.into_body());
        ready(Answer::Ok(Response::new(MockBody::stream(1))))
    });
    let request = Request::post("/").body(MockBody::stream(5)).unwrap();
    let response = layer.layer(service).oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    let open = kept.sum("http.server.active_requests");
    let spans = kept.ended().len();
    let mut body = held.lock().unwrap().take().unwrap();
    body.frame().await.unwrap().unwrap();
    assert!(open.abs() < 0.5);
    assert_eq!(spans, 1);
}

#[tokio::test]
async fn a_handler_is_entered_no_more_when_it_is_gone() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tower_lifecycle::{Listener, Observer, RequestHead, observe::Scope};

    static ENTERED: AtomicUsize = AtomicUsize::new(0);
    struct Counts;
    struct State;
    impl Observer for Counts {
        type State = State;
        fn begin(&self, _: &RequestHead<'_>) -> Option<State> {
            Some(State)
        }
    }
    impl Listener for State {
        fn scope(&mut self) -> Option<Arc<dyn Scope>> {
            Some(Arc::new(Counts))
        }
    }
    impl Scope for Counts {
        fn enter(&self) {
            ENTERED.fetch_add(1, Ordering::Relaxed);
        }
        fn exit(&self) {}
    }
    let mut service = LifecycleLayer::new(Counts)
        .layer(service_fn(|_| ready(Answer::Ok(Response::new(MockBody::empty())))));
    let response = service.call(get("/"));
    let mut response = Box::pin(response);
    let answer = response.as_mut().await;
    let before = ENTERED.load(Ordering::Relaxed);
    drop(response);
    assert_eq!(ENTERED.load(Ordering::Relaxed), before);
    drop(answer);
}

/// Panics when it is asked to write.
#[derive(Debug)]
struct Broken(TraceContextPropagator);

impl TextMapPropagator for Broken {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {
        panic!("no headers today");
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        self.0.extract_with_context(context, extractor)
    }

    fn fields(&self) -> FieldIter<'_> {
        self.0.fields()
    }
}

#[tokio::test]
async fn a_propagator_that_panics_does_not_keep_a_client_from_asking() {
    let kept = Kept::sampled(Sampler::AlwaysOn);
    let otel = kept.otel().propagator(Arc::new(Broken(TraceContextPropagator::new()))).build();
    let client = service_fn(|_: Request<_>| ready(Answer::Ok(Response::new(MockBody::empty()))));
    let client = otel.inject().layer(client);
    let client = LifecycleLayer::new(otel).client().layer(client);
    client.oneshot(get("http://example.com/")).await.unwrap();
    assert_eq!(kept.ended().len(), 1);
}
