//! Hooks as values that may leave the exchange, for other tasks and for tests.

use std::fmt;

use http::{HeaderMap, Method, StatusCode, Uri, Version};

use super::{Data, Disconnect, End, Failure, Finish, RequestClose, RequestHead, ResponseHead};
use crate::{Close, ExchangeId, Listener, Reason, Summary, Wait, observe::shield};

/// A hook that was called, and of which exchange.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// The exchange.
    pub exchange: ExchangeId,
    /// The hook.
    pub kind: EventKind,
}

/// A hook with what it was handed, owned.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is a hook, and its fields are those of the head")]
pub enum EventKind {
    /// `begin`.
    Begin { method: Method, uri: Uri, version: Version },
    /// `on_disconnect`.
    Disconnect(Disconnect),
    /// `on_request_data`.
    RequestData(Data),
    /// `on_request_end`.
    RequestEnd(Ended),
    /// `on_request_error`.
    RequestError(Failed),
    /// `on_request_close`.
    RequestClose(RequestClose),
    /// `on_response`, without the headers.
    Response(StatusCode),
    /// `on_response_data`.
    ResponseData(Data),
    /// `on_response_end`.
    ResponseEnd(Ended),
    /// `on_response_error`.
    ResponseError(Failed),
    /// `on_finish`.
    Finish(Finish),
    /// `on_close`.
    Close(Box<Summary>),
}

/// [`End`], owned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// All bytes of data that passed in this direction.
    pub bytes: u64,
    /// All data frames that passed in this direction.
    pub frames: u64,
    /// The trailers, when the body ended with some.
    pub trailers: Option<Box<HeaderMap>>,
    /// Who waited on whom, if asked for.
    pub wait: Option<Wait>,
}

/// [`Failure`], owned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failed {
    /// What kind of failure.
    pub reason: Reason,
    /// What the error says of itself, where its type is known; `None` as well when it panics instead.
    pub error: Option<String>,
    /// Bytes of data that passed in this direction before.
    pub bytes: u64,
    /// Data frames that passed in this direction before.
    pub frames: u64,
    /// Who waited on whom before, if asked for.
    pub wait: Option<Wait>,
}

/// Where a [`Teller`] puts what it hears.
pub(crate) trait Sink: Send + 'static {
    /// Takes what must not be lost: the close.
    fn put(&mut self, kind: EventKind);

    /// Takes anything else. A sink without room need not make it.
    fn offer(&mut self, make: impl FnOnce() -> EventKind) {
        self.put(make());
    }
}

/// A listener that tells what it hears as values.
#[derive(Debug)]
pub(crate) struct Teller<S>(pub(crate) S);

impl EventKind {
    pub(crate) fn begin(head: &RequestHead<'_>) -> Self {
        Self::Begin { method: head.method.clone(), uri: head.uri.clone(), version: head.version }
    }

    /// The verdict, of a close.
    pub fn close(&self) -> Option<Close> {
        match self {
            Self::Close(summary) => Some(summary.close),
            _ => None,
        }
    }
}

impl From<&End<'_>> for Ended {
    fn from(end: &End<'_>) -> Self {
        let End { bytes, frames, trailers, wait } = *end;
        Self { bytes, frames, trailers: trailers.cloned().map(Box::new), wait: wait.copied() }
    }
}

impl From<&Failure<'_>> for Failed {
    fn from(failure: &Failure<'_>) -> Self {
        let Failure { reason, error, bytes, frames, wait } = *failure;
        // An error is somebody else's code. What it costs is its text, and not whoever hears of it.
        let error = error.and_then(|error| shield(|| error.to_string()));
        Self { reason, error, bytes, frames, wait: wait.copied() }
    }
}

impl<S: Sink> Listener for Teller<S> {
    fn on_disconnect(&mut self, disconnect: Disconnect) {
        self.0.offer(|| EventKind::Disconnect(disconnect));
    }

    fn on_request_data(&mut self, data: Data) {
        self.0.offer(|| EventKind::RequestData(data));
    }

    fn on_request_end(&mut self, end: &End<'_>) {
        self.0.offer(|| EventKind::RequestEnd(end.into()));
    }

    fn on_request_error(&mut self, failure: &Failure<'_>) {
        self.0.offer(|| EventKind::RequestError(failure.into()));
    }

    fn on_request_close(&mut self, close: RequestClose) {
        self.0.offer(|| EventKind::RequestClose(close));
    }

    fn on_response(&mut self, head: &ResponseHead<'_>) {
        self.0.offer(|| EventKind::Response(head.status));
    }

    fn on_response_data(&mut self, data: Data) {
        self.0.offer(|| EventKind::ResponseData(data));
    }

    fn on_response_end(&mut self, end: &End<'_>) {
        self.0.offer(|| EventKind::ResponseEnd(end.into()));
    }

    fn on_response_error(&mut self, failure: &Failure<'_>) {
        self.0.offer(|| EventKind::ResponseError(failure.into()));
    }

    fn on_finish(&mut self, finish: Finish) {
        self.0.offer(|| EventKind::Finish(finish));
    }

    fn on_close(&mut self, summary: &Summary) {
        self.0.put(EventKind::Close(Box::new(summary.clone())));
    }
}

/// `begin`, `req.data`, `res.end`, `req.close(unread)`, `close(complete)`, …
impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trailers = |end: &Ended| if end.trailers.is_some() { "+trailers" } else { "" };
        match self {
            Self::Begin { .. } => f.write_str("begin"),
            Self::Disconnect(disconnect) => write!(f, "disconnect({})", disconnect.reason),
            Self::RequestData(_) => f.write_str("req.data"),
            Self::RequestEnd(end) => write!(f, "req.end{}", trailers(end)),
            Self::RequestError(failed) => write!(f, "req.error({})", failed.reason),
            Self::RequestClose(close) => write!(f, "req.close({close})"),
            Self::Response(status) => write!(f, "response({})", status.as_u16()),
            Self::ResponseData(_) => f.write_str("res.data"),
            Self::ResponseEnd(end) => write!(f, "res.end{}", trailers(end)),
            Self::ResponseError(failed) => write!(f, "res.error({})", failed.reason),
            Self::Finish(finish) => write!(f, "finish({finish})"),
            Self::Close(summary) => write!(f, "close({})", summary.close.reason),
        }
    }
}
