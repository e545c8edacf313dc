//! The subjects: what may stand around the service.

use std::convert::Infallible;

use axum::{Router, body::Body, routing};
use http::{Request, Response};
use tower::{Layer, Service, layer::util::Identity, service_fn};
use tower_http::trace::TraceLayer;
use tower_lifecycle::{LifecycleLayer, inflight, trace};
use tracing::level_filters::LevelFilter;

use crate::{
    Counting, PassThrough, answer, exchange, layers, subscriber,
    telemetry::{self, Providers},
};

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
    /// `InFlight`, which nobody looks at.
    InFlight = "inflight";
    /// The same without times.
    InFlightLean = "inflight, without times";
    /// `TraceLayer::new_for_http()`, no subscriber.
    Trace = "TraceLayer";
    /// The same, subscriber at INFO: nothing of it is enabled.
    TraceInfo = "TraceLayer, fmt at INFO";
    /// The same, subscriber at TRACE: span, request, response and end of the stream, all of them DEBUG by default.
    TraceAll = "TraceLayer, fmt at TRACE";
    /// axum-prometheus' `LifeCycleLayer`, with callbacks that count.
    Prometheus = "axum-prometheus LifeCycle";
    /// `Trace`, no subscriber.
    LifecycleTrace = "trace, no subscriber";
    /// The same, subscriber at INFO: span and summary.
    LifecycleTraceInfo = "trace, fmt at INFO";
    /// The same, subscriber at TRACE: an event for each hook.
    LifecycleTraceAll = "trace, fmt at TRACE";
    /// The same span with the same summary event, by hand-written macros around the service, subscriber at INFO.
    Macros = "macros, fmt at INFO";
    /// `Trace` through tracing-opentelemetry, nothing sampled.
    LifecycleTraceBridgeOff = "trace, bridge, sampled out";
    /// The same, all sampled.
    LifecycleTraceBridge = "trace, bridge, recorded";
    /// `Otel` without providers.
    LifecycleOtelNoop = "otel, no provider";
    /// `Otel` with the SDK's providers, no span sampled, durations aggregated.
    LifecycleOtelOff = "otel, sampled out";
    /// The same, spans sampled and dropped at their end.
    LifecycleOtel = "otel, recorded";
    /// The same with all metrics.
    LifecycleOtelAll = "otel, recorded, all metrics";
    /// opentelemetry-instrumentation-tower without providers.
    OtelNoop = "opentelemetry-tower, no-op";
    /// The same with the SDK's providers: no span sampled, metrics aggregated.
    OtelOff = "opentelemetry-tower, sampled out";
    /// The same, spans sampled and dropped at their end.
    OtelSdk = "opentelemetry-tower, SDK";
    /// axum-tracing-opentelemetry's `OtelAxumLayer`, which has no metrics, no subscriber.
    AxumTracingNone = "axum-tracing-opentelemetry, no subscriber";
    /// The same through tracing-opentelemetry, nothing sampled.
    AxumTracingOff = "axum-tracing-opentelemetry, sampled out";
    /// The same, all sampled.
    AxumTracing = "axum-tracing-opentelemetry, recorded";
    /// tower-otel's layers for spans, until the end of the body, and for metrics, no subscriber.
    TowerOtelNone = "tower-otel, no subscriber";
    /// The same through tracing-opentelemetry, nothing sampled.
    TowerOtelOff = "tower-otel, sampled out";
    /// The same, all sampled.
    TowerOtel = "tower-otel, recorded";
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

