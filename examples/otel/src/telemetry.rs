//! OpenTelemetry's SDK, set up by its standard variables.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, SpanExporter,
};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use tokio::{sync::oneshot, time::timeout};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    delivery::Delivery,
    terminal::{self, Terminal},
};

/// For the last spans and metrics to get to the collector.
const FLUSH: Duration = Duration::from_secs(5);

/// Where spans and metrics go.
pub(crate) struct Telemetry {
    pub(crate) tracer_provider: SdkTracerProvider,
    pub(crate) meter_provider: SdkMeterProvider,
    given_up: Arc<AtomicBool>,
}

impl Telemetry {
    /// Exports by OTLP if the environment names an endpoint, else to the terminal.
    pub(crate) fn from_env() -> Result<Self, ExporterBuildError> {
        // OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES; the provider reads OTEL_TRACES_SAMPLER.
        let resource = Resource::builder().build();
        let spans = SdkTracerProvider::builder().with_resource(resource.clone());
        let metrics = SdkMeterProvider::builder().with_resource(resource);
        let given_up = Arc::default();
        let (spans, metrics) = if let Some(at) = endpoint() {
            terminal::say(format_args!("exporting by OTLP to {at}; Ctrl-C ends it"));
            let exporter = SpanExporter::builder().build()?;
            let spans = spans.with_batch_exporter(Delivery::new(exporter, "spans", &at, &given_up));
            let exporter = MetricExporter::builder().build()?;
            let exporter = Delivery::new(exporter, "metrics", &at, &given_up);
            (spans, metrics.with_periodic_exporter(exporter))
        } else {
            terminal::introduce();
            (spans.with_simple_exporter(Terminal), metrics.with_periodic_exporter(Terminal))
        };
        let (tracer_provider, meter_provider) = (spans.build(), metrics.build());
        let telemetry = Self { tracer_provider, meter_provider, given_up };
        telemetry.bridge();
        Ok(telemetry)
    }

    /// Spans of `tracing` become OpenTelemetry's, those of this program alone: hyper and h2 have some too, of which exporting
    /// would make more and more.
    fn bridge(&self) {
        let tracer = self.tracer_provider.tracer(env!("CARGO_PKG_NAME"));
        let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::INFO);
        tracing_subscriber::registry()
            .with(ours)
            .with(tracing_opentelemetry::layer().with_tracer(tracer))
            .init();
    }

    /// Sends what is left. It waits [`FLUSH`] and no longer, whatever the collector does.
    pub(crate) async fn shutdown(self) {
        let Self { tracer_provider, meter_provider, given_up } = self;
        let (done, sent) = oneshot::channel();
        // The SDK blocks, in part for as long as it likes: in threads that nobody waits for.
        thread::spawn(move || {
            let metrics = thread::spawn(move || meter_provider.shutdown());
            let spans = tracer_provider.shutdown_with_timeout(FLUSH).is_ok();
            let metrics = metrics.join().is_ok_and(|metrics| metrics.is_ok());
            let _ = done.send(spans && metrics);
        });
        if timeout(FLUSH, sent).await.ok().and_then(Result::ok) != Some(true) {
            given_up.store(true, Ordering::Relaxed);
            eprintln!("warning: not all spans and metrics could be delivered; the rest is lost");
        }
    }
}

fn endpoint() -> Option<Arc<str>> {
    let variables = [
        OTEL_EXPORTER_OTLP_ENDPOINT,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
    ];
    let mut values = variables.into_iter().filter_map(|name| env::var(name).ok());
    values.find(|value| !value.is_empty()).map(Into::into)
}
