//! How a connection ended.

use std::{fmt, time::Duration};

use super::{Connection, facts::Sight};
use crate::{Evidence, Initiator, close::words};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ConnectionClose {
    /// What happened.
    pub reason: ConnectionReason,
    /// Which side brought it about.
    pub initiator: Initiator,
    /// How it is known.
    pub evidence: Evidence,
}

/// Why a connection is over: a closed set of low cardinality, fit for a metric label.
///
/// What the server made of the connection is known where this crate drives it
/// (`LifecycleLayer::serve_connection`, `Server`). Elsewhere its transport alone is seen, and
/// [`HeadMalformed`](Self::HeadMalformed), [`HeadTooLarge`](Self::HeadTooLarge) and
/// [`HeaderTimeout`](Self::HeaderTimeout) are [`HeadRejected`](Self::HeadRejected) or [`Shutdown`](Self::Shutdown).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionReason {
    /// It ended between exchanges, or after an upgrade, by either side.
    Complete,
    /// The peer left before the service was called for a request: it sent nothing, or broke off within a head.
    NoRequest,
    /// What the peer sent was refused before there was an exchange: the first head, or a later one.
    HeadRejected,
    /// The head of a request was malformed.
    HeadMalformed,
    /// The head of a request was too large.
    HeadTooLarge,
    /// The head of a request did not come in time.
    HeaderTimeout,
    /// TLS could not be agreed on.
    HandshakeFailed,
    /// The peer closed its side while exchanges were open.
    Disconnected,
    /// The peer reset the connection, or a write found it broken.
    Reset,
    /// The connection failed for another reason, such as a keep-alive ping without answer.
    TransportFailed,
    /// The server dropped it while exchanges were open, or before there was one.
    Shutdown,
    /// A panic passed through the connection's task.
    Panicked,
}

words! {
    ConnectionReason {
        Complete => "complete",
        NoRequest => "no_request",
        HeadRejected => "head_rejected",
        HeadMalformed => "head_malformed",
        HeadTooLarge => "head_too_large",
        HeaderTimeout => "header_timeout",
        HandshakeFailed => "handshake_failed",
        Disconnected => "disconnected",
        Reset => "reset",
        TransportFailed => "transport_failed",
        Shutdown => "shutdown",
        Panicked => "panicked",
    }
}

/// The whole of a connection: what [`Observer::on_connection_close`](crate::Observer::on_connection_close) is handed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionSummary {
    /// The connection.
    pub connection: Connection,
    /// How it ended.
    pub close: ConnectionClose,
    /// Bytes that were received. Above TLS, where there is some.
    pub received: u64,
    /// Bytes that were sent, which is not delivery.
    pub sent: u64,
    /// How many exchanges the server began on it.
    pub exchanges: u64,
    /// How many of those were upgrades: on HTTP/1 at most one, and the connection lived on as something else.
    pub upgrades: u64,
    /// The operating system's number of the first error of the transport, if it had one.
    pub os_error: Option<i32>,
    /// From acceptance to the end, if asked for by [`Interest::MARKS`](crate::Interest::MARKS).
    pub duration: Option<Duration>,
}

impl ConnectionSummary {
    pub(super) fn new(
        connection: Connection,
        close: ConnectionClose,
        duration: Option<Duration>,
    ) -> Self {
        let context = &connection.0;
        Self {
            close,
            received: context.facts.received(),
            sent: context.facts.sent(),
            exchanges: context.exchanges(),
            upgrades: context.upgrades(),
            os_error: context.facts.errno(),
            duration,
            connection,
        }
    }
}

/// What the verdict follows from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) sight: Sight,
    /// What of it bears on exchanges.
    pub(super) gone: Sight,
    /// What the server said.
    pub(super) told: Option<ConnectionReason>,
    pub(super) exchanges: u64,
    /// The connection ended before something on it did.
    pub(super) cut: bool,
    /// Something was sent that was no exchange's.
    pub(super) refused: bool,
}

impl Seen {
    pub(super) fn close(self) -> ConnectionClose {
        use ConnectionReason as Is;

        let Self { sight, gone, told, exchanges, refused, .. } = self;
        let cut = self.cut || sight.has(Sight::POISONED);
        // HTTP/2 has a preface of its own.
        let refused = refused && sight.has(Sight::SPEAKS_HTTP1);
        let by_peer = sight.has(Sight::EOF);
        let side = if by_peer { Initiator::Peer } else { Initiator::Local };
        let (reason, initiator, evidence) = match told {
            _ if sight.has(Sight::UNWOUND) => (Is::Panicked, Initiator::Local, Evidence::Unwind),
            Some(reason) => (reason, reason.initiator(), Evidence::Return),
            None if sight.has(Sight::RESET) => (Is::Reset, Initiator::Peer, Evidence::Io),
            None if sight.has(Sight::FAILED) => {
                (Is::TransportFailed, Initiator::Unknown, Evidence::Io)
            }
            None if cut && gone.has(Sight::EOF) => {
                (Is::Disconnected, Initiator::Peer, Evidence::Io)
            }
            None if cut => (Is::Shutdown, Initiator::Local, Evidence::Io),
            None if by_peer && exchanges == 0 => (Is::NoRequest, Initiator::Peer, Evidence::Io),
            None if refused => (Is::HeadRejected, Initiator::Local, Evidence::Io),
            None if exchanges > 0 => (Is::Complete, side, Evidence::Io),
            None => (Is::Shutdown, Initiator::Local, Evidence::Io),
        };
        ConnectionClose { reason, initiator, evidence }
    }
}

impl ConnectionClose {
    /// Of an upgraded stream whose task has let it go.
    pub(super) fn of_upgrade(sight: Sight, http2: bool, unwinding: bool) -> Self {
        let unwound = if unwinding { Sight::UNWOUND } else { Sight::NONE };
        let sight = sight.without(Sight::UNWOUND).and(unwound);
        // Over HTTP/1 the connection is the stream itself, whose task drops it as it likes.
        let cut = sight.has(Sight::CUT) || http2 && sight.has(Sight::DROPPED.and(Sight::EOF));
        let gone = sight;
        let seen = Seen { sight, gone, told: None, exchanges: 1, cut, refused: false }.close();
        let evidence = if sight == Sight::NONE { Evidence::Drop } else { seen.evidence };
        Self { evidence, ..seen }
    }
}

impl ConnectionReason {
    /// Something was open when the connection ended.
    pub(super) fn is_cut(self) -> bool {
        matches!(self, Self::Disconnected | Self::Shutdown)
    }

    /// Of what the server says.
    fn initiator(self) -> Initiator {
        match self {
            Self::HeadMalformed | Self::HeadTooLarge | Self::HeaderTimeout => Initiator::Local,
            _ => Initiator::Unknown,
        }
    }
}
