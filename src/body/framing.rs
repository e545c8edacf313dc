//! When is a body complete? Decided once, when it is wrapped, from method, version, status, headers and the body's own
//! hints; then asked after each frame.
//!
//! A body that is dropped is usually complete: HTTP/1 servers do not poll bodies that must not be sent and stop polling at
//! the declared length, and no server polls on after `is_end_stream()`. The rules are those of RFC 9112 section 6.3 and
//! RFC 9113 section 8.1.1, and of what hyper does with them.

use std::any::type_name;

use http::{HeaderMap, Method, StatusCode, Version, header};
use http_body::Body;

use crate::exchange::Role;

/// What of the request decides about the framing of its response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLine {
    pub(crate) role: Role,
    version: Version,
    head: bool,
    connect: bool,
}

/// What a body says of itself before it is polled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hints {
    ended: bool,
    exact: Option<u64>,
}

/// How a response body begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing is to come.
    Ended,
    /// Nothing is to come, though the head declares something.
    Mismatch,
    /// The head ends the exchange: what follows is another protocol.
    Upgraded,
    /// Frames may come.
    Body(Framing),
}

/// By what a body that has begun will be known to be complete. Part of every body, so small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
pub(crate) struct Framing {
    /// What the reader was told to expect, if [`Self::declared`].
    length: u64,
    declared: bool,
    /// The reader stops at the length, whatever the body would yield after it.
    stops: bool,
    /// The body and the header declare different lengths: whatever comes, the reader is not served.
    lies: bool,
    /// More than declared is as wrong as less.
    strict: bool,
    /// Dropped before it is polled, it is complete: it should not be sent.
    optional: bool,
    /// It ends with `None` only when it says that it is at its end: see [`is_hypers_over_http2`].
    confirms: bool,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Complete,
    /// Not as long as declared.
    Mismatch,
    /// The peer reset the stream.
    Reset,
}

// ===== impl RequestLine =====

impl RequestLine {
    #[inline]
    pub(crate) fn new(role: Role, method: &Method, version: Version) -> Self {
        Self { role, version, head: *method == Method::HEAD, connect: *method == Method::CONNECT }
    }

    /// In the client role the response tells the version of the connection; a request often does not.
    pub(crate) fn answered(self, version: Version) -> Self {
        match self.role {
            Role::Server => self,
            Role::Client => Self { version, ..self },
        }
    }

    fn is_http1(self) -> bool {
        self.version <= Version::HTTP_11
    }

    /// RFC 9112 section 6.3: Transfer-Encoding overrides Content-Length. HTTP/1.0 and HTTP/2 know none.
    fn is_coded(self, headers: &HeaderMap) -> bool {
        self.version == Version::HTTP_11 && headers.contains_key(header::TRANSFER_ENCODING)
    }

    /// The reader of the response stops at its length: hyper's HTTP/1 server, and every client.
    fn stops_at_length(self) -> bool {
        self.is_http1() || self.role == Role::Client
    }

    /// RFC 9110 section 6.4.1: no body, whatever the headers say.
    fn forbids_body(self, status: StatusCode) -> bool {
        self.head
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }
}

// ===== impl Hints =====

impl Hints {
    pub(super) fn of<B: Body>(body: &B) -> Self {
        Self { ended: body.is_end_stream(), exact: body.size_hint().exact() }
    }
}

// ===== impl Start =====

impl Start {
    pub(crate) fn response<B: Body>(
        line: RequestLine,
        status: StatusCode,
        headers: &HeaderMap,
        body: &B,
    ) -> Self {
        let mut start = Self::decide(line, status, headers, Hints::of(body));
        if let Self::Body(framing) = &mut start {
            framing.confirms = line.role == Role::Client && is_hypers_over_http2::<B>(line.version);
        }
        start
    }

