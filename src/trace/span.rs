//! What the span of an exchange tells.

use tracing::{Span, field::display};

use super::{
    callsite::Values,
    shapes::{self, values},
    sites::Site,
    text::{Address, int, seconds},
};
use crate::{
    Role, Summary,
    semconv::{Endpoint, Outcome, Request, Text, span_name},
};

/// Makes one, with what samplers may want to see. `None` where no subscriber keeps it.
pub(super) fn open(
    site: Site,
    request: &Request<'_>,
    role: Role,
    method: &Text,
    route: Option<&Text>,
) -> Option<Span> {
    let route = route.map(Text::as_str);
    let name = span_name(method, route);
    let server = request.server();
    let server_address = server.map(|(host, _)| host);
    let server_port = server.and_then(|(_, port)| port).map(i64::from);
    let peer = request.peer();
    let peer_address = peer.map(|peer| display(Address(peer)));
    let peer_port = peer.and_then(Endpoint::port).map(i64::from);
    match role {
        Role::Server => site.span(&values!(span;
            OTEL_NAME: &*name,
            OTEL_KIND: "server",
            METHOD: method.as_str(),
            METHOD_ORIGINAL: request.method_original(),
            SCHEME: request.scheme(),
            PATH: request.path(),
            QUERY: request.query().as_deref(),
            ROUTE: route,
            VERSION: request.version(),
            SERVER_ADDRESS: server_address,
            SERVER_PORT: server_port,
            CLIENT_ADDRESS: request.client().map(|client| display(Address(client))),
            PEER_ADDRESS: peer_address,
            PEER_PORT: peer_port,
            USER_AGENT: request.user_agent().as_deref(),
        )),
        Role::Client => site.span(&values!(span;
            OTEL_NAME: &*name,
            OTEL_KIND: "client",
            METHOD: method.as_str(),
            METHOD_ORIGINAL: request.method_original(),
            URL: request.full_url().as_str(),
            TEMPLATE: route,
            SERVER_ADDRESS: server_address,
            SERVER_PORT: server_port,
            PEER_ADDRESS: peer_address,
            PEER_PORT: peer_port,
        )),
    }
}

/// The same for people to read.
pub(super) fn open_brief(
    site: Site,
    request: &Request<'_>,
    method: &Text,
    route: Option<&Text>,
) -> Option<Span> {
    let route = route.map(Text::as_str);
    site.span(&values!(span; METHOD: method.as_str(), PATH: request.path(), ROUTE: route))
}

pub(super) fn record(span: &Span, values: &Values<'_, { shapes::span::COUNT }>) {
    if let Some(metadata) = span.metadata() {
        span.record_all(&metadata.fields().value_set_all(values));
    }
}

/// Records what is known at the close, with the route that has become known since the begin.
pub(super) fn complete(
    span: &Span,
    summary: &Summary,
    outcome: &Outcome,
    method: &Text,
    late: Option<&Text>,
) {
    let late = late.map(Text::as_str);
    let (route, template) = match summary.role {
        Role::Server => (late, None),
        Role::Client => (None, late),
    };
    let name = late.map(|late| span_name(method, Some(late)));
    let (request, response) = (summary.request.wait(), summary.response.wait());
    let waits = request.is_some() || response.is_some();
    record(
        span,
        &values!(span;
            OTEL_NAME: name.as_deref(),
            OTEL_STATUS_CODE: outcome.is_error().then_some("ERROR"),
            ROUTE: route,
            TEMPLATE: template,
            ERROR_TYPE: outcome.error_type.as_deref(),
            TERMINATION: summary.termination().as_str(),
            OUTCOME: outcome.cancelled_by_caller.then_some("cancelled"),
            REQUEST_SIZE: int(summary.request.bytes),
            RESPONSE_SIZE: summary.status.map(|_| int(summary.response.bytes)),
            HEAD_DURATION: summary.time_to_head().map(seconds),
            FIRST_DATA: summary.time_to_first_byte().filter(|_| waits).map(seconds),
            WAIT_ON_CLIENT: request.map(|wait| seconds(wait.producer)),
            WAIT_ON_HANDLER: request.map(|wait| seconds(wait.consumer)),
            WAIT_ON_PRODUCER: response.map(|wait| seconds(wait.producer)),
            WAIT_ON_CONSUMER: response.map(|wait| seconds(wait.consumer)),
        ),
    );
}

pub(super) fn complete_brief(span: &Span, late: Option<&Text>) {
    if let Some(late) = late {
        record(span, &values!(span; ROUTE: late.as_str()));
    }
}
