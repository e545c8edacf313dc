//! What a peer may write: it breaks nothing, is bounded in length and in number, and is not told on.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use opentelemetry::{
    Array, KeyValue, Value, baggage::BaggageExt, propagation::TextMapCompositePropagator,
};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest},
    sample::select,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifecycle::{
    LifecycleLayer, Observer,
    otel::{OtelBuilder, ParentPolicy},
    semconv::{Conventions, ForwardedPolicy},
    testing::MockBody,
};

use crate::support::{
    facts::FACTS,
    memory::{exchange, get, ok},
    stand::Stand,
};

const SECRET: &str = "s3cret";

/// Bytes of one value, unless told.
const LONGEST: usize = 1024;

/// All sorts of values that are too long, or none at all.
fn hostile_values() -> Vec<Vec<u8>> {
    let long = |part: &str| part.repeat(10_000 / part.len()).into_bytes();
    vec![
        Vec::new(),
        b",;=\"".to_vec(),
        long("a"),
        long("s3cret,"),
        long("s3cret=s3cret,"),
        long("for=192.0.2.1;"),
        "192.0.2.1, ".repeat(10_000).into_bytes(),
        "for=\"[2001:db8::1]:80\", ".repeat(10_000).into_bytes(),
        long("00-"),
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".repeat(100),
        b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_vec(),
        b"00-00000000000000000000000000000000-0000000000000000-01".to_vec(),
        b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01".to_vec(),
        vec![0xff; 10_000],
        b"\xf0\x9f\x92".repeat(500),
        "\u{1f4a9}".repeat(500).into_bytes(),
        long("%ff"),
    ]
}

const NAMES: [&str; 14] = [
    "traceparent",
    "tracestate",
    "baggage",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "host",
    "user-agent",
    "authorization",
    "cookie",
    "content-type",
    "content-length",
    "x-made-up",
];

fn propagators(builder: OtelBuilder) -> OtelBuilder {
    builder.propagator(Arc::new(TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ])))
}

pub(crate) fn longest(value: &Value) -> usize {
    match value {
        Value::Array(Array::String(values)) => {
            values.iter().map(|value| value.as_str().len()).max().unwrap_or_default()
        }
        value => value.as_str().len(),
    }
}

/// Each value of bounded length, and not the secret.
fn assert_harmless(attributes: &[KeyValue]) {
    for attribute in attributes {
        let told = attribute.value.to_string();
        assert!(longest(&attribute.value) <= LONGEST, "{}: {} bytes", attribute.key, told.len());
        assert!(!told.contains(SECRET), "{attribute:?}");
    }
}

#[tokio::test]
async fn no_header_breaks_anything_or_is_told_that_is_not_to_be() {
    for policy in [ParentPolicy::Inherit, ParentPolicy::Link, ParentPolicy::Ignore] {
        for trust in [ForwardedPolicy::Ignore, ForwardedPolicy::TrustAll] {
            let stand = Stand::new();
            let conventions = Conventions::new().forwarded(trust);
            let otel = propagators(stand.builder()).parent(policy).conventions(conventions);
            let layer = LifecycleLayer::new(otel.all_metrics().build());
            let mut count = 0;
            for name in NAMES {
                for value in hostile_values() {
                    for times in [1, 3] {
                        let mut request = get("/");
                        let value = HeaderValue::from_bytes(&value).unwrap();
                        for _ in 0..times {
                            request.headers_mut().append(name, value.clone());
                        }
                        exchange(&layer, request, ok(MockBody::stream(1))).await;
                        count += 1;
                    }
                }
            }
            stand.settled(count).await;
            assert_eq!(layer.observer_panics(), 0);
            for span in stand.spans() {
                FACTS.check_span(&span, &["http.request.body.size", "http.response.body.size"]);
                // What is the user agent's own, and the host's, is told of it.
                let mut attributes = span.attributes.clone();
                attributes.retain(|attribute| {
                    let name = attribute.key.as_str();
                    assert!(longest(&attribute.value) <= LONGEST, "{name}");
                    !matches!(name, "user_agent.original" | "server.address")
                });
                assert_harmless(&attributes);
            }
            for point in stand.points() {
                FACTS.check_point(&point, &[]);
                assert_harmless(&point.attributes);
            }
            let durations = stand.durations();
            assert!(durations.len() <= 2, "the schemes alone: {durations:#?}");
        }
    }
}

#[tokio::test]
async fn a_request_of_ten_kilobytes_is_told_in_one() {
    let stand = Stand::new();
    let layer = LifecycleLayer::new(stand.otel());
    let long = "a".repeat(10_000);
    let mut request = get(&format!("/{long}?{long}"));
    *request.method_mut() = Method::from_bytes(long.as_bytes()).unwrap();
    request.headers_mut().insert(header::HOST, HeaderValue::from_str(&long).unwrap());
    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_str(&long).unwrap());
    exchange(&layer, request, ok(MockBody::empty())).await;
    let (span, sample) = stand.only().await;
    FACTS.check_span(&span, &[]);
    assert_eq!(span.name, "HTTP");
    assert_harmless(&span.attributes);
    assert_harmless(&sample.attributes);
    let names: Vec<_> = span.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    for name in ["http.request.method_original", "url.path", "url.query", "user_agent.original"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
}

