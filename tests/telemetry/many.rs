//! A hundred thousand different ones of everything: few for the metrics, and bounded for spans.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Method, Request};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifecycle::{
    ExchangeHandle, LifecycleLayer,
    semconv::{Conventions, ForwardedPolicy},
    testing::MockBody,
};

use crate::{
    hostile::longest,
    support::{
        memory::{exchange, get, ok},
        stand::Stand,
    },
};

/// Looks at each span, and keeps none.
#[derive(Debug, Default)]
struct Looks {
    longest: AtomicUsize,
    most: AtomicUsize,
    spans: AtomicUsize,
}

#[derive(Clone, Debug, Default)]
struct Look(Arc<Looks>);

impl SpanProcessor for Look {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        let Self(looks) = self;
        let lengths = span.attributes.iter().map(|attribute| longest(&attribute.value));
        looks.longest.fetch_max(lengths.chain([span.name.len()]).max().unwrap(), Ordering::Relaxed);
        looks.most.fetch_max(span.attributes.len(), Ordering::Relaxed);
        looks.spans.fetch_add(1, Ordering::Relaxed);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The sets of attributes of each metric.
fn sets(stand: &Stand) -> BTreeMap<String, usize> {
    let mut sets = BTreeMap::new();
    for point in stand.points() {
        assert!(
            point.attributes.iter().all(|it| it.key.as_str() != "otel.metric.overflow"),
            "{point:?}"
        );
        *sets.entry(point.metric).or_default() += 1;
    }
    sets
}

const MANY: usize = 100_000;

#[tokio::test]
async fn a_hundred_thousand_of_everything_are_few_for_the_metrics() {
    let (stand, look) = (Stand::new(), Look::default());
    let tracer_provider = SdkTracerProvider::builder().with_span_processor(look.clone()).build();
    let conventions = Conventions::new().forwarded(ForwardedPolicy::TrustAll);
    let otel = stand.builder().tracer_provider(&tracer_provider).conventions(conventions);
    let layer = LifecycleLayer::new(otel.all_metrics().build());
    for number in 0..MANY {
        let mut request = get(&format!("/{number}?{number}"));
        *request.method_mut() = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        let headers = request.headers_mut();
        for (name, value) in [
            ("host", format!("h{number}")),
            ("user-agent", format!("u{number}")),
            (
                "x-forwarded-for",
                format!("10.{}.{}.{}", number % 200, number / 200 % 250, number / 50_000),
            ),
            ("x-forwarded-proto", format!("p{number}")),
            ("x-forwarded-host", format!("f{number}")),
        ] {
            headers.insert(name, HeaderValue::try_from(value).unwrap());
        }
        exchange(&layer, request, ok(MockBody::stream(1))).await;
    }
    assert_eq!(look.0.spans.load(Ordering::Relaxed), MANY);
    assert!(look.0.longest.load(Ordering::Relaxed) <= 64);
    assert!(look.0.most.load(Ordering::Relaxed) <= 30);
    // Of waits there are four, and of schemes no more than two.
    let sets = sets(&stand);
    let most = |metric: &str| if metric.contains("wait") { 8 } else { 2 };
    assert!(sets.iter().all(|(metric, sets)| *sets <= most(metric)), "{sets:?}");
}

async fn many_routes(conventions: Conventions, sets_route: bool) -> BTreeMap<String, usize> {
    let stand = Stand::new();
    let otel = stand.builder().without_spans().conventions(conventions).build();
    let layer = LifecycleLayer::new(otel).with_handle();
    let service = layer.layer(service_fn(async |request: Request<_>| {
        if sets_route {
            let exchange = request.extensions().get::<ExchangeHandle>().unwrap();
            exchange.set_route(request.uri().path());
        }
        ok(MockBody::empty())
    }));
    for number in 0..MANY {
        drop(service.clone().oneshot(get(&format!("/{number}"))).await.unwrap());
    }
    sets(&stand)
}

#[tokio::test]
async fn a_users_route_that_is_none_is_bounded_in_number() {
    let conventions = Conventions::new().route(|head| Some(Cow::Owned(head.uri.path().to_owned())));
    let sets = many_routes(conventions, false).await;
    assert_eq!(sets["http.server.request.duration"], 1001, "a thousand, and those without");
}

#[tokio::test]
async fn a_route_that_a_handler_tells_is_bounded_in_number() {
    let sets = many_routes(Conventions::new().max_routes(10), true).await;
    assert_eq!(sets["http.server.request.duration"], 11, "ten, and those without");
}
