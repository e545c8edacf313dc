//! What was found wrong in published crates, each by its name.

use std::collections::BTreeSet;

use http::{Method, Request, Response, StatusCode, Version, header};
use opentelemetry::{KeyValue, Value, trace::Status};
use opentelemetry_sdk::trace::SpanData;
use tower::{Layer, ServiceExt, service_fn};
use tower_lifecycle::{
    LifecycleLayer,
    testing::{BoxError, ManualClock, MockBody},
};

use crate::support::{
    facts::FACTS,
    memory::{exchange, get, ok},
    site::{Seam, Site},
    stand::{Point, Stand, attribute, duration},
    until,
};

/// One exchange in memory, and what is told of it.
async fn tell(
    request: Request<MockBody>,
    answer: Result<Response<MockBody>, BoxError>,
) -> (SpanData, Point) {
    let stand = Stand::new();
    exchange(&LifecycleLayer::new(stand.otel()), request, answer).await;
    let (span, sample) = stand.only().await;
    FACTS.check_span(&span, &[]);
    FACTS.check_point(&sample, &[]);
    (span, sample)
}

/// The same on span and metric.
fn both<'a>(span: &'a SpanData, sample: &'a Point, name: &str) -> Option<String> {
    let [of_span, of_sample] =
        [&span.attributes, &sample.attributes].map(|attributes| attribute(attributes, name));
    assert_eq!(of_span, of_sample, "{name}");
    of_span
}

fn all_text(attributes: &[KeyValue]) -> String {
    format!("{attributes:?}")
}

#[tokio::test]
async fn url_scheme_is_empty() {
    // The form that servers see, in which there is no scheme.
    let (span, sample) = tell(get("/"), ok(MockBody::empty())).await;
    assert_eq!(both(&span, &sample, "url.scheme").as_deref(), Some("http"));
}

#[tokio::test]
async fn the_protocol_version_is_2_0_instead_of_2() {
    let versions = [
        (Version::HTTP_10, "1.0"),
        (Version::HTTP_11, "1.1"),
        (Version::HTTP_2, "2"),
        (Version::HTTP_3, "3"),
    ];
    for (version, told) in versions {
        let mut request = get("/");
        *request.version_mut() = version;
        let (span, sample) = tell(request, ok(MockBody::empty())).await;
        assert_eq!(both(&span, &sample, "network.protocol.version").as_deref(), Some(told));
    }
}

#[tokio::test]
async fn the_raw_method_is_a_label_instead_of_other() {
    let mut request = get("/");
    *request.method_mut() = Method::from_bytes(b"MADE-UP").unwrap();
    let (span, sample) = tell(request, ok(MockBody::empty())).await;
    assert_eq!(both(&span, &sample, "http.request.method").as_deref(), Some("_OTHER"));
    assert_eq!(span.name, "HTTP");
    assert!(!all_text(&sample.attributes).contains("MADE-UP"));
}

#[tokio::test]
async fn there_is_no_error_type() {
    let mut fails = Response::new(MockBody::empty());
    *fails.status_mut() = StatusCode::BAD_GATEWAY;
    let rows: [(_, &str); 4] = [
        (Ok(fails), "502"),
        (Err("no".into()), "service_failed"),
        (ok(MockBody::fails_after(1)), "response_failed"),
        (ok(MockBody::declares(15, 1)), "length_mismatch"),
    ];
    for (answer, error) in rows {
        let (span, sample) = tell(get("/"), answer).await;
        assert_eq!(both(&span, &sample, "error.type").as_deref(), Some(error));
        assert_eq!(span.status, Status::error(""));
    }
}

#[tokio::test]
async fn the_text_of_an_error_is_its_type() {
    let stand = Stand::new();
    let layer = LifecycleLayer::new(stand.otel());
    for number in 0..100 {
        exchange(&layer, get("/"), Err(format!("user {number} is not known").into())).await;
    }
    stand.settled(100).await;
    let durations = stand.durations();
    assert_eq!(durations.len(), 1, "one set of attributes: {durations:#?}");
    assert_eq!(
        attribute(&durations[0].attributes, "error.type").as_deref(),
        Some("service_failed")
    );
    for span in stand.spans() {
        assert!(!all_text(&span.attributes).contains("not known"), "{span:#?}");
        assert_eq!(span.status, Status::error(""), "nor is it its description");
    }
}

