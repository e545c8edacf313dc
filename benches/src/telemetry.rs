//! What spans and metrics end up in.

use std::time::{Duration, Instant};

use opentelemetry::{global, trace::TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        PeriodicReader, SdkMeterProvider, Temporality, data::ResourceMetrics,
        exporter::PushMetricExporter,
    },
    trace::{Sampler, SdkTracerProvider},
};
use tracing::{dispatcher, field::Empty, info, info_span, level_filters::LevelFilter};
use tracing_subscriber::layer::SubscriberExt;

use crate::Run;

/// The SDK's providers. Metrics are aggregated in any case.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Providers {
    /// No span is sampled.
    Off,
    /// All spans are sampled, recorded, and dropped at their end.
    Recorded,
}

impl Providers {
    pub(crate) fn tracer(self) -> SdkTracerProvider {
        let sampler = match self {
            Self::Off => Sampler::AlwaysOff,
            Self::Recorded => Sampler::AlwaysOn,
        };
        SdkTracerProvider::builder().with_sampler(sampler).build()
    }

    #[expect(clippy::unused_self, reason = "it is one of the two")]
    pub(crate) fn meter(self) -> SdkMeterProvider {
        let reader = PeriodicReader::builder(Discard).build();
        SdkMeterProvider::builder().with_reader(reader).build()
    }

    /// As the global ones.
    pub(crate) fn install(self) {
        global::set_meter_provider(self.meter());
        global::set_tracer_provider(self.tracer());
    }
}

/// An exporter to nowhere. The reader is what makes the SDK aggregate.
struct Discard;

impl PushMetricExporter for Discard {
    async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
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

/// Exchanges whose `tracing` spans and events, up to INFO, go to OpenTelemetry.
pub(crate) fn bridged(providers: Providers, mut run: Run) -> Run {
    let tracer = providers.tracer().tracer("bridge");
    let bridge = tracing_opentelemetry::layer().with_tracer(tracer);
    let subscriber = tracing_subscriber::registry().with(bridge).with(LevelFilter::INFO);
    let subscriber = dispatcher::Dispatch::new(subscriber);
    Box::new(move |exchanges| dispatcher::with_default(&subscriber, || run(exchanges)))
}

/// Exchanges with a span and a summary as `Trace` makes them, written by hand where everything is known: the floor.
#[expect(clippy::disallowed_methods, reason = "what is measured reads the clock, too")]
pub(crate) fn by_hand(mut run: Run) -> Run {
    Box::new(move |exchanges| {
        for _ in 0..exchanges {
            let begun = Instant::now();
            let span = info_span!(
                target: "tower_lifecycle",
                "HTTP request",
                otel.name = "POST",
                otel.kind = "server",
                otel.status_code = Empty,
                http.request.method = "POST",
                http.request.method_original = Empty,
                url.scheme = "http",
                url.path = "/exchange",
                url.query = Empty,
                url.full = Empty,
                url.template = Empty,
                http.route = Empty,
                network.protocol.version = "1.1",
                server.address = Empty,
                server.port = Empty,
                client.address = Empty,
                network.peer.address = Empty,
                network.peer.port = Empty,
                user_agent.original = Empty,
                http.response.status_code = Empty,
                error.type = Empty,
                tower_lifecycle.termination = Empty,
                tower_lifecycle.outcome = Empty,
                http.request.body.size = Empty,
                http.response.body.size = Empty,
                tower_lifecycle.response.head.duration = Empty,
            );
            span.in_scope(|| run(1));
            let duration = begun.elapsed();
            span.record("http.response.status_code", 200_i64);
            span.record("tower_lifecycle.termination", "--");
            span.record("http.request.body.size", 32_i64);
            span.record("http.response.body.size", 32_i64);
            span.record("tower_lifecycle.response.head.duration", duration.as_secs_f64());
            info!(
                name: "lifecycle.close",
                target: "tower_lifecycle",
                parent: &span,
                status = 200_i64,
                termination = "--",
                request_bytes = 32_i64,
                response_bytes = 32_i64,
                duration_ms = duration.as_secs_f64() * 1000.0,
                "POST /exchange 200 in {duration:.1?}, complete",
            );
        }
    })
}
