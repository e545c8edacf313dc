//! The SDK behind an `Otel`, in memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
        data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics},
    },
    propagation::TraceContextPropagator,
    trace::{InMemorySpanExporter, SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use tower_lifecycle::otel::{Otel, OtelBuilder};

use super::until;

/// Providers whose telemetry is kept.
#[derive(Clone, Debug)]
pub(crate) struct Stand {
    pub(crate) tracer_provider: SdkTracerProvider,
    pub(crate) meter_provider: SdkMeterProvider,
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricExporter,
    started: Arc<AtomicU64>,
}

/// One set of attributes of one metric.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) instrument: &'static str,
    pub(crate) scope: InstrumentationScope,
    pub(crate) attributes: Vec<KeyValue>,
    /// Of a histogram.
    pub(crate) bounds: Vec<f64>,
    /// How many samples a histogram has.
    pub(crate) count: u64,
    /// The sum of a histogram's samples, or the value.
    pub(crate) value: f64,
}

/// Counts the spans that begin, which an exporter does not see.
#[derive(Debug)]
struct Starts(Arc<AtomicU64>);

impl Stand {
    /// With the SDK's own sampler, which asks the parent.
    pub(crate) fn new() -> Self {
        let started = Arc::default();
        let spans = InMemorySpanExporter::default();
        let tracer_provider = SdkTracerProvider::builder()
            .with_span_processor(Starts(Arc::clone(&started)))
            .with_simple_exporter(spans.clone())
            .build();
        let metrics = InMemoryMetricExporter::default();
        // It reads when it is flushed.
        let reader = PeriodicReader::builder(metrics.clone());
        let reader = reader.with_interval(Duration::from_secs(3600)).build();
        let meter_provider = SdkMeterProvider::builder().with_reader(reader).build();
        Self { tracer_provider, meter_provider, spans, metrics, started }
    }

    /// With W3C's propagator; else as it is by default.
    pub(crate) fn builder(&self) -> OtelBuilder {
        Otel::builder()
            .tracer_provider(&self.tracer_provider)
            .meter_provider(&self.meter_provider)
            .propagator(Arc::new(TraceContextPropagator::new()))
    }

    pub(crate) fn otel(&self) -> Otel {
        self.builder().build()
    }

    /// Those that have ended, in this order.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.spans.get_finished_spans().unwrap()
    }

    /// How many have begun.
    pub(crate) fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    pub(crate) fn named(&self, name: &str) -> SpanData {
        let mut spans = self.spans();
        spans.retain(|span| span.name == name);
        let [span] = <[_; 1]>::try_from(spans)
            .unwrap_or_else(|spans| panic!("one span is named {name}, but {spans:#?}"));
        span
    }

    /// All that has been measured so far.
    pub(crate) fn points(&self) -> Vec<Point> {
        self.metrics.reset();
        self.meter_provider.force_flush().unwrap();
        let finished = self.metrics.get_finished_metrics().unwrap();
        let scopes = finished.iter().flat_map(ResourceMetrics::scope_metrics);
        let metrics =
            scopes.flat_map(|of| of.metrics().map(move |metric| (of.scope().clone(), metric)));
        metrics.flat_map(|(scope, metric)| Point::all(&scope, metric)).collect()
    }

    pub(crate) fn of(&self, metric: &str) -> Vec<Point> {
        let mut points = self.points();
        points.retain(|point| point.metric == metric);
        points
    }

    /// The samples of durations, whichever metric they went to.
    pub(crate) fn durations(&self) -> Vec<Point> {
        let mut points = self.points();
        points.retain(Point::is_duration);
        points
    }

    /// Waits until so many exchanges are over, for both signals, and says that there are no more.
    pub(crate) async fn settled(&self, exchanges: u64) {
        let samples = || self.durations().iter().map(|point| point.count).sum::<u64>();
        until("the close of the exchanges", || {
            self.spans().len() as u64 >= exchanges && samples() >= exchanges
        })
        .await;
        assert_eq!((self.spans().len() as u64, samples()), (exchanges, exchanges));
        assert_eq!(self.started(), exchanges, "each span that began has ended");
    }

    /// The only exchange, once it is over: its span, and its duration's sample.
    pub(crate) async fn only(&self) -> (SpanData, Point) {
        self.settled(1).await;
        (self.spans().remove(0), self.durations().remove(0))
    }

    /// What [`Point::is_duration`] calls the scope that the library has.
    pub(crate) fn assert_scope(scope: &InstrumentationScope) {
        assert_eq!(scope.name(), "tower-lifecycle");
        assert_eq!(scope.version(), Some("0.1.0"));
        assert_eq!(scope.schema_url(), Some("https://opentelemetry.io/schemas/1.44.0"));
        assert_eq!(scope.attributes().count(), 0);
    }
}

impl Point {
    fn all(scope: &InstrumentationScope, metric: &Metric) -> Vec<Self> {
        match metric.data() {
            AggregatedMetrics::F64(data) => Self::of(scope, metric, data, |value| value),
            AggregatedMetrics::I64(data) => {
                Self::of(scope, metric, data, |value| f64::from(i32::try_from(value).unwrap()))
            }
            AggregatedMetrics::U64(data) => {
                Self::of(scope, metric, data, |value| f64::from(u32::try_from(value).unwrap()))
            }
        }
    }

    fn of<T: Copy>(
        scope: &InstrumentationScope,
        metric: &Metric,
        data: &MetricData<T>,
        value: fn(T) -> f64,
    ) -> Vec<Self> {
        let bare = |instrument| Self {
            metric: metric.name().to_owned(),
            unit: metric.unit().to_owned(),
            instrument,
            scope: scope.clone(),
            attributes: Vec::new(),
            bounds: Vec::new(),
            count: 0,
            value: 0.0,
        };
        match data {
            MetricData::Histogram(histogram) => histogram
                .data_points()
                .map(|point| Self {
                    attributes: point.attributes().cloned().collect(),
                    bounds: point.bounds().collect(),
                    count: point.count(),
                    value: value(point.sum()),
                    ..bare("histogram")
                })
                .collect(),
            MetricData::Sum(sum) => {
                let instrument = if sum.is_monotonic() { "counter" } else { "updowncounter" };
                sum.data_points()
                    .map(|point| Self {
                        attributes: point.attributes().cloned().collect(),
                        value: value(point.value()),
                        ..bare(instrument)
                    })
                    .collect()
            }
            MetricData::Gauge(_) | MetricData::ExponentialHistogram(_) => {
                panic!("{} is neither a histogram nor a sum", metric.name())
            }
        }
    }

    /// Whether it has the durations of exchanges: each has one, in one of these.
    pub(crate) fn is_duration(&self) -> bool {
        const DURATIONS: [&str; 4] = [
            "http.client.request.duration",
            "http.server.request.duration",
            "tower_lifecycle.client.stream.duration",
            "tower_lifecycle.server.stream.duration",
        ];
        DURATIONS.contains(&self.metric.as_str())
    }
}

impl SpanProcessor for Starts {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Of a span.
pub(crate) fn duration(span: &SpanData) -> Duration {
    span.end_time.duration_since(span.start_time).unwrap()
}

/// By its name, as text.
pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key.as_str() == name)?;
    Some(attribute.value.to_string())
}