#[tokio::test]
async fn what_is_asked_for_of_headers_is_bounded_too() {
    let stand = Stand::new();
    let name = HeaderName::from_static("x-made-up");
    let conventions = Conventions::new().request_headers([name.clone()]).max_value_length(10);
    let layer = LifecycleLayer::new(stand.builder().conventions(conventions).build());
    let mut request = get("/");
    for _ in 0..1000 {
        request.headers_mut().append(&name, HeaderValue::from_bytes(&[0xff; 1000]).unwrap());
    }
    exchange(&layer, request, ok(MockBody::empty())).await;
    let (span, _) = stand.only().await;
    FACTS.check_span(&span, &["http.request.header.x-made-up"]);
    let header =
        span.attributes.iter().find(|it| it.key.as_str() == "http.request.header.x-made-up");
    let Value::Array(Array::String(values)) = &header.unwrap().value else { panic!("{header:?}") };
    assert!(values.len() <= 32 && values.iter().all(|value| value.as_str().len() <= 10));
}

#[tokio::test]
async fn what_a_stranger_says_of_its_trace_is_not_believed() {
    for policy in [ParentPolicy::Link, ParentPolicy::Ignore] {
        let stand = Stand::new();
        let layer = LifecycleLayer::new(propagators(stand.builder()).parent(policy).build());
        let service = layer.layer(service_fn(async |_: Request<_>| {
            let baggage = opentelemetry::Context::current().baggage().len();
            assert_eq!(baggage, usize::from(policy == ParentPolicy::Link), "ignored is ignored");
            ok(MockBody::empty())
        }));
        let mut request = get("/");
        for (name, value) in [
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("tracestate", "vendor=s3cret"),
            ("baggage", "key=s3cret"),
        ] {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        drop(service.oneshot(request).await.unwrap());
        let (span, _) = stand.only().await;
        assert_eq!(span.span_context.trace_state().header(), "", "{policy:?}");
        assert_ne!(span.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_harmless(&span.attributes);
        assert!(span.links.iter().all(|link| link.attributes.is_empty()));
    }
}

fn send<O: Observer>(layer: &LifecycleLayer<O>, request: Request<MockBody>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(exchange(layer, request, ok(MockBody::stream(1))));
}

/// Bytes that a header may have.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let allowed = proptest::prop_oneof![Just(b'\t'), 32_u8..127, 128_u8..=255];
    let grammar = select(vec![
        "for=",
        "proto=https",
        "host=a:1",
        ";",
        ",",
        "\"",
        "[",
        "]",
        "::1",
        "127.0.0.1",
        ":80",
        "00-",
        "-01",
        "=",
        "%",
        "unknown",
        "_h",
        "\\",
        "http",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "00f067aa0ba902b7",
    ]);
    let part = proptest::prop_oneof![
        vec(allowed, 0..40),
        grammar.prop_map(|word| word.as_bytes().to_vec()),
    ];
    vec(part, 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_bytes_are_in_the_headers_a_span_and_a_sample_are_told(
        headers in vec((select(NAMES.to_vec()), value()), 0..12),
        uri in "(/[!-~&&[^#\"<>`{}^|\\\\]]{0,60})|\\*",
        all in any::<bool>(),
    ) {
        let stand = Stand::new();
        let trust = if all {
            ForwardedPolicy::TrustAll
        } else {
            ForwardedPolicy::trust_peers(["127.0.0.0/8"]).unwrap()
        };
        let names = NAMES.map(HeaderName::from_static);
        let mut asked: Vec<_> = NAMES.iter().map(|name| format!("http.request.header.{name}")).collect();
        asked.extend(["http.request.body.size", "http.response.body.size"].map(str::to_owned));
        let asked: Vec<_> = asked.iter().map(String::as_str).collect();
        let conventions = Conventions::new().forwarded(trust).request_headers(names);
        let otel = propagators(stand.builder()).conventions(conventions).all_metrics().build();
        let layer = LifecycleLayer::new(otel);
        let mut request = Request::new(MockBody::empty());
        if let Ok(uri) = uri.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
        for (name, value) in headers {
            request.headers_mut().append(name, HeaderValue::from_bytes(&value).unwrap());
        }
        send(&layer, request);
        prop_assert_eq!(layer.observer_panics(), 0);
        prop_assert_eq!(stand.spans().len(), 1);
        prop_assert_eq!(stand.durations().len(), 1);
        for span in stand.spans() {
            FACTS.check_span(&span, &asked);
            prop_assert!(span.attributes.iter().all(|it| longest(&it.value) <= LONGEST));
        }
        for point in stand.points() {
            FACTS.check_point(&point, &[]);
        }
    }
}
