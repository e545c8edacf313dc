//! Providers that keep what they are given.

use std::{collections::BTreeMap, sync::Arc};

use http::{Request, Response};
use opentelemetry::{KeyValue, propagation::TextMapCompositePropagator};
use opentelemetry_sdk::{
    metrics::{
        InMemoryMetricExporter, SdkMeterProvider,
        data::{AggregatedMetrics, HistogramDataPoint, MetricData, ScopeMetrics},
    },
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, ShouldSample, SpanData},
};
use tower_lifecycle::{
    LifecycleLayer,
    otel::{Otel, OtelBuilder},
    testing::{BoxError, ManualClock, MockBody},
};

pub(crate) type Answer = Result<Response<MockBody>, BoxError>;

/// Providers that keep what they are given.
pub(crate) struct Kept {
    pub(crate) spans: InMemorySpanExporter,
    pub(crate) metrics: InMemoryMetricExporter,
    pub(crate) tracers: SdkTracerProvider,
    pub(crate) meters: SdkMeterProvider,
    pub(crate) clock: ManualClock,
}

/// One series: its attributes, how many samples or what is counted, and their sum.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series(pub(crate) String, pub(crate) i64, pub(crate) f64);

impl Kept {
    pub(crate) fn new() -> Self {
        Self::sampled(Sampler::AlwaysOn)
    }

    pub(crate) fn sampled(sampler: impl ShouldSample + 'static) -> Self {
        let spans = InMemorySpanExporter::default();
        let metrics = InMemoryMetricExporter::default();
        let tracers = SdkTracerProvider::builder().with_sampler(sampler);
        Self {
            tracers: tracers.with_simple_exporter(spans.clone()).build(),
            meters: SdkMeterProvider::builder().with_periodic_exporter(metrics.clone()).build(),
            spans,
            metrics,
            clock: ManualClock::new(),
        }
    }

    pub(crate) fn otel(&self) -> OtelBuilder {
        let propagator = TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
        ]);
        Otel::builder()
            .tracer_provider(&self.tracers)
            .meter_provider(&self.meters)
            .propagator(Arc::new(propagator))
    }

    pub(crate) fn layer(&self, otel: OtelBuilder) -> LifecycleLayer<Otel> {
        LifecycleLayer::new(otel.build()).with_clock(self.clock.clone())
    }

    pub(crate) fn span(&self) -> SpanData {
        let mut spans = self.spans.get_finished_spans().unwrap();
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.remove(0)
    }

    pub(crate) fn metrics(&self) -> BTreeMap<String, Vec<Series>> {
        self.meters.force_flush().unwrap();
        let all = self.metrics.get_finished_metrics().unwrap();
        let Some(last) = all.last() else { return BTreeMap::new() };
        let mut told = BTreeMap::new();
        for metric in last.scope_metrics().flat_map(ScopeMetrics::metrics) {
            let series = match metric.data() {
                AggregatedMetrics::F64(MetricData::Histogram(data)) => data
                    .data_points()
                    .map(|at| Series(text(at.attributes()), count(at.count()), at.sum()))
                    .collect(),
                AggregatedMetrics::U64(MetricData::Histogram(data)) => data
                    .data_points()
                    .map(|at| Series(text(at.attributes()), count(at.count()), small(at.sum())))
                    .collect(),
                AggregatedMetrics::I64(MetricData::Sum(data)) => data
                    .data_points()
                    .map(|at| Series(text(at.attributes()), at.value(), 0.0))
                    .collect(),
                other => panic!("{other:?}"),
            };
            told.insert(metric.name().to_owned(), series);
        }
        told
    }

    pub(crate) fn ended(&self) -> Vec<SpanData> {
        self.spans.get_finished_spans().unwrap()
    }

    /// What is counted of `name`, in all.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.meters.force_flush().unwrap();
        let all = self.metrics.get_finished_metrics().unwrap();
        let last = all.last().expect("metrics");
        let metric =
            last.scope_metrics().flat_map(ScopeMetrics::metrics).find(|it| it.name() == name);
        match metric.unwrap_or_else(|| panic!("no {name}")).data() {
            AggregatedMetrics::I64(MetricData::Sum(data)) => {
                data.data_points().map(|at| i32::try_from(at.value()).unwrap()).sum::<i32>().into()
            }
            AggregatedMetrics::F64(MetricData::Histogram(data)) => {
                data.data_points().map(HistogramDataPoint::sum).sum()
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn only(&self, name: &str) -> Series {
        let metrics = self.metrics();
        let series = metrics.get(name).unwrap_or_else(|| panic!("no {name}: {metrics:?}"));
        assert_eq!(series.len(), 1, "{series:?}");
        series[0].clone()
    }
}

fn count(of: u64) -> i64 {
    i64::try_from(of).unwrap()
}

pub(crate) fn small(of: u64) -> f64 {
    u32::try_from(of).unwrap().into()
}

pub(crate) fn text<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> String {
    let mut all: Vec<_> = attributes.map(|at| format!("{}={}", at.key, at.value)).collect();
    all.sort();
    all.join(" ")
}

pub(crate) fn get(uri: &str) -> Request<MockBody> {
    Request::get(uri).body(MockBody::empty()).unwrap()
}
