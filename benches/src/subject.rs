//! The subjects: what may stand around the service.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, routing};
use axum_prometheus::lifecycle::layer::LifeCycleLayer;
use http::{Request, Response};
use opentelemetry::global;
use opentelemetry_instrumentation_tower::http::server::{Layer as OtelLayer, LayerBuilder};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        PeriodicReader, SdkMeterProvider, Temporality, data::ResourceMetrics,
        exporter::PushMetricExporter,
    },
    trace::SdkTracerProvider,
};
use tower::{Layer, Service, layer::util::Identity, service_fn};
use tower_http::{
    classify::{ServerErrorsAsFailures, SharedClassifier},
    trace::TraceLayer,
};
use tower_lifecycle::LifecycleLayer;
use tracing::level_filters::LevelFilter;

use crate::{Counting, PassThrough, answer, exchange, subscriber};

/// Runs so many exchanges, one after the other.
pub type Run = Box<dyn FnMut(u64)>;

macro_rules! subjects {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)+) => {
        /// What is measured.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Subject {
            $($(#[$doc])* $name,)+
        }

        impl Subject {
            /// All of them, in the order of the tables.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name in tables and on command lines.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

subjects! {
    /// The service alone.
    Bare = "bare";
    /// Both bodies and the future wrapped, for nothing.
    PassThrough = "pass-through";
    /// `LifecycleLayer::new(())`.
    LifecycleNone = "lifecycle ()";
    /// An observer that counts in every hook.
    LifecycleCounting = "lifecycle counting";
    /// The same without data hooks.
    LifecycleNoData = "lifecycle counting, no data";
    /// The same with data, and with marks.
    LifecycleMarks = "lifecycle counting, marks";
    /// The same with data, marks and waits.
    LifecycleWaits = "lifecycle counting, waits";
    /// The same with data, and with marks, URI and trailers: what is on by default.
    LifecycleAll = "lifecycle counting, all";
    /// `LifecycleLayer::new(()).with_handle()`.
    LifecycleHandle = "lifecycle (), handle";
    /// An observer that counts in every hook, and a handle.
    LifecycleCountingHandle = "lifecycle counting, handle";
    /// `TraceLayer::new_for_http()`, no subscriber.
    Trace = "TraceLayer";
    /// The same, subscriber at INFO: nothing of it is enabled.
    TraceInfo = "TraceLayer, fmt at INFO";
    /// The same, subscriber at TRACE: span, request, response and end of the stream, all of them DEBUG by default.
    TraceAll = "TraceLayer, fmt at TRACE";
    /// axum-prometheus' `LifeCycleLayer`, with callbacks that count.
    Prometheus = "axum-prometheus LifeCycle";
    /// opentelemetry-instrumentation-tower without providers.
    OtelNoop = "opentelemetry-tower, no-op";
    /// The same with the SDK's providers: spans sampled and dropped at their end, metrics aggregated.
    OtelSdk = "opentelemetry-tower, SDK";
    /// An axum router, with tower's `Identity` inside `Router::layer`.
    Router = "Router";
    /// Pass-through inside `Router::layer`.
    RouterPassThrough = "Router, pass-through";
    /// `LifecycleLayer::new(())` inside `Router::layer`.
    RouterNone = "Router, lifecycle ()";
    /// The counting observer inside `Router::layer`.
    RouterCounting = "Router, lifecycle counting";
    /// `TraceLayer` inside `Router::layer`, no subscriber.
    RouterTrace = "Router, TraceLayer";
}

impl Subject {
    /// The subject called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|subject| subject.name() == name)
    }

    /// What the subject is compared with: the same service without any layer.
    pub fn baseline(self) -> Self {
        match self {
            Self::Router
            | Self::RouterPassThrough
            | Self::RouterNone
            | Self::RouterCounting
            | Self::RouterTrace => Self::Router,
            _ => Self::Bare,
        }
    }

    /// Whether it wants a subscriber. One that is installed stays, even switched off it spares `tracing` the question
    /// whether there is a `log` logger, so these subjects come after all others of a process.
    pub fn subscribes(self) -> bool {
        matches!(self, Self::TraceInfo | Self::TraceAll)
    }

    /// Sets the subscriber's level for this subject, until the next one sets it.
    pub fn enter(self) {
        subscriber::set(match self {
            Self::TraceInfo => LevelFilter::INFO,
            Self::TraceAll => LevelFilter::TRACE,
            _ => LevelFilter::OFF,
        });
    }

    /// [Enters](Self::enter), and sets up exchanges of so many chunks each way.
    pub fn prepare(self, chunks: u32) -> Run {
        self.enter();
        match self {
            Self::Bare => run(bare(chunks), chunks),
            Self::PassThrough => run(PassThrough::default().layer(bare(chunks)), chunks),
            Self::LifecycleNone => run(LifecycleLayer::new(()).layer(bare(chunks)), chunks),
            Self::LifecycleCounting => run(counting(Counting::hooks()).layer(bare(chunks)), chunks),
            Self::LifecycleNoData => {
                run(counting(Counting::without_data()).layer(bare(chunks)), chunks)
            }
            Self::LifecycleMarks => {
                run(counting(Counting::with_marks()).layer(bare(chunks)), chunks)
            }
            Self::LifecycleWaits => {
                run(counting(Counting::with_waits()).layer(bare(chunks)), chunks)
            }
            Self::LifecycleAll => run(counting(Counting::all()).layer(bare(chunks)), chunks),
            Self::LifecycleHandle => {
                run(LifecycleLayer::new(()).with_handle().layer(bare(chunks)), chunks)
            }
            Self::LifecycleCountingHandle => {
                run(counting(Counting::hooks()).with_handle().layer(bare(chunks)), chunks)
            }
            Self::Trace | Self::TraceInfo | Self::TraceAll => {
                run(TraceLayer::new_for_http().layer(bare(chunks)), chunks)
            }
            Self::Prometheus => run(prometheus().layer(bare(chunks)), chunks),
            Self::OtelNoop => run(otel_without_providers().layer(bare(chunks)), chunks),
            Self::OtelSdk => run(otel_with_sdk().layer(bare(chunks)), chunks),
            Self::Router
            | Self::RouterPassThrough
            | Self::RouterNone
            | Self::RouterCounting
            | Self::RouterTrace => run(router(chunks, self), chunks),
        }
    }

    /// `router` with the subject's layer. [`Bare`](Self::Bare) is none at all.
    pub fn layered(self, router: Router) -> Router {
        match self {
            Self::Bare => router,
            Self::Router => router.layer(Identity::new()),
            Self::PassThrough | Self::RouterPassThrough => router.layer(PassThrough::default()),
            Self::LifecycleNone | Self::RouterNone => router.layer(LifecycleLayer::new(())),
            Self::LifecycleCounting | Self::RouterCounting => {
                router.layer(counting(Counting::hooks()))
            }
            Self::LifecycleNoData => router.layer(counting(Counting::without_data())),
            Self::LifecycleMarks => router.layer(counting(Counting::with_marks())),
            Self::LifecycleWaits => router.layer(counting(Counting::with_waits())),
            Self::LifecycleAll => router.layer(counting(Counting::all())),
            Self::LifecycleHandle => router.layer(LifecycleLayer::new(()).with_handle()),
            Self::LifecycleCountingHandle => {
                router.layer(counting(Counting::hooks()).with_handle())
            }
            Self::Trace | Self::TraceInfo | Self::TraceAll | Self::RouterTrace => {
                router.layer(TraceLayer::new_for_http())
            }
            Self::Prometheus => router.layer(prometheus()),
            Self::OtelNoop => router.layer(otel_without_providers()),
            Self::OtelSdk => router.layer(otel_with_sdk()),
        }
    }
}

fn run<S, B>(mut service: S, chunks: u32) -> Run
where
    S: Service<Request<Body>, Response = Response<B>> + 'static,
    B: http_body::Body,
{
    Box::new(move |exchanges| {
        for _ in 0..exchanges {
            exchange(&mut service, chunks);
        }
    })
}

/// The service, for whatever body the layer around it hands on.
fn bare<B>(
    chunks: u32,
) -> impl Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send>
where
    B: http_body::Body<Data: Send, Error: Send> + Send,
{
    service_fn(move |request| answer(request, chunks))
}

/// As `axum::serve` makes it, all routes built.
fn router(chunks: u32, layer: Subject) -> Router {
    let handler = move |request: Request<Body>| answer(request, chunks);
    let router = Router::new().route("/exchange", routing::post(handler));
    layer.layered(router).with_state(())
}

fn counting(observer: Counting) -> LifecycleLayer<Counting> {
    LifecycleLayer::new(observer)
}

type Classifier = SharedClassifier<ServerErrorsAsFailures>;

fn prometheus() -> LifeCycleLayer<Classifier, Counting, Counting> {
    let classifier = SharedClassifier::new(ServerErrorsAsFailures::new());
    LifeCycleLayer::new(classifier, Counting::hooks(), Counting::hooks())
}

fn otel_without_providers() -> OtelLayer {
    builds(LayerBuilder::builder().with_tracing(false).with_metrics(false))
}

fn otel_with_sdk() -> OtelLayer {
    let reader = PeriodicReader::builder(Discard).build();
    global::set_meter_provider(SdkMeterProvider::builder().with_reader(reader).build());
    global::set_tracer_provider(SdkTracerProvider::builder().build());
    builds(LayerBuilder::builder())
}

/// The layer takes its providers while it is built.
fn builds(builder: LayerBuilder) -> OtelLayer {
    builder.build().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_passes_the_exchange_on() {
        for &subject in Subject::ALL {
            for chunks in [0, 1, 16] {
                subject.prepare(chunks)(2);
            }
        }
    }

    #[test]
    fn every_subject_is_found_by_its_name() {
        for &subject in Subject::ALL {
            assert_eq!(Subject::named(subject.name()), Some(subject));
        }
    }
}
