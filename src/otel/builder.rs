//! The settings.

use std::{fmt, sync::Arc};

use opentelemetry::{
    InstrumentationScope, global,
    metrics::{Meter, MeterProvider},
    propagation::TextMapPropagator,
    trace::{Tracer, TracerProvider},
};

use super::{Otel, Shared, instruments::Instruments, propagation::Propagator, span::Start};
use crate::{
    Interest,
    semconv::{Conventions, names::SCHEMA_URL},
};

/// Makes an [`Otel`]: [`Otel::builder`].
#[must_use = "it does nothing until `build`"]
#[derive(Clone)]
pub struct OtelBuilder {
    tracer: Option<Arc<dyn Start>>,
    meter: Option<Meter>,
    propagator: Propagator,
    spans: bool,
    metrics: bool,
    parent: ParentPolicy,
    conventions: Conventions,
    wanted: Wanted,
}

/// What becomes of the trace that a client says its request is a part of.
///
/// Of a server alone. A client's span is a child of the current one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParentPolicy {
    /// The exchange is a part of it.
    #[default]
    Inherit,
    /// The exchange begins a trace of its own, whose first span has a link to it: for endpoints that anybody may call, who is not to
    /// say what is sampled, nor to have all requests be one trace. Baggage is taken over.
    Link,
    /// What the client says is not read, baggage neither.
    Ignore,
}

/// What is told when asked for.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub(super) struct Wanted {
    pub(super) active: bool,
    pub(super) sizes: bool,
    pub(super) head: bool,
    pub(super) waits: bool,
    pub(super) connections: bool,
    pub(super) network: bool,
}

impl OtelBuilder {
    pub(super) fn new() -> Self {
        Self {
            tracer: None,
            meter: None,
            propagator: Propagator::default(),
            spans: true,
            metrics: true,
            parent: ParentPolicy::default(),
            conventions: Conventions::default(),
            wanted: Wanted::default(),
        }
    }

    /// Where spans go. Default: the global provider, as it is when [`build`](Self::build) is called.
    pub fn tracer_provider<P>(mut self, provider: &P) -> Self
    where
        P: TracerProvider,
        P::Tracer: Tracer<Span: Send + Sync + 'static> + Send + Sync + 'static,
    {
        self.tracer = Some(Arc::new(provider.tracer_with_scope(scope())));
        self
    }

    /// Where metrics go. Default: the global provider, as it is when [`build`](Self::build) is called.
    pub fn meter_provider(mut self, provider: &(impl MeterProvider + ?Sized)) -> Self {
        self.meter = Some(provider.meter_with_scope(scope()));
        self
    }

    /// Reads and writes the headers of the trace. Default: the global one, which is asked for each time it is needed, and does
    /// nothing until the program sets one.
    pub fn propagator(mut self, propagator: Arc<dyn TextMapPropagator + Send + Sync>) -> Self {
        self.propagator = Propagator::new(propagator);
        self
    }

    /// No spans, for a program that has them by other means. What a client says of its trace, if it says something, is still the
    /// current context of handlers under [`ParentPolicy::Inherit`].
    pub fn without_spans(mut self) -> Self {
        self.spans = false;
        self
    }

    /// No metrics.
    pub fn without_metrics(mut self) -> Self {
        self.metrics = false;
        self
    }

    /// What becomes of a client's trace. Default: [`ParentPolicy::Inherit`].
    pub fn parent(mut self, policy: ParentPolicy) -> Self {
        self.parent = policy;
        self
    }

    /// How the conventions are followed where they leave a choice. Default: [`Conventions::new`].
    pub fn conventions(mut self, conventions: Conventions) -> Self {
        self.conventions = conventions;
        self
    }

    /// Counts the exchanges that are open: `http.server.active_requests` and `http.client.active_requests`.
    pub fn active_requests(mut self) -> Self {
        self.wanted.active = true;
        self
    }

    /// Tells how many bytes of the bodies have passed, without framing, as metrics and as attributes of the span:
    /// `http.request.body.size` and `http.response.body.size`, with `http.server.` or `http.client.` for metrics.
    pub fn body_sizes(mut self) -> Self {
        self.wanted.sizes = true;
        self
    }

    /// Measures the time to the response's head: `tower_lifecycle.server.response.head.duration`. As an attribute, spans have it
    /// always.
    pub fn head_duration(mut self) -> Self {
        self.wanted.head = true;
        self
    }

    /// Tells who waited on whom, as one metric, `tower_lifecycle.server.wait.duration`, and as attributes of the span. Two reads of
    /// the clock for each frame: [`Interest::WAITS`].
    pub fn waits(mut self) -> Self {
        self.wanted.waits = true;
        self
    }

    /// Counts and measures connections: `tower_lifecycle.server.active_connections` and
    /// `tower_lifecycle.server.connection.duration`. Where there is [a seam](crate#the-connection) alone.
    pub fn connections(mut self) -> Self {
        self.wanted.connections = true;
        self
    }

    /// Tells more of the connection, as attributes of a server's span: `client.port`, `network.local.address`, `network.local.port` and
    /// `network.transport`, as far as they are known.
    pub fn network(mut self) -> Self {
        self.wanted.network = true;
        self
    }

    /// All metrics there are: [`active_requests`](Self::active_requests), [`body_sizes`](Self::body_sizes),
    /// [`head_duration`](Self::head_duration), [`waits`](Self::waits) and [`connections`](Self::connections).
    pub fn all_metrics(self) -> Self {
        self.active_requests().body_sizes().head_duration().waits().connections()
    }

    /// The observer. Its instruments are made now, of the global providers where none was given: set those before.
    pub fn build(self) -> Otel {
        let Self { tracer, meter, propagator, spans, metrics, parent, conventions, wanted } = self;
        let tracer =
            spans.then(|| tracer.unwrap_or_else(|| Arc::new(global::tracer_with_scope(scope()))));
        let meter = metrics.then(|| meter.unwrap_or_else(|| global::meter_with_scope(scope())));
        let instruments = meter.map(|meter| Instruments::new(&meter, wanted));
        let interest = interest(tracer.is_some(), instruments.is_some(), wanted);
        let cautious = conventions.clone().streams_if(|_| false);
        Otel(Arc::new(Shared {
            tracer,
            instruments,
            propagator,
            parent,
            conventions,
            cautious,
            wanted,
            interest,
        }))
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}

fn interest(spans: bool, metrics: bool, wanted: Wanted) -> Interest {
    if !spans && !metrics {
        return Interest::SCOPE;
    }
    let exchanges = Interest::CLOSE
        | Interest::MARKS
        | Interest::RESPONSE
        | Interest::RESPONSE_ERROR
        | Interest::SCOPE;
    let waits = if wanted.waits { Interest::WAITS } else { Interest::NONE };
    let connections =
        if wanted.connections && metrics { Interest::CONNECTION } else { Interest::NONE };
    exchanges | waits | connections
}

impl fmt::Debug for OtelBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtelBuilder")
            .field("spans", &self.spans)
            .field("metrics", &self.metrics)
            .field("parent", &self.parent)
            .field("conventions", &self.conventions)
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}
