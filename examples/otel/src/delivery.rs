//! Exporters that fail, told of once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{SpanData, SpanExporter},
};

/// An exporter of which is told when it begins to fail and when it gets through again, and not each time.
#[derive(Debug)]
pub(crate) struct Delivery<E> {
    exporter: E,
    what: &'static str,
    endpoint: Arc<str>,
    /// Until it is true.
    given_up: Arc<AtomicBool>,
    fails: AtomicBool,
}

impl<E> Delivery<E> {
    pub(crate) fn new(
        exporter: E,
        what: &'static str,
        endpoint: &Arc<str>,
        given_up: &Arc<AtomicBool>,
    ) -> Self {
        let (endpoint, given_up) = (Arc::clone(endpoint), Arc::clone(given_up));
        Self { exporter, what, endpoint, given_up, fails: AtomicBool::new(false) }
    }

    fn tell(&self, delivered: OTelSdkResult) -> OTelSdkResult {
        let Self { what, endpoint, .. } = self;
        let failed = self.fails.swap(delivered.is_err(), Ordering::Relaxed);
        match &delivered {
            _ if self.given_up.load(Ordering::Relaxed) => {}
            Err(error) if !failed => {
                eprintln!("warning: {what} do not reach a collector at {endpoint}: {error}");
            }
            Ok(()) if failed => eprintln!("{what} reach the collector again"),
            _ => {}
        }
        delivered
    }
}

impl<E: SpanExporter> SpanExporter for Delivery<E> {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        self.tell(self.exporter.export(spans).await)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Delivery<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.tell(self.exporter.export(metrics).await)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
