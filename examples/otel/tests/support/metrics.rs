//! The metrics of one round of visits, and that they are of one mind with the spans.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{AggregationTemporality, HistogramDataPoint, metric::Data, number_data_point},
    trace::v1::span::SpanKind,
};

use super::{
    expected::{of_kind, seconds},
    told::{Told, Value, text, value},
};

const SHORT: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const LONG: [f64; 14] =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

pub(crate) fn check(told: &Told) {
    instruments(told);
    samples(told);
    gauges(told);
}

fn instruments(told: &Told) {
    let histograms = [
        ("http.client.request.duration", "s", Some(SHORT)),
        ("http.client.request.body.size", "By", None),
        ("http.client.response.body.size", "By", None),
        ("http.server.request.duration", "s", Some(SHORT)),
        ("http.server.request.body.size", "By", None),
        ("http.server.response.body.size", "By", None),
        ("tower_lifecycle.client.response.head.duration", "s", Some(SHORT)),
        ("tower_lifecycle.client.stream.duration", "s", Some(LONG)),
        ("tower_lifecycle.client.wait.duration", "s", Some(SHORT)),
        ("tower_lifecycle.server.connection.duration", "s", Some(LONG)),
        ("tower_lifecycle.server.response.head.duration", "s", Some(SHORT)),
        ("tower_lifecycle.server.stream.duration", "s", Some(LONG)),
        ("tower_lifecycle.server.wait.duration", "s", Some(SHORT)),
    ];
    for (name, unit, bounds) in histograms {
        let metric = told.metric(name);
        assert_eq!(metric.unit, unit, "{name}");
        let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
        assert_eq!(histogram.aggregation_temporality(), AggregationTemporality::Cumulative);
        for point in &histogram.data_points {
            if let Some(bounds) = bounds {
                assert_eq!(point.explicit_bounds, bounds, "{name}");
            }
            assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
        }
    }
    let sums = [
        ("http.client.active_requests", "{request}"),
        ("http.server.active_requests", "{request}"),
        ("tower_lifecycle.server.active_connections", "{connection}"),
    ];
    for (name, unit) in sums {
        let metric = told.metric(name);
        assert_eq!(metric.unit, unit, "{name}");
        let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
        assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
        assert!(!sum.is_monotonic, "{name}");
    }
    assert!(told.metrics.len() > 1, "they were exported while the program ran");
}

/// Each span has one sample, with the same attributes and the same duration.
fn samples(told: &Told) {
    for (kind, names) in [
        (
            SpanKind::Server,
            ["http.server.request.duration", "tower_lifecycle.server.stream.duration"],
        ),
        (
            SpanKind::Client,
            ["http.client.request.duration", "tower_lifecycle.client.stream.duration"],
        ),
    ] {
        let [short, long] = names.map(|name| told.histogram(name));
        let mut by_series: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for span in of_kind(told, kind) {
            by_series.entry(series(&span.attributes, kind)).or_default().push(seconds(span));
        }
        let points: BTreeMap<_, _> = short
            .iter()
            .chain(long)
            .map(|point| (series(&point.attributes, kind), point))
            .collect();
        assert_eq!(points.len(), short.len() + long.len(), "no series is in both");
        assert!(by_series.keys().eq(points.keys()), "{by_series:#?}\n{points:#?}");
        for (series, spans) in by_series {
            let point: &HistogramDataPoint = points[&series];
            assert_eq!(point.count, spans.len() as u64, "{series:?}");
            let sum = point.sum.expect("a sum");
            assert!((sum - spans.iter().sum::<f64>()).abs() < 2e-9, "{series:?}: {sum}, {spans:?}");
        }
        // Server-sent events alone.
        assert_eq!(long.len(), 1);
        let path =
            ["http.route", "url.template"].iter().find_map(|name| text(&long[0].attributes, name));
        assert!(kind == SpanKind::Client || path.as_deref() == Some("/events"), "{path:?}");
    }
}

/// What tells series apart: the same attributes on span and sample.
fn series(attributes: &[KeyValue], kind: SpanKind) -> Vec<String> {
    const SERVER: &[&str] = &["url.scheme", "http.route"];
    const CLIENT: &[&str] = &["server.address", "server.port", "url.template"];
    let both = [
        "http.request.method",
        "http.response.status_code",
        "error.type",
        "network.protocol.version",
    ];
    let of_kind = if kind == SpanKind::Server { SERVER } else { CLIENT };
    let names = both.iter().chain(of_kind);
    names.map(|name| format!("{name}={:?}", value(attributes, name))).collect()
}

fn gauges(told: &Told) {
    for name in [
        "http.client.active_requests",
        "http.server.active_requests",
        "tower_lifecycle.server.active_connections",
    ] {
        for point in told.sum(name) {
            assert_eq!(point.value, Some(number_data_point::Value::AsInt(0)), "{name}: {point:?}");
        }
    }
    let waits = told.histogram("tower_lifecycle.server.wait.duration");
    let on = |whom: &str| {
        let on = move |point: &&HistogramDataPoint| {
            value(&point.attributes, "tower_lifecycle.wait.on")
                == Some(Value::Text(whom.to_owned()))
        };
        waits.iter().filter(on).filter_map(|point| point.sum).sum::<f64>()
    };
    assert!(on("producer") > 1.0, "the chunks of a stream are waited for: {waits:?}");
    assert!(on("client") > 0.1, "an upload that is slow is waited for: {waits:?}");
}
