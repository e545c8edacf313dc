//! What a collector has to be told of one round of visits.

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};

use super::{
    metrics, spans,
    told::{Origin, Told, text},
};

/// The requests of one round.
pub(crate) const ROUND: &str = "12";

/// Who it is, and how often it exports: the metrics more than once.
pub(crate) const ENVIRONMENT: [(&str, &str); 3] = [
    ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
    ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.version=1.2"),
    ("OTEL_SERVICE_NAME", "shop"),
];

const SCHEMA: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Everything.
pub(crate) fn check(told: &Told) {
    origins(told);
    spans::check(told);
    metrics::check(told);
}

fn origins(told: &Told) {
    let of_library = |(resource, scope, schema): Origin<'_>| {
        let [name, environment, version] =
            ["service.name", "deployment.environment.name", "service.version"]
                .map(|name| text(&resource.attributes, name).expect(name));
        assert_eq!([&*name, &*environment, &*version], ["shop", "test", "1.2"]);
        assert_eq!(scope.name, "tower-lifecycle");
        let manifest = include_str!("../../../../Cargo.toml");
        assert!(manifest.contains(&format!("\nversion = \"{}\"\n", scope.version)), "{scope:?}");
        assert_eq!(schema, SCHEMA);
    };
    told.spans().into_iter().for_each(|(origin, _)| of_library(origin));
    told.metrics().into_iter().for_each(|(origin, _)| of_library(origin));
}

pub(crate) fn of_kind(told: &Told, kind: SpanKind) -> Vec<&Span> {
    told.spans().into_iter().map(|(_, span)| span).filter(|span| span.kind() == kind).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a duration here is a few seconds")]
pub(crate) fn seconds(span: &Span) -> f64 {
    (span.end_time_unix_nano - span.start_time_unix_nano) as f64 / 1e9
}
