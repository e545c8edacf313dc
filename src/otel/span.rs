//! The span of an exchange: how it starts, and what surrounds the work that is done for it.

use std::{borrow::Cow, cell::RefCell, time::SystemTime};

use opentelemetry::{
    Array, Context, ContextGuard, KeyValue, StringValue, Value,
    trace::{Link, Span, SpanBuilder, SpanContext, SpanId, SpanKind, TraceContextExt, Tracer},
};

use super::labels::{self, Labels, Side};
use crate::{
    Role,
    observe::Scope,
    semconv::{Endpoint, Request, Text, names::attribute as name, span_name},
};

/// Enough for an ordinary exchange, from its begin to its close, and no more than allocators hand out fast.
const ATTRIBUTES: usize = 16;

/// A tracer of any kind.
pub(super) trait Start: Send + Sync {
    /// The context of a new span; without one that can be told of, that of its parent.
    fn start(&self, span: SpanBuilder, parent: &Context, begun: Begun<'_>) -> Started;
}

/// What a span that records is told of when it starts, and samplers need not see.
pub(super) struct Begun<'a> {
    pub(super) request: &'a Request<'a>,
    /// Of the connection, all that is known.
    pub(super) network: bool,
}

pub(super) struct Started {
    pub(super) context: Context,
    pub(super) is_recording: bool,
}

/// Attaches a context.
pub(super) struct Attached {
    pub(super) context: Context,
    /// The span in it, if it is ours.
    pub(super) span: SpanId,
}

impl<T> Start for T
where
    T: Tracer<Span: Send + Sync + 'static> + Send + Sync,
{
    fn start(&self, span: SpanBuilder, parent: &Context, begun: Begun<'_>) -> Started {
        let mut span = self.build_with_context(span, parent);
        // A provider that was shut down makes such spans, and would cut the trace.
        if !span.span_context().is_valid() {
            return Started { context: parent.clone(), is_recording: false };
        }
        let is_recording = span.is_recording();
        if is_recording {
            begun.tell(|attribute| span.set_attribute(attribute));
        }
        Started { context: parent.with_span(span), is_recording }
    }
}

impl Attached {
    pub(super) fn has_span(&self) -> bool {
        self.span != SpanId::INVALID
    }
}

thread_local! {
    /// What this thread has attached and not detached; `None` where it was inside already.
    static ATTACHED: RefCell<Vec<Option<ContextGuard>>> = const { RefCell::new(Vec::new()) };
}

/// A thread whose locals are gone attaches nothing.
impl Scope for Attached {
    /// A handler that reads the request's body is inside already.
    fn enter(&self) {
        let _ = ATTACHED.try_with(|attached| {
            let is_current =
                |current: &Context| current.span().span_context().span_id() == self.span;
            let is_inside = self.has_span() && Context::map_current(is_current);
            let guard = (!is_inside).then(|| self.context.clone().attach());
            attached.borrow_mut().push(guard);
        });
    }

    fn exit(&self) {
        let guard = ATTACHED.try_with(|attached| attached.borrow_mut().pop());
        drop(guard);
    }
}

/// As samplers are to see it.
pub(super) fn builder(
    request: &Request<'_>,
    labels: &Labels,
    started: SystemTime,
    linked: Option<SpanContext>,
) -> SpanBuilder {
    let target = labels.route.as_ref().map(Text::as_str);
    SpanBuilder {
        name: span_name(&labels.method, target),
        span_kind: Some(match labels.role() {
            Role::Server => SpanKind::Server,
            Role::Client => SpanKind::Client,
        }),
        start_time: Some(started),
        attributes: Some(for_samplers(request, labels)),
        links: linked.map(|linked| vec![Link::new(linked, Vec::new(), 0)]),
        ..SpanBuilder::default()
    }
}

fn for_samplers(request: &Request<'_>, labels: &Labels) -> Vec<KeyValue> {
    let mut told = Vec::with_capacity(ATTRIBUTES);
    told.push(KeyValue::new(name::HTTP_REQUEST_METHOD, labels.method.clone()));
    match labels.side {
        Side::Server { scheme } => {
            told.push(KeyValue::new(name::URL_PATH, request.path().to_owned()));
            told.push(KeyValue::new(name::URL_SCHEME, scheme));
            if let Some(query) = request.query() {
                told.push(owned(name::URL_QUERY, query));
            }
            if let Some(client) = request.client() {
                told.push(owned(name::CLIENT_ADDRESS, client.address()));
            }
            if let Some(agent) = request.user_agent() {
                told.push(owned(name::USER_AGENT_ORIGINAL, agent));
            }
        }
        Side::Client { .. } => told.push(KeyValue::new(name::URL_FULL, request.full_url())),
    }
    if let Some((address, number)) = request.server() {
        told.push(KeyValue::new(name::SERVER_ADDRESS, address.to_owned()));
        told.extend(number.map(|number| labels::port(name::SERVER_PORT, number)));
    }
    if let Some(route) = &labels.route {
        told.push(labels::target(labels.role(), route));
    }
    told.extend(request.headers().map(header));
    told
}

impl Begun<'_> {
    fn tell(self, mut tell: impl FnMut(KeyValue)) {
        let Self { request, network } = self;
        if let Some(original) = request.method_original() {
            tell(KeyValue::new(name::HTTP_REQUEST_METHOD_ORIGINAL, original.to_owned()));
        }
        if let Some(version) = request.version() {
            tell(KeyValue::new(name::NETWORK_PROTOCOL_VERSION, version));
        }
        let mut end = |end: Option<Endpoint<'_>>, address, port| {
            if let Some(end) = end {
                tell(owned(address, end.address()));
                if let Some(number) = end.port() {
                    tell(labels::port(port, number));
                }
            }
        };
        end(request.peer(), name::NETWORK_PEER_ADDRESS, name::NETWORK_PEER_PORT);
        if network {
            end(request.local(), name::NETWORK_LOCAL_ADDRESS, name::NETWORK_LOCAL_PORT);
            if let Some(number) = request.client().and_then(Endpoint::port) {
                tell(labels::port(name::CLIENT_PORT, number));
            }
            if let Some(transport) = request.transport() {
                tell(KeyValue::new(name::NETWORK_TRANSPORT, transport));
            }
        }
    }
}

/// A header that the user has listed.
pub(super) fn header((key, values): (&Text, Vec<String>)) -> KeyValue {
    let values = values.into_iter().map(StringValue::from).collect();
    KeyValue::new(key.clone(), Value::Array(Array::String(values)))
}

fn owned(key: &'static str, text: Cow<'_, str>) -> KeyValue {
    KeyValue::new(key, text.into_owned())
}
