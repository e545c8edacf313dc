//! How an exchange begins, and what is told of connections.

use std::sync::Arc;

use opentelemetry::{
    Context, KeyValue,
    baggage::{BaggageExt, KeyValueMetadata},
    trace::{SpanContext, SpanId, TraceContextExt},
};

use super::{
    Otel, OtelState, ParentPolicy, Shared,
    labels::Labels,
    listener::ask,
    span::{self, Attached, Begun, Started},
};
use crate::{
    Address, Connection, ConnectionReason, ConnectionSummary, Interest, Observer, RequestHead,
    Role, TraceIds,
    semconv::{Request, Seen, names::attribute as name},
};

impl Observer for Otel {
    type State = OtelState;

    fn interest(&self) -> Interest {
        self.0.interest
    }

    /// `None` while telemetry is suppressed, as it is for an exporter's own requests.
    fn begin(&self, head: &RequestHead<'_>) -> Option<OtelState> {
        let otel = &*self.0;
        if Context::map_current(Context::is_telemetry_suppressed) {
            return None;
        }
        let request = otel.conventions.read(head);
        let route = ask(head.panics, || request.route()).flatten();
        let labels = Labels::new(&request, head.role, route);
        let mut state = OtelState {
            otel: Arc::clone(&self.0),
            panics: head.panics.clone(),
            labels,
            seen: Seen::default(),
            started: head.time(),
            attached: None,
            is_recording: false,
            counted: None,
        };
        // A sampler that panics costs the span, and not the sample.
        ask(head.panics, || state.attach(head, &request));
        state.count();
        Some(state)
    }

    fn on_connection_open(&self, connection: &Connection) {
        if let Some(connections) = self.connections() {
            connections.active.add(1, &of_connection(connection));
        }
    }

    fn on_connection_close(&self, summary: &ConnectionSummary) {
        let Some(connections) = self.connections() else { return };
        let mut labels = of_connection(&summary.connection);
        connections.active.add(-1, &labels);
        labels.extend(error_type(summary.close.reason));
        let duration = summary.duration.unwrap_or_default();
        connections.duration.record(duration.as_secs_f64(), &labels);
    }
}

impl OtelState {
    /// Starts the span, if there are spans.
    fn attach(&mut self, head: &RequestHead<'_>, request: &Request<'_>) {
        let otel = &*self.otel;
        let Some(tracer) = &otel.tracer else {
            let passes_on = head.role == Role::Server
                && otel.parent == ParentPolicy::Inherit
                && otel.propagator.finds(head.headers);
            self.attached = passes_on.then(|| {
                let context = otel.propagator.extract(head.headers);
                Arc::new(Attached { context, span: SpanId::INVALID })
            });
            return;
        };
        let (parent, linked) = otel.parent(head);
        let span = span::builder(request, &self.labels, self.started, linked);
        let begun = Begun { request, network: otel.wanted.network };
        let Started { context, is_recording } = tracer.start(span, &parent, begun);
        let own = context.span();
        let own = own.span_context();
        // Without a provider it is that of the parent.
        let is_ours = own.is_valid() && own.span_id() != parent.span().span_context().span_id();
        let span = if is_ours { own.span_id() } else { SpanId::INVALID };
        if is_ours {
            head.set_trace(ids(own));
        } else if head.role == Role::Client || !otel.propagator.finds(head.headers) {
            // It is the one that is attached here anyway.
            return;
        }
        self.is_recording = is_recording;
        self.attached = Some(Arc::new(Attached { context, span }));
    }
}

impl Shared {
    /// The context of the parent, and what the span is to have a link to.
    fn parent(&self, head: &RequestHead<'_>) -> (Context, Option<SpanContext>) {
        if head.role == Role::Client || self.parent == ParentPolicy::Ignore {
            return (Context::current(), None);
        }
        let context = self.propagator.extract(head.headers);
        if self.parent != ParentPolicy::Link {
            return (context, None);
        }
        let remote = context.span().span_context().clone();
        if remote.is_valid() && remote.is_remote() {
            return (rootless(&context), Some(remote));
        }
        (context, None)
    }
}

impl Otel {
    fn connections(&self) -> Option<&super::instruments::Connections> {
        self.0.instruments.as_ref()?.connections.as_ref()
    }
}

/// Without any span, not even an invalid one: samplers that follow a parent would take that for one that is not sampled.
fn rootless(extracted: &Context) -> Context {
    let base = Context::current();
    let base = if base.has_active_span() { Context::new() } else { base };
    let baggage = extracted.baggage().iter().map(|(key, (value, metadata))| {
        KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone())
    });
    base.with_baggage(baggage)
}

fn ids(span: &SpanContext) -> TraceIds {
    TraceIds {
        trace_id: span.trace_id().to_bytes(),
        span_id: span.span_id().to_bytes(),
        sampled: span.is_sampled(),
    }
}

fn of_connection(connection: &Connection) -> Vec<KeyValue> {
    let address = connection.peer_addr().or(connection.local_addr());
    let (transport, network) = match address {
        Some(Address::Ip(address)) => {
            let is_ipv4 = address.ip().to_canonical().is_ipv4();
            (Some("tcp"), Some(if is_ipv4 { "ipv4" } else { "ipv6" }))
        }
        Some(Address::Unix(_)) => (Some("unix"), None),
        None => (None, None),
    };
    let transport = transport.map(|transport| KeyValue::new(name::NETWORK_TRANSPORT, transport));
    let network = network.map(|network| KeyValue::new(name::NETWORK_TYPE, network));
    transport.into_iter().chain(network).collect()
}

/// A peer that connects and leaves is none, such as a load balancer that looks whether somebody listens.
fn error_type(reason: ConnectionReason) -> Option<KeyValue> {
    let is_error = !matches!(reason, ConnectionReason::Complete | ConnectionReason::NoRequest);
    is_error.then(|| KeyValue::new(name::ERROR_TYPE, reason.as_str()))
}
