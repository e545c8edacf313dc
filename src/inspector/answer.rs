//! Answers: what they carry besides what was asked for, and how they say no.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::{body::InspectorBody, json};

/// What an answer is of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Css,
    Events,
    Html,
    JavaScript,
    Json,
    Text,
}

/// Why there is none, and what to do.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    sentence: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
}

/// Nothing of it is kept, framed, or run from elsewhere.
const SECURITY: [(HeaderName, &str); 7] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

pub(super) fn answer(kind: Kind, body: impl Into<InspectorBody>) -> Response<InspectorBody> {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind.as_str()));
    if let Kind::Events = kind {
        // nginx would collect them.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    response
}

pub(super) fn json(value: &impl Serialize) -> Response<InspectorBody> {
    let mut line = Vec::new();
    json::write(&mut line, value);
    answer(Kind::Json, Bytes::from(line))
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Css => "text/css; charset=utf-8",
            Self::Events => "text/event-stream",
            Self::Html => "text/html; charset=utf-8",
            Self::JavaScript => "text/javascript; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

impl Problem {
    pub(super) fn new(status: StatusCode, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { status, sentence: sentence.into(), header: None }
    }

    pub(super) fn bad_request(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    pub(super) fn not_found(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, sentence)
    }

    pub(super) fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }
}

impl From<Problem> for Response<InspectorBody> {
    fn from(problem: Problem) -> Self {
        let mut response = json(&json::Error(&problem.sentence));
        *response.status_mut() = problem.status;
        response.headers_mut().extend(problem.header);
        response
    }
}
