//! The verdict: how an exchange ended, where it was, who brought it about, and how that is known.

mod termination;

use std::fmt;

pub use self::termination::Termination;

/// How an exchange ended.
///
/// Small and `Copy`. It never claims more than its [`evidence`](Self::evidence): what was not seen is
/// [`Reason::Unknown`].
///
/// The first failure decides, because what follows it is usually its consequence: a handler that answers 400 to a
/// truncated upload did not make the exchange [`Complete`](Reason::Complete). Only a panic overrides an earlier failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Close {
    /// What happened.
    pub reason: Reason,
    /// Where the exchange was when it happened; [`Stage::Done`] for an exchange that ran to its end.
    pub stage: Stage,
    /// Which side brought it about.
    pub initiator: Initiator,
    /// How it is known.
    pub evidence: Evidence,
}

/// Why an exchange is over: a closed set of low cardinality, fit for a metric label.
///
/// Without a [seam](crate#the-connection) [`TransportFailed`](Self::TransportFailed) and [`Shutdown`](Self::Shutdown) are never
/// reported, and [`Disconnected`](Self::Disconnected), [`Reset`](Self::Reset) and [`StreamReset`](Self::StreamReset)
/// only where the error of a body received from the peer says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Request and response ran to their end. It says nothing about delivery.
    Complete,
    /// The response was `101 Switching Protocols` or a 2xx to `CONNECT`: the exchange ended, the connection lives on.
    Upgraded,
    /// The peer closed its side of the connection (FIN).
    Disconnected,
    /// The peer reset the connection, or a write found it broken.
    Reset,
    /// The peer reset this HTTP/2 stream (`RST_STREAM`); the connection may live on.
    StreamReset,
    /// The connection failed for another reason, such as a keep-alive ping without answer.
    TransportFailed,
    /// The request body failed: malformed, over a limit, too slow, or with an error nobody could read.
    RequestFailed,
    /// The service returned an error instead of a response.
    ServiceFailed,
    /// The response body returned an error.
    ResponseFailed,
    /// A body was not as long as declared.
    LengthMismatch,
    /// A panic passed through the exchange, or in the server role past it: whoever polled it panicked.
    Panicked,
    /// Dropped from outside while the connection lived: a timeout, a `select`, a caller that lost interest.
    Cancelled,
    /// The server dropped the connection.
    Shutdown,
    /// Dropped, and nothing tells why.
    Unknown,
}

/// Where an exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// No response yet, and the request body is neither fully read nor dropped.
    Request,
    /// No response yet, and the request side is over.
    Handler,
    /// The response head is known, its body is not complete.
    Response,
    /// The response is complete and not yet handed to the operating system. Only a [seam](crate#the-connection) can tell.
    Flush,
    /// Over.
    Done,
}

/// Which side brought the end about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Initiator {
    /// The other end of the connection.
    Peer,
    /// This process.
    Local,
    /// Nothing tells.
    Unknown,
}

/// How a verdict is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// The transport said so. Only a [seam](crate#the-connection) can tell.
    Io,
    /// A frame of a body said so: its last one, a reset, or one too few.
    Frame,
    /// A returned value said so: a response head without a body, or an error.
    Return,
    /// A panic was seen to pass.
    Unwind,
    /// Inferred from a drop.
    Drop,
}

/// Gives each variant its `snake_case` word, for labels and for people.
macro_rules! words {
    ($($type:ident { $($variant:ident => $word:literal),+ $(,)? })+) => {$(
        impl $type {
            /// The variant as one `snake_case` word, stable across releases.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )+};
}
pub(crate) use words;

words! {
    Reason {
        Complete => "complete",
        Upgraded => "upgraded",
        Disconnected => "disconnected",
        Reset => "reset",
        StreamReset => "stream_reset",
        TransportFailed => "transport_failed",
        RequestFailed => "request_failed",
        ServiceFailed => "service_failed",
        ResponseFailed => "response_failed",
        LengthMismatch => "length_mismatch",
        Panicked => "panicked",
        Cancelled => "cancelled",
        Shutdown => "shutdown",
        Unknown => "unknown",
    }
    Stage {
        Request => "request",
        Handler => "handler",
        Response => "response",
        Flush => "flush",
        Done => "done",
    }
    Initiator { Peer => "peer", Local => "local", Unknown => "unknown" }
    Evidence { Io => "io", Frame => "frame", Return => "return", Unwind => "unwind", Drop => "drop" }
}

impl Reason {
    /// Whether the exchange ran to its end: [`Complete`](Self::Complete) or [`Upgraded`](Self::Upgraded).
    ///
    /// `false` is not the same as a failure: whether a [`Cancelled`](Self::Cancelled) or an
    /// [`Unknown`](Self::Unknown) exchange counts as one is the observer's policy.
    pub const fn is_complete(self) -> bool {
        matches!(self, Self::Complete | Self::Upgraded)
    }
}

/// `disconnected in request, by peer, known by return`, or `complete, by local, known by frame`.
impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, stage, initiator, evidence } = self;
        write!(f, "{reason}")?;
        if *stage != Stage::Done {
            write!(f, " in {stage}")?;
        }
        write!(f, ", by {initiator}, known by {evidence}")
    }
}
