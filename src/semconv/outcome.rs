//! What the conventions say of the end of an exchange.

use std::{borrow::Cow, error::Error};

use http::{HeaderMap, StatusCode, header};

use super::{
    DisconnectPolicy, StreamPolicy, Text, conventions::Settings, methods::OTHER, protocol_version,
};
use crate::{Initiator, Reason, Role, Summary};

/// What was seen on the way and is in no summary. Each adapter has one in its state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// What the user's function calls the service's error.
    failure: Option<&'static str>,
    /// The response's type says that it is meant to last.
    stream: bool,
}

/// What is told at the close, the same on span and metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// `http.response.status_code`.
    pub(crate) status: Option<u16>,
    /// `network.protocol.version`: a client knows it by the response.
    pub(crate) version: Option<&'static str>,
    /// `error.type`: of a small set, and never the text of an error. Where there is one the span's status is `Error`, else unset.
    pub(crate) error_type: Option<Cow<'static, str>>,
    /// Its duration is kept apart from those of others.
    pub(crate) is_stream: bool,
    /// A client whose own caller has lost interest: no error, and `tower_lifecycle.outcome` is `cancelled`.
    pub(crate) cancelled_by_caller: bool,
}

impl Seen {
    /// The service has answered.
    pub(crate) fn response(&mut self, headers: &HeaderMap) {
        self.stream = headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
            let kind = kind.as_bytes();
            let essence = kind.split(|byte| *byte == b';').next().unwrap_or(kind).trim_ascii();
            let streams: [&[u8]; 2] = [b"text/event-stream", b"multipart/x-mixed-replace"];
            streams.iter().any(|stream| essence.eq_ignore_ascii_case(stream))
        });
    }

    /// The response side has failed, with this error.
    pub(super) fn failed(&mut self, settings: &Settings, error: &(dyn Error + 'static)) {
        let name = settings.errors.as_ref().and_then(|errors| errors(error));
        self.failure = name.filter(|name| !name.is_empty());
    }
}

impl Outcome {
    pub(super) fn new(settings: &Settings, summary: &Summary, seen: Seen) -> Self {
        Self {
            status: summary.status.map(|status| status.as_u16()),
            version: version(summary),
            error_type: error_type(settings, summary, seen.failure),
            is_stream: is_stream(settings, summary, seen.stream),
            cancelled_by_caller: is_cancelled_by_caller(summary),
        }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.error_type.is_some()
    }
}

fn version(summary: &Summary) -> Option<&'static str> {
    let is_known = summary.role == Role::Server || summary.status.is_some();
    is_known.then(|| protocol_version(summary.version)).flatten()
}

fn is_cancelled_by_caller(summary: &Summary) -> bool {
    summary.role == Role::Client && summary.close.reason == Reason::Cancelled
}

fn error_type(
    settings: &Settings,
    summary: &Summary,
    failure: Option<&'static str>,
) -> Option<Cow<'static, str>> {
    let lowest = match summary.role {
        Role::Server => 500,
        Role::Client => 400,
    };
    match summary.close.reason {
        _ if is_cancelled_by_caller(summary) => None,
        reason if !reason.is_complete() && !is_excused(settings, summary) => Some(match failure {
            Some(failure) if reason == Reason::ServiceFailed => failure.into(),
            _ => reason.as_str().into(),
        }),
        _ => summary.status.filter(|status| status.as_u16() >= lowest).map(digits),
    }
}

/// A client that has left is no error of a server.
fn is_excused(settings: &Settings, summary: &Summary) -> bool {
    settings.disconnects == DisconnectPolicy::Unset
        && summary.role == Role::Server
        && match summary.close.reason {
            Reason::Disconnected | Reason::Reset | Reason::StreamReset | Reason::Unknown => true,
            Reason::TransportFailed => summary.close.initiator == Initiator::Peer,
            _ => false,
        }
}

fn is_stream(settings: &Settings, summary: &Summary, by_type: bool) -> bool {
    settings.streams == StreamPolicy::Apart
        && (by_type
            || summary.close.reason == Reason::Upgraded
            || summary.marks.named("parked").is_some()
            || settings.is_stream.as_ref().is_some_and(|is_stream| is_stream(summary)))
}

/// Without an allocation for those that are common.
fn digits(status: StatusCode) -> Cow<'static, str> {
    static COMMON: [StatusCode; 8] = [
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::BAD_GATEWAY,
        StatusCode::GATEWAY_TIMEOUT,
        StatusCode::NOT_FOUND,
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
    ];
    let common = COMMON.iter().find(|common| **common == status);
    common.map_or_else(|| status.as_str().to_owned().into(), |common| common.as_str().into())
}

/// `{method} {target}`, or the method alone; `HTTP` stands for a method that is not known. The target is a route or a template.
pub(crate) fn span_name(method: &Text, target: Option<&str>) -> Cow<'static, str> {
    let method = match method {
        Text::Static(OTHER) => &Text::Static("HTTP"),
        method => method,
    };
    match (target, method) {
        (Some(target), method) => format!("{method} {target}").into(),
        (None, Text::Static(method)) => (*method).into(),
        (None, Text::Shared(method)) => method.to_string().into(),
    }
}
