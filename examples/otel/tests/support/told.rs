//! What a collector was told.

use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{HistogramDataPoint, Metric, NumberDataPoint, metric::Data},
    resource::v1::Resource,
    trace::v1::Span,
};

/// Everything, in the order in which it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) traces: Vec<ExportTraceServiceRequest>,
    pub(crate) metrics: Vec<ExportMetricsServiceRequest>,
}

/// Of what kind a value was, and how it reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Int(i64),
    Double(f64),
}

/// Where something came from: the resource, the scope, and the URL of its schema.
pub(crate) type Origin<'a> = (&'a Resource, &'a InstrumentationScope, &'a str);

impl Told {
    /// Spans of the library, with where they came from.
    pub(crate) fn spans(&self) -> Vec<(Origin<'_>, &Span)> {
        let mut spans = self.all_spans();
        spans.retain(|((_, scope, _), _)| scope.name == "tower-lifecycle");
        spans
    }

    pub(crate) fn all_spans(&self) -> Vec<(Origin<'_>, &Span)> {
        let mut spans = Vec::new();
        for resource in self.traces.iter().flat_map(|request| &request.resource_spans) {
            let from = resource.resource.as_ref().expect("a resource");
            for scope in &resource.scope_spans {
                let origin =
                    (from, scope.scope.as_ref().expect("a scope"), scope.schema_url.as_str());
                spans.extend(scope.spans.iter().map(|span| (origin, span)));
            }
        }
        spans
    }

    /// The library's metrics as they were told last: each export tells all since the start.
    pub(crate) fn metrics(&self) -> Vec<(Origin<'_>, &Metric)> {
        let mut metrics = Vec::new();
        let last = self.metrics.last().expect("metrics were exported");
        for resource in &last.resource_metrics {
            let from = resource.resource.as_ref().expect("a resource");
            for scope in &resource.scope_metrics {
                let origin =
                    (from, scope.scope.as_ref().expect("a scope"), scope.schema_url.as_str());
                metrics.extend(scope.metrics.iter().map(|metric| (origin, metric)));
            }
        }
        metrics
    }

    pub(crate) fn metric(&self, name: &str) -> &Metric {
        let metrics = self.metrics();
        let found = metrics.iter().find(|(_, metric)| metric.name == name);
        let names: Vec<_> = metrics.iter().map(|(_, metric)| &metric.name).collect();
        found.unwrap_or_else(|| panic!("no {name} in {names:?}")).1
    }

    pub(crate) fn histogram(&self, name: &str) -> &[HistogramDataPoint] {
        match &self.metric(name).data {
            Some(Data::Histogram(histogram)) => &histogram.data_points,
            other => panic!("{name} is {other:?}"),
        }
    }

    pub(crate) fn sum(&self, name: &str) -> &[NumberDataPoint] {
        match &self.metric(name).data {
            Some(Data::Sum(sum)) => &sum.data_points,
            other => panic!("{name} is {other:?}"),
        }
    }
}

/// `None` where it is absent.
pub(crate) fn value(attributes: &[KeyValue], name: &str) -> Option<Value> {
    let mut named = attributes.iter().filter(|attribute| attribute.key == name);
    let found = named.next()?;
    assert!(named.next().is_none(), "{name} is there twice");
    Some(match found.value.as_ref().and_then(|AnyValue { value }| value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => Value::Text(text.clone()),
        Some(any_value::Value::IntValue(int)) => Value::Int(*int),
        Some(any_value::Value::DoubleValue(double)) => Value::Double(*double),
        other => panic!("{name} is {other:?}"),
    })
}

pub(crate) fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    match value(attributes, name)? {
        Value::Text(text) => Some(text),
        other => panic!("{name} is {other:?}"),
    }
}

pub(crate) fn int(attributes: &[KeyValue], name: &str) -> Option<i64> {
    match value(attributes, name)? {
        Value::Int(int) => Some(int),
        other => panic!("{name} is {other:?}"),
    }
}

pub(crate) fn double(attributes: &[KeyValue], name: &str) -> Option<f64> {
    match value(attributes, name)? {
        Value::Double(double) => Some(double),
        other => panic!("{name} is {other:?}"),
    }
}
