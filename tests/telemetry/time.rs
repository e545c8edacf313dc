//! With a clock that a test advances: durations are exact, and those of streams stand apart.

use std::{future::ready, time::Duration};

use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use opentelemetry_sdk::trace::SpanData;
use tower::{Layer, ServiceBuilder, ServiceExt, retry::Policy, service_fn};
use tower_lifecycle::{
    ExchangeHandle, LifecycleLayer,
    otel::{Otel, OtelBuilder},
    semconv::{Conventions, StreamPolicy},
    testing::{BoxError, ManualClock, MockBody},
};

use crate::support::{
    facts::FACTS,
    stand::{Point, Stand, attribute, duration},
};

const SECOND: Duration = Duration::from_secs(1);
const TO_HEAD: Duration = Duration::from_millis(20);
const AFTER_HEAD: Duration = Duration::from_millis(980);
const STREAMS: &str = "tower_lifecycle.server.stream.duration";
const REQUESTS: &str = "http.server.request.duration";

/// What lasts 20 milliseconds to its head, and a second to its close.
async fn second(
    otel: Otel,
    respond: impl Fn(&ExchangeHandle) -> Response<MockBody> + Clone + Send,
) -> ManualClock {
    let clock = ManualClock::new();
    let layer = LifecycleLayer::new(otel).with_clock(clock.clone()).with_handle();
    let service = layer.layer(service_fn(async |request: Request<_>| {
        clock.advance(TO_HEAD);
        Ok::<_, BoxError>(respond(request.extensions().get::<ExchangeHandle>().unwrap()))
    }));
    let response = service.oneshot(Request::new(MockBody::empty())).await.unwrap();
    let mut body = response.into_body();
    // What was upgraded is over.
    let _ = body.frame().await;
    clock.advance(AFTER_HEAD);
    let _ = body.collect().await;
    clock
}

fn stream(_: &ExchangeHandle) -> Response<MockBody> {
    Response::new(MockBody::stream(2))
}

fn typed(kind: &'static str) -> Response<MockBody> {
    let response = Response::builder().header(header::CONTENT_TYPE, kind);
    response.body(MockBody::stream(2)).unwrap()
}

fn assert_lasted(span: &SpanData, sample: &Point, lasted: Duration) {
    assert_eq!(duration(span), lasted);
    assert_eq!((sample.count, sample.value), (1, lasted.as_secs_f64()));
}

#[tokio::test]
async fn a_stream_of_a_second_lasts_a_second_and_its_head_is_told_beside() {
    let stand = Stand::new();
    let clock = second(stand.builder().head_duration().build(), stream).await;
    let (span, sample) = stand.only().await;
    assert_eq!(sample.metric, REQUESTS);
    assert_lasted(&span, &sample, SECOND);
    assert_eq!(span.end_time, clock.time());
    let heads = stand.of("tower_lifecycle.server.response.head.duration");
    assert_eq!((heads.len(), heads[0].count, heads[0].value), (1, 1, TO_HEAD.as_secs_f64()));
    FACTS.check_point(&heads[0], &[]);
    let head = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == "tower_lifecycle.response.head.duration");
    assert_eq!(head.unwrap().value, TO_HEAD.as_secs_f64().into());
}

#[tokio::test]
async fn what_is_meant_to_last_is_measured_apart_or_together() {
    type Respond = fn(&ExchangeHandle) -> Response<MockBody>;
    let rows: [(&str, Respond, Duration); 5] = [
        ("server-sent events", |_| typed("text/event-stream"), SECOND),
        ("in other letters", |_| typed("Text/Event-Stream;charset=utf-8"), SECOND),
        ("pictures", |_| typed("multipart/x-mixed-replace; boundary=a"), SECOND),
        (
            "a parked poll",
            |exchange| {
                exchange.mark("parked");
                Response::new(MockBody::stream(2))
            },
            SECOND,
        ),
        (
            "an upgrade",
            |_| {
                let mut response = Response::new(MockBody::empty());
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response
            },
            // It is over with its head.
            TO_HEAD,
        ),
    ];
    for (what, respond, lasted) in rows {
        for (policy, metric) in [(StreamPolicy::Apart, STREAMS), (StreamPolicy::Together, REQUESTS)]
        {
            let stand = Stand::new();
            let conventions = Conventions::new().streams(policy);
            second(stand.builder().conventions(conventions).build(), respond).await;
            let (span, sample) = stand.only().await;
            assert_eq!(sample.metric, metric, "{what}");
            assert_lasted(&span, &sample, lasted);
            FACTS.check_point(&sample, &[]);
        }
    }
}