/// `$use` with the layer of `$subject`, whatever its type.
macro_rules! with_layer {
    ($subject:expr, $layer:ident => $use:expr) => {
        with_layer!(@ $subject, $layer => $use;
            Bare | Macros | Router: Identity::new();
            PassThrough | RouterPassThrough: PassThrough::default();
            LifecycleNone | RouterNone: LifecycleLayer::new(());
            LifecycleCounting | RouterCounting: LifecycleLayer::new(Counting::hooks());
            LifecycleNoData: LifecycleLayer::new(Counting::without_data());
            LifecycleMarks: LifecycleLayer::new(Counting::with_marks());
            LifecycleWaits: LifecycleLayer::new(Counting::with_waits());
            LifecycleAll: LifecycleLayer::new(Counting::all());
            LifecycleHandle: LifecycleLayer::new(()).with_handle();
            LifecycleCountingHandle: LifecycleLayer::new(Counting::hooks()).with_handle();
            InFlight: LifecycleLayer::new(inflight::InFlight::new());
            InFlightLean: LifecycleLayer::new(inflight::InFlight::builder().without_times().build());
            Trace | TraceInfo | TraceAll | RouterTrace: TraceLayer::new_for_http();
            Prometheus: layers::prometheus();
            LifecycleTrace | LifecycleTraceInfo | LifecycleTraceAll | LifecycleTraceBridgeOff
                | LifecycleTraceBridge: LifecycleLayer::new(trace::Trace::new());
            LifecycleOtelNoop: layers::lifecycle_otel(None, false);
            LifecycleOtelOff: layers::lifecycle_otel(Some(Providers::Off), false);
            LifecycleOtel: layers::lifecycle_otel(Some(Providers::Recorded), false);
            LifecycleOtelAll: layers::lifecycle_otel(Some(Providers::Recorded), true);
            OtelNoop: layers::opentelemetry_tower(None);
            OtelOff: layers::opentelemetry_tower(Some(Providers::Off));
            OtelSdk: layers::opentelemetry_tower(Some(Providers::Recorded));
            AxumTracingNone | AxumTracingOff | AxumTracing: layers::axum_tracing_opentelemetry();
            TowerOtelNone: layers::tower_otel(None);
            TowerOtelOff: layers::tower_otel(Some(Providers::Off));
            TowerOtel: layers::tower_otel(Some(Providers::Recorded));
        )
    };
    (@ $subject:expr, $layer:ident => $use:expr; $($($name:ident)|+: $make:expr;)+) => {
        match $subject {
            $($(Subject::$name)|+ => { let $layer = $make; $use })+
        }
    };
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
        self.level() != LevelFilter::OFF || self.bridged().is_some()
    }

    /// Sets the subscriber's level for this subject, until the next one sets it.
    pub fn enter(self) {
        subscriber::set(self.level());
    }

    fn level(self) -> LevelFilter {
        match self {
            Self::TraceInfo | Self::LifecycleTraceInfo | Self::Macros => LevelFilter::INFO,
            Self::TraceAll | Self::LifecycleTraceAll => LevelFilter::TRACE,
            _ => LevelFilter::OFF,
        }
    }

    /// [Enters](Self::enter), and sets up exchanges of so many chunks each way.
    pub fn prepare(self, chunks: u32) -> Run {
        self.enter();
        let run = match self {
            Self::Bare => run(bare(chunks), chunks),
            Self::Macros => telemetry::by_hand(run(bare(chunks), chunks)),
            Self::Router
            | Self::RouterPassThrough
            | Self::RouterNone
            | Self::RouterCounting
            | Self::RouterTrace => run(router(chunks, self), chunks),
            _ => with_layer!(self, layer => run(layer.layer(bare(chunks)), chunks)),
        };
        match self.bridged() {
            None => run,
            Some(providers) => telemetry::bridged(providers, run),
        }
    }

    /// `router` with the subject's layer. [`Bare`](Self::Bare) is none at all.
    pub fn layered(self, router: Router) -> Router {
        match self {
            Self::Bare => router,
            _ => with_layer!(self, layer => router.layer(layer)),
        }
    }

    /// What the SDK does with the spans that `tracing` makes, if it is given them.
    fn bridged(self) -> Option<Providers> {
        match self {
            Self::LifecycleTraceBridgeOff | Self::AxumTracingOff | Self::TowerOtelOff => {
                Some(Providers::Off)
            }
            Self::LifecycleTraceBridge | Self::AxumTracing | Self::TowerOtel => {
                Some(Providers::Recorded)
            }
            _ => None,
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
) -> impl Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send
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
