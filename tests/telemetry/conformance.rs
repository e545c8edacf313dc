//! Each situation through each seam: all that is told of it, and nothing else.

mod play;
pub(crate) mod rows;

use std::collections::BTreeSet;

use opentelemetry::trace::{SpanKind, Status};
use tower_lifecycle::testing::Client;

use self::rows::{AGENT, ROWS, Row, row};
use crate::support::{
    facts::FACTS,
    quiet_panics,
    show::told,
    site::{Seam, Site},
    stand::{Point, Stand, duration},
    until, within,
};

/// One span and one sample, of the same duration, and all that they say.
async fn check(row: &Row, seam: Seam) {
    let what = format!("{}, {seam:?}", row.what);
    let stand = Stand::new();
    let site = Site::serve(seam, stand.otel()).await;
    let _client = within(&what, row.play(&site)).await;
    let (span, sample) = within(&what, stand.only()).await;

    let (error, _) = row.end(seam);
    assert_eq!(span.name, row.name(), "{what}");
    assert_eq!(span.span_kind, SpanKind::Server, "{what}");
    let status = error.map_or(Status::Unset, |_| Status::error(""));
    assert_eq!(span.status, status, "{what}");
    assert_eq!(told(&span.attributes), row.span(seam), "{what}");
    assert!(!span.parent_span_is_remote && span.links.is_empty(), "{what}");
    FACTS.check_span(&span, &[]);

    let metric = if row.is_stream {
        "tower_lifecycle.server.stream.duration"
    } else {
        "http.server.request.duration"
    };
    let points = stand.points();
    let metrics: Vec<_> = points.iter().map(|point| (&*point.metric, point.count)).collect();
    assert_eq!(metrics, [(metric, 1)], "{what}");
    assert_eq!(told(&sample.attributes), row.common(seam), "{what}");
    assert_eq!(sample.value.to_bits(), duration(&span).as_secs_f64().to_bits(), "{what}");
    FACTS.check_point(&sample, &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_situation_is_told_as_the_conventions_have_it() {
    quiet_panics();
    for row in ROWS {
        for seam in Seam::ALL {
            check(row, seam).await;
        }
    }
}

/// What a user may ask for. Attributes of them are in `check` alone.
const ASKED: [&str; 2] = ["http.request.body.size", "http.response.body.size"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_situation_is_told_by_all_metrics_too() {
    const BY_DEFAULT: &[&str] = &["http.server.active_requests", "http.server.request.body.size"];
    const CONNECTIONS: &[&str] = &[
        "tower_lifecycle.server.active_connections",
        "tower_lifecycle.server.connection.duration",
    ];
    quiet_panics();
    for row in ROWS {
        for seam in Seam::ALL {
            let what = format!("{}, {seam:?}", row.what);
            let stand = Stand::new();
            let site = Site::serve(seam, stand.builder().all_metrics().build()).await;
            let client = within(&what, row.play(&site)).await;
            let (span, sample) = within(&what, stand.only()).await;
            drop(client);
            FACTS.check_span(&span, &ASKED);
            assert_eq!(told(&sample.attributes), row.common(seam), "{what}");
            let active = |points: &[_], metric| {
                let points: Vec<_> = points
                    .iter()
                    .filter(|point: &&Point| point.metric == metric)
                    .map(|point| point.value)
                    .collect();
                (!points.is_empty()).then(|| points.iter().all(|value| *value == 0.0))
            };
            until(&what, || {
                let points = stand.points();
                let connections = active(&points, CONNECTIONS[0]);
                active(&points, BY_DEFAULT[0]) == Some(true)
                    && connections == (seam != Seam::None).then_some(true)
            })
            .await;
            let points = stand.points();
            for point in &points {
                FACTS.check_point(point, &[]);
                let is_of_exchange =
                    point.instrument == "histogram" && !point.metric.contains("connection");
                assert!(
                    !is_of_exchange || point.metric.contains("wait") || point.count == 1,
                    "{what}: {point:#?}"
                );
            }
            let metrics: BTreeSet<_> = points.iter().map(|point| &*point.metric).collect();
            let connections = CONNECTIONS.iter().filter(|_| seam != Seam::None);
            for metric in BY_DEFAULT.iter().chain(connections) {
                assert!(metrics.contains(metric), "{what}: no {metric} in {metrics:?}");
            }
            // Without a response there is nothing of it.
            for metric in
                ["http.server.response.body.size", "tower_lifecycle.server.response.head.duration"]
            {
                assert_eq!(metrics.contains(metric), row.status.is_some(), "{what}: {metric}");
            }
        }
    }
}

/// Not only clients leave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_drops_its_connections_is_told_of() {
    for version in ["1.1", "2"] {
        let stand = Stand::new();
        let site = Site::serve(Seam::Server, stand.otel()).await;
        let mut client = Client::connect(site.addr).await.unwrap();
        if version == "2" {
            client.request(1, "GET", "/waits", [("user-agent", AGENT)], true).await.unwrap();
        } else {
            let head =
                format!("GET /waits HTTP/1.1\r\nhost: localhost\r\nuser-agent: {AGENT}\r\n\r\n");
            client.send(head).await.unwrap();
        }
        site.waits().await;
        drop(site);
        let (span, sample) = stand.only().await;
        let ask = if version == "2" { "GET /waits HTTP/2" } else { "GET /waits HTTP/1.1" };
        let row = row("", ask).route("/waits").ends("shutdown", "LH");
        assert_eq!(told(&span.attributes), row.span(Seam::Server));
        assert_eq!(told(&sample.attributes), row.common(Seam::Server));
        assert_eq!(span.status, Status::error(""));
    }
}
