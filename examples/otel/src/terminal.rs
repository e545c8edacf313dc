//! What there is to see without a collector: a line for each span, and a table of the metrics.

use std::{
    fmt,
    io::{self, Write as _},
    time::Duration,
};

use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        Temporality,
        data::{
            AggregatedMetrics, HistogramDataPoint, MetricData, ResourceMetrics, ScopeMetrics,
            SumDataPoint,
        },
        exporter::PushMetricExporter,
    },
    trace::{SpanData, SpanExporter},
};

/// Exports to standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal;

/// One line; whether somebody reads it or not.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

pub(crate) fn introduce() {
    say(format_args!(
        "Each span is a line here when it ends; the metrics come last. They go to a collector with\n\
         OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318, for instance; --help has more.\n\n\
         trace     kind      name              status    duration"
    ));
}

impl SpanExporter for Terminal {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        for span in &spans {
            say(format_args!("{}", Line(span)));
        }
        Ok(())
    }
}

impl PushMetricExporter for Terminal {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        say(format_args!(""));
        for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
            say(format_args!("{:<46}  {}", metric.name(), Total(metric.data())));
        }
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

/// `6683681d  server    GET /stream          200    106.7 ms  error.type=disconnected  termination=CD`
struct Line<'a>(&'a SpanData);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(span) = self;
        let trace = span.span_context.trace_id().to_string();
        let kind = match span.span_kind {
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            _ => "internal",
        };
        let status = self.attribute("http.response.status_code").unwrap_or_default();
        let duration = span.end_time.duration_since(span.start_time).unwrap_or_default();
        let millis = duration.as_secs_f64() * 1e3;
        write!(f, "{trace:.8}  {kind:8}  {:16}  {status:>6}  {millis:>7.1} ms", span.name)?;
        for name in ["error.type", "tower_lifecycle.outcome", "tower_lifecycle.termination"] {
            if let Some(value) = self.attribute(name).filter(|value| value != "--") {
                write!(f, "  {}={value}", name.trim_start_matches("tower_lifecycle."))?;
            }
        }
        Ok(())
    }
}

impl Line<'_> {
    fn attribute(&self, name: &str) -> Option<String> {
        let attribute = self.0.attributes.iter().find(|attribute| attribute.key.as_str() == name);
        attribute.map(|attribute| attribute.value.to_string())
    }
}

/// What all series of a metric come to.
struct Total<'a>(&'a AggregatedMetrics);

impl fmt::Display for Total<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                let samples: u64 = histogram.data_points().map(HistogramDataPoint::count).sum();
                let seconds: f64 = histogram.data_points().map(HistogramDataPoint::sum).sum();
                write!(f, "{samples:>4} samples of {seconds:.3} s in all")
            }
            AggregatedMetrics::U64(MetricData::Histogram(histogram)) => {
                let samples: u64 = histogram.data_points().map(HistogramDataPoint::count).sum();
                let bytes: u64 = histogram.data_points().map(HistogramDataPoint::sum).sum();
                write!(f, "{samples:>4} samples of {bytes} bytes in all")
            }
            AggregatedMetrics::I64(MetricData::Sum(sum)) => {
                let now: i64 = sum.data_points().map(SumDataPoint::value).sum();
                write!(f, "{now:>4} now")
            }
            _ => Ok(()),
        }
    }
}