#[tokio::test]
async fn span_and_duration_end_at_the_head() {
    use http_body_util::BodyExt;
    use std::time::Duration;

    let (stand, clock) = (Stand::new(), ManualClock::new());
    let layer = LifecycleLayer::new(stand.otel()).with_clock(clock.clone());
    let service = layer.layer(service_fn(async |_: Request<_>| ok(MockBody::stream(2))));
    let response = service.oneshot(get("/")).await.unwrap();
    assert_eq!((stand.spans().len(), stand.durations().len()), (0, 0), "it goes on");
    clock.advance(Duration::from_secs(5));
    response.into_body().collect().await.unwrap();
    let (span, sample) = stand.only().await;
    assert_eq!((duration(&span), sample.value), (Duration::from_secs(5), 5.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnect_leaks_active_requests_and_loses_its_sample() {
    use tower_lifecycle::testing::{Leaver, Phase, Way};

    for seam in Seam::ALL {
        let stand = Stand::new();
        let site = Site::serve(seam, stand.builder().active_requests().build()).await;
        let leavers = [
            Leaver::http1(Phase::Handler, Way::Fin).path("/waits"),
            Leaver::http1(Phase::Handler, Way::Reset).path("/waits"),
            Leaver::http1(Phase::Response, Way::Reset).path("/endless"),
            Leaver::http2(Phase::Handler, Way::StreamReset(8)).path("/waits"),
            Leaver::http2(Phase::Response, Way::Fin).path("/endless"),
        ];
        let (mut left, active) = (0, "http.server.active_requests");
        for leaver in leavers {
            let active_now = async {
                site.waits().await;
                let open: Vec<_> = stand.of(active).iter().map(|point| point.value).collect();
                assert!(open.contains(&1.0), "{open:?}");
            };
            drop(leaver.leave_when(site.addr, active_now).await.unwrap());
            left += 1;
            stand.settled(left).await;
            until("no active requests", || stand.of(active).iter().all(|point| point.value == 0.0))
                .await;
        }
    }
}

#[tokio::test]
async fn the_error_of_a_body_is_invisible() {
    let (span, sample) = tell(get("/"), ok(MockBody::fails_after(1))).await;
    assert_eq!(both(&span, &sample, "error.type").as_deref(), Some("response_failed"));
    assert_eq!(both(&span, &sample, "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(span.status, Status::error(""));
}

#[tokio::test]
async fn authorization_and_cookie_are_told_by_default() {
    let mut request = get("/");
    for name in [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION] {
        request.headers_mut().insert(name, "s3cret".parse().unwrap());
    }
    let mut response = Response::new(MockBody::empty());
    response.headers_mut().insert(header::SET_COOKIE, "s3cret".parse().unwrap());
    let (span, sample) = tell(request, Ok(response)).await;
    let text = all_text(&span.attributes) + &all_text(&sample.attributes);
    assert!(!text.contains("s3cret") && !text.contains("header"), "{text}");
}

#[tokio::test]
async fn the_secrets_of_a_query_are_told() {
    let keys = [
        "AWSAccessKeyId",
        "Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "X-Amz-Signature",
        "X-Goog-Signature",
        "sig",
    ];
    for key in keys {
        let (span, sample) =
            tell(get(&format!("/a?b=c&{key}=s3cret&d")), ok(MockBody::empty())).await;
        let query = attribute(&span.attributes, "url.query");
        assert_eq!(query.as_deref(), Some(&*format!("b=c&{key}=REDACTED&d")));
        assert!(!all_text(&sample.attributes).contains(key));
    }
}

#[tokio::test]
async fn numbers_are_told_as_text() {
    let request = Request::get("/").header("host", "localhost:8080").body(MockBody::empty());
    let stand = Stand::new();
    let layer = LifecycleLayer::new(stand.builder().all_metrics().build());
    exchange(&layer, request.unwrap(), ok(MockBody::stream(1))).await;
    let (span, sample) = stand.only().await;
    let of = |attributes: &[KeyValue], name: &str| {
        let attribute = attributes.iter().find(|attribute| attribute.key.as_str() == name);
        attribute.map(|attribute| attribute.value.clone())
    };
    assert_eq!(of(&span.attributes, "http.response.status_code"), Some(Value::I64(200)));
    assert_eq!(of(&sample.attributes, "http.response.status_code"), Some(Value::I64(200)));
    assert_eq!(of(&span.attributes, "server.port"), Some(Value::I64(8080)));
    assert_eq!(of(&span.attributes, "http.response.body.size"), Some(Value::I64(5)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_route_is_empty_on_404() {
    use tower_lifecycle::testing::Client;

    for seam in Seam::ALL {
        let stand = Stand::new();
        let site = Site::serve(seam, stand.otel()).await;
        let mut client = Client::connect(site.addr).await.unwrap();
        client.send("GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        client.read_until("\r\n\r\n").await.unwrap();
        let (span, sample) = stand.only().await;
        assert_eq!(both(&span, &sample, "http.route"), None);
        assert_eq!(both(&span, &sample, "error.type"), None);
        assert_eq!((&*span.name, &span.status), ("GET", &Status::Unset));
    }
}

#[tokio::test]
async fn each_chunk_is_a_sample() {
    let stand = Stand::new();
    let layer = LifecycleLayer::new(stand.builder().all_metrics().build());
    exchange(&layer, get("/"), ok(MockBody::stream(50))).await;
    stand.settled(1).await;
    let histograms = stand.points().into_iter().filter(|point| point.instrument == "histogram");
    let counts: BTreeSet<_> = histograms.map(|point| (point.metric, point.count)).collect();
    assert!(counts.iter().all(|(_, count)| *count == 1), "{counts:?}");
}