#[tokio::test]
async fn a_user_says_what_else_is_meant_to_last() {
    let lasts = |builder: OtelBuilder, conventions: Conventions| {
        builder.conventions(conventions.streams_if(|summary| summary.response.frames > 1)).build()
    };
    let stand = Stand::new();
    second(lasts(stand.builder(), Conventions::new()), stream).await;
    assert_eq!(stand.only().await.1.metric, STREAMS);

    let stand = Stand::new();
    let together = Conventions::new().streams(StreamPolicy::Together);
    second(lasts(stand.builder(), together), stream).await;
    assert_eq!(stand.only().await.1.metric, REQUESTS);
}

#[tokio::test]
async fn a_client_has_metrics_of_its_own() {
    let (stand, clock) = (Stand::new(), ManualClock::new());
    let layer = LifecycleLayer::new(stand.otel()).client().with_clock(clock.clone());
    let service = layer.layer(service_fn(async |_: Request<_>| {
        clock.advance(SECOND);
        Ok::<_, BoxError>(typed("text/event-stream"))
    }));
    let request = Request::get("http://localhost:81/").body(MockBody::empty()).unwrap();
    let response = service.oneshot(request).await.unwrap();
    clock.advance(SECOND);
    response.into_body().collect().await.unwrap();
    let (span, sample) = stand.only().await;
    assert_eq!(sample.metric, "tower_lifecycle.client.stream.duration");
    assert_lasted(&span, &sample, 2 * SECOND);
    FACTS.check_span(&span, &[]);
    FACTS.check_point(&sample, &[]);
}

/// Asks once more.
#[derive(Clone)]
struct Once(u32);

impl<T> Policy<Request<MockBody>, Response<T>, BoxError> for Once {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<MockBody>,
        result: &mut Result<Response<T>, BoxError>,
    ) -> Option<Self::Future> {
        let is_again = result.as_ref().is_ok_and(|response| response.status().is_server_error());
        (is_again && self.0 > 0).then(|| {
            self.0 -= 1;
            ready(())
        })
    }

    fn clone_request(&mut self, request: &Request<MockBody>) -> Option<Request<MockBody>> {
        let mut clone = Request::new(MockBody::empty());
        *clone.uri_mut() = request.uri().clone();
        Some(clone)
    }
}

#[tokio::test]
async fn each_attempt_of_a_retry_is_a_span_and_a_sample() {
    let (stand, clock) = (Stand::new(), ManualClock::new());
    let lifecycle = LifecycleLayer::new(stand.otel()).client().with_clock(clock.clone());
    let attempts = std::sync::atomic::AtomicU64::new(0);
    let (answers, count) = (clock.clone(), &attempts);
    let client = service_fn(move |_: Request<_>| {
        let attempt = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        answers.advance(SECOND);
        let mut response = Response::new(MockBody::empty());
        if attempt == 0 {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        ready(Ok::<_, BoxError>(response))
    });
    let service = ServiceBuilder::new().retry(Once(1)).layer(lifecycle).service(client);
    let request = Request::get("http://localhost/").body(MockBody::empty()).unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    drop(response);
    stand.settled(2).await;
    let ends = stand.spans().into_iter().map(|span| {
        assert_eq!(duration(&span), SECOND);
        attribute(&span.attributes, "error.type")
    });
    assert_eq!(ends.collect::<Vec<_>>(), [Some("503".to_owned()), None]);
}
