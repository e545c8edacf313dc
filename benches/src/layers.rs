//! The layers that take some setting up.

use axum_prometheus::lifecycle::layer::LifeCycleLayer;
use axum_tracing_opentelemetry::middleware::OtelAxumLayer;
use opentelemetry::metrics::{MeterProvider, noop::NoopMeterProvider};
use opentelemetry_instrumentation_tower::http::server::{Layer as OtelLayer, LayerBuilder};
use tower::layer::util::Stack;
use tower_http::classify::{ServerErrorsAsFailures, SharedClassifier};
use tower_lifecycle::{LifecycleLayer, otel::Otel};
use tracing::Level;

use crate::{Counting, telemetry::Providers};

type Classifier = SharedClassifier<ServerErrorsAsFailures>;

pub(crate) fn prometheus() -> LifeCycleLayer<Classifier, Counting, Counting> {
    let classifier = SharedClassifier::new(ServerErrorsAsFailures::new());
    LifeCycleLayer::new(classifier, Counting::hooks(), Counting::hooks())
}

/// It takes the global providers while it is built.
pub(crate) fn opentelemetry_tower(providers: Option<Providers>) -> OtelLayer {
    let builder = LayerBuilder::builder();
    let builder = match providers {
        Some(providers) => {
            providers.install();
            builder
        }
        None => builder.with_tracing(false).with_metrics(false),
    };
    builder.build().unwrap_or_default()
}

pub(crate) fn lifecycle_otel(
    providers: Option<Providers>,
    all_metrics: bool,
) -> LifecycleLayer<Otel> {
    let builder = match providers {
        Some(providers) => {
            Otel::builder().tracer_provider(&providers.tracer()).meter_provider(&providers.meter())
        }
        None => Otel::builder(),
    };
    let builder = if all_metrics { builder.all_metrics() } else { builder };
    LifecycleLayer::new(builder.build())
}

pub(crate) fn axum_tracing_opentelemetry() -> OtelAxumLayer {
    OtelAxumLayer::default()
}

pub(crate) fn tower_otel(
    providers: Option<Providers>,
) -> Stack<tower_otel::trace::http::TraceBodyLayer, tower_otel::metrics::HttpLayer> {
    let meter = match providers {
        Some(providers) => providers.meter().meter("tower-otel"),
        None => NoopMeterProvider::new().meter("tower-otel"),
    };
    let spans = tower_otel::trace::HttpLayer::server(Level::INFO).trace_body();
    Stack::new(spans, tower_otel::metrics::HttpLayer::server(&meter))
}
