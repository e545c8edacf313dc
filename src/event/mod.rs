//! What the hooks are handed.

mod owned;

pub use self::owned::{Ended, Event, EventKind, Failed};
pub(crate) use self::owned::{Sink, Teller};

#[cfg(any(feature = "access-log", feature = "opentelemetry"))]
use std::time::SystemTime;
use std::{error::Error, fmt, ops};

use http::{Extensions, HeaderMap, Method, StatusCode, Uri, Version};

use crate::{
    Connection, ExchangeId, Role, TraceIds, Wait,
    close::{Evidence, Reason, words},
    exchange::Names,
    observe::Panics,
};

/// The head of a request, borrowed for [`Observer::begin`](crate::Observer::begin).
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target. On HTTP/1 usually without scheme and authority.
    pub uri: &'a Uri,
    /// The protocol version.
    pub version: Version,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What outer layers attached, such as axum's `ConnectInfo` or `MatchedPath`.
    pub extensions: &'a Extensions,
    /// The side that the service is on.
    pub role: Role,
    /// The connection, if it came through a seam.
    pub connection: Option<&'a Connection>,
    pub(crate) names: &'a Names,
    #[cfg(any(feature = "access-log", feature = "inflight", feature = "opentelemetry"))]
    pub(crate) clock: &'a crate::clock::Clock,
    /// How long the exchange has been going on: an observer may join it late.
    #[cfg(any(feature = "access-log", feature = "opentelemetry"))]
    pub(crate) age: std::time::Duration,
    /// Where an observer's panic is reported. Carried here so that observers composed of others can reach it.
    pub(crate) panics: &'a Panics,
}

impl RequestHead<'_> {
    /// The exchange's id, which is then also in its [`Summary`](crate::Summary), and the same for whoever asks.
    pub fn id(&self) -> ExchangeId {
        self.names.id()
    }

    /// Says by what a distributed trace knows the exchange, for whoever reads its [`Summary`](crate::Summary). The first
    /// that is said counts.
    pub fn set_trace(&self, trace: TraceIds) {
        self.names.set_trace(trace);
    }

    /// The time of day at which the exchange began.
    #[cfg(any(feature = "access-log", feature = "opentelemetry"))]
    pub(crate) fn time(&self) -> SystemTime {
        let now = self.clock.time();
        now.checked_sub(self.age).unwrap_or(now)
    }
}

/// The head of a response, borrowed for [`Listener::on_response`](crate::Listener::on_response).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResponseHead<'a> {
    /// The protocol version, as the service set it: in the client role that which was spoken. A server may answer by another.
    pub version: Version,
    /// The status.
    pub status: StatusCode,
    /// The headers as the service set them; the server may add some, such as `date`.
    pub headers: &'a HeaderMap,
}

/// Data frames that passed, in one direction.
///
/// One frame a call; frames that passed while a hook of the same exchange ran, on another thread or from inside it, arrive
/// added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Data {
    /// Their bytes.
    pub bytes: u64,
    /// How many, at least one.
    pub frames: u64,
}

impl ops::AddAssign for Data {
    fn add_assign(&mut self, more: Self) {
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.frames = self.frames.saturating_add(more.frames);
    }
}

/// One direction is complete.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct End<'a> {
    /// All bytes of data that passed in this direction.
    pub bytes: u64,
    /// All data frames that passed in this direction.
    pub frames: u64,
    /// The trailers, when the body ended with some.
    pub trailers: Option<&'a HeaderMap>,
    /// Who waited on whom, if asked for by [`Interest::WAITS`](crate::Interest::WAITS).
    pub wait: Option<&'a Wait>,
}

/// One direction failed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// What kind of failure: of the request [`Disconnected`](Reason::Disconnected), [`Reset`](Reason::Reset),
    /// [`StreamReset`](Reason::StreamReset), [`RequestFailed`](Reason::RequestFailed) or
    /// [`LengthMismatch`](Reason::LengthMismatch); of the response [`ServiceFailed`](Reason::ServiceFailed),
    /// [`ResponseFailed`](Reason::ResponseFailed) or [`LengthMismatch`](Reason::LengthMismatch), in the client role
    /// also what the peer did.
    pub reason: Reason,
    /// The error itself, where there is one and its type is known: see
    /// [`LifecycleLayer::known_error`](crate::LifecycleLayer::known_error). `None` as well when a hook of the same
    /// exchange was running, because then the error has moved on before this one runs.
    pub error: Option<&'a (dyn Error + 'static)>,
    /// Bytes of data that passed in this direction before.
    pub bytes: u64,
    /// Data frames that passed in this direction before.
    pub frames: u64,
    /// Who waited on whom before, if asked for by [`Interest::WAITS`](crate::Interest::WAITS).
    pub wait: Option<&'a Wait>,
}

/// Why nothing more will happen on the request side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestClose {
    /// Fully read.
    Complete,
    /// The body failed.
    Failed,
    /// Dropped before any frame was read.
    Unread,
    /// Dropped after some frames were read.
    Partial,
    /// The response side is over while somebody still holds the body; what becomes of it is not reported.
    Detached,
}

/// The peer is gone while the exchange is alive, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Disconnect {
    /// [`Disconnected`](Reason::Disconnected), [`Reset`](Reason::Reset) or [`StreamReset`](Reason::StreamReset).
    pub reason: Reason,
    /// What said so: the connection ([`Evidence::Io`]), or the error of a body that is received.
    pub evidence: Evidence,
}

/// How the hand-over of a response is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Finish {
    /// Its last byte was handed to the operating system: a flush of the connection was seen to end after it. It is not
    /// delivery. Through a seam, for the layer that the server itself calls.
    Flushed,
    /// The HTTP stack has taken the last of it. Whether and when it reached the operating system is not known.
    Released,
}

words! {
    RequestClose {
        Complete => "complete",
        Failed => "failed",
        Unread => "unread",
        Partial => "partial",
        Detached => "detached",
    }
    Finish { Flushed => "flushed", Released => "released" }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", self.method)
            .field("uri", self.uri)
            .field("version", &self.version)
            .field("headers", self.headers)
            .finish_non_exhaustive()
    }
}