    fn decide(line: RequestLine, status: StatusCode, headers: &HeaderMap, hints: Hints) -> Self {
        if status == StatusCode::SWITCHING_PROTOCOLS || line.connect && status.is_success() {
            return Self::Upgraded;
        }
        let empty = hints.ended || hints.exact == Some(0);
        if line.forbids_body(status) {
            // HTTP/1 drops it unpolled, and a client never gets one. On HTTP/2 hyper polls what it is given.
            return if line.stops_at_length() || empty {
                Self::Ended
            } else {
                Self::Body(Framing { optional: true, ..Framing::default() })
            };
        }
        // A body that says it is empty makes hyper's HTTP/1 encoder drop a Content-Length that says otherwise.
        if hints.ended && line.is_http1() && line.role == Role::Server {
            return Self::Ended;
        }
        let (length, lies) = match (hints.exact, content_length(headers)) {
            (None, None) => (None, false),
            _ if line.is_coded(headers) => (None, false),
            // What a client reads is the body; a header that says otherwise was left by whoever replaced it.
            (Some(exact), _) if line.role == Role::Client => (Some(exact), false),
            // hyper's HTTP/1 encoder stops where the body says, and sends the header as it is.
            (Some(exact), Some(header)) => (Some(header), exact != header && line.is_http1()),
            (exact, header) => (exact.or(header), false),
        };
        let framing = Framing {
            length: length.unwrap_or(0),
            declared: length.is_some(),
            stops: line.stops_at_length() && length.is_some(),
            lies,
            strict: true,
            ..Framing::default()
        };
        if empty || framing.stops && framing.length == 0 {
            return if framing.at_end(0) == Ending::Complete {
                Self::Ended
            } else {
                Self::Mismatch
            };
        }
        Self::Body(framing)
    }
}

// ===== impl Framing =====

impl Framing {
    /// Of a request body that does not begin at its end. Its own length counts before the header's, which an outer
    /// layer that transforms bodies may have left as it was; and for the same reason only a body that ends short is wrong.
    pub(crate) fn request<B: Body>(line: RequestLine, headers: &HeaderMap, body: &B) -> Self {
        let length = body.size_hint().exact().or_else(|| {
            content_length(headers).filter(|_| !headers.contains_key(header::TRANSFER_ENCODING))
        });
        Self {
            length: length.unwrap_or(0),
            declared: length.is_some(),
            confirms: line.role == Role::Server && is_hypers_over_http2::<B>(line.version),
            ..Self::default()
        }
    }

    /// After a frame and `seen` bytes, the body having said that it is at its end or not. `None`: more may come.
    #[inline]
    pub(super) fn after(&self, seen: u64, ended: bool) -> Option<Ending> {
        (ended || self.stops && seen >= self.length).then(|| self.at_end(seen))
    }

    /// At `None`, after `seen` bytes; `ended` is asked whether the body says that it is at its end.
    #[inline]
    pub(super) fn at_none(&self, seen: u64, ended: impl FnOnce() -> bool) -> Ending {
        let met = self.declared && seen == self.length;
        if self.confirms && !met && !ended() { Ending::Reset } else { self.at_end(seen) }
    }

    /// At the end of the stream, after `seen` bytes.
    #[inline]
    pub(super) fn at_end(&self, seen: u64) -> Ending {
        let met = !self.declared || seen == self.length || seen > self.length && !self.strict;
        if met && !self.lies { Ending::Complete } else { Ending::Mismatch }
    }

    /// Whether a body that is dropped after `seen` bytes is complete all the same.
    pub(super) fn complete_at_drop(&self, seen: u64, polled: bool) -> bool {
        self.optional && !polled || self.declared && seen == self.length && !self.lies
    }
}

/// Whether this is hyper's own body over HTTP/2. It turns `RST_STREAM(NO_ERROR)` into `None`, and tells it from the end by
/// `is_end_stream()`; bodies around it do not pass that on. The name is asked for because hyper is not a dependency; a
/// test pins it, and were it to change, a reset would read as an end again, as it does everywhere else.
fn is_hypers_over_http2<B>(version: Version) -> bool {
    version == Version::HTTP_2 && type_name::<B>() == "hyper::body::incoming::Incoming"
}

/// The declared length, if all values agree on a number (RFC 9110 section 8.6).
#[inline]
fn content_length(headers: &HeaderMap) -> Option<u64> {
    // Most maps without it are told by one look; the iterator is dearer.
    if headers.is_empty() || !headers.contains_key(header::CONTENT_LENGTH) {
        return None;
    }
    declared_length(headers)
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for item in value.to_str().ok()?.split(',') {
            let item = item.trim();
            let number: u64 =
                item.parse().ok().filter(|_| item.bytes().all(|byte| byte.is_ascii_digit()))?;
            if length.replace(number).is_some_and(|before| before != number) {
                return None;
            }
        }
    }
    length
}

#[cfg(test)]
mod tests;
