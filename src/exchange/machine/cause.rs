//! Why something ended, as far as a connection shows it: the table of causes.

use crate::{
    Disconnect,
    close::{Evidence, Initiator, Reason},
    conn::Sight,
};

/// Why a direction, or an exchange, failed, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) reason: Reason,
    pub(crate) initiator: Initiator,
    pub(crate) evidence: Evidence,
}

/// What is to be seen of the connection at the moment of a drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) sight: Sight,
    pub(crate) http2: bool,
    /// Nobody but the server can have dropped it.
    pub(crate) outermost: bool,
}

impl Cause {
    pub(crate) const PANICKED: Self =
        Self { reason: Reason::Panicked, initiator: Initiator::Local, evidence: Evidence::Unwind };

    pub(crate) const CANCELLED: Self =
        Self { reason: Reason::Cancelled, initiator: Initiator::Local, evidence: Evidence::Drop };

    pub(crate) const UNKNOWN: Self =
        Self { reason: Reason::Unknown, initiator: Initiator::Unknown, evidence: Evidence::Drop };

    const fn io(reason: Reason, initiator: Initiator) -> Self {
        Self { reason, initiator, evidence: Evidence::Io }
    }

    /// What the transport itself says; `None` when it is alive and well.
    pub(crate) fn seen(sight: Sight) -> Option<Self> {
        let peer_left = Self::left(sight);
        let dropped = || Self::io(Reason::Shutdown, Initiator::Local);
        peer_left.or_else(|| sight.has(Sight::DROPPED.and(Sight::CUT)).then(dropped))
    }

    /// The same but for what this side did.
    pub(crate) fn left(sight: Sight) -> Option<Self> {
        Some(if sight.has(Sight::RESET) {
            Self::io(Reason::Reset, Initiator::Peer)
        } else if sight.has(Sight::FAILED) {
            Self::io(Reason::TransportFailed, Initiator::Unknown)
        } else if sight.has(Sight::EOF) {
            Self::io(Reason::Disconnected, Initiator::Peer)
        } else {
            return None;
        })
    }

    /// Of what the server dropped by itself: a connection that lived on shows that it was this stream alone.
    pub(super) fn settled(sight: Sight) -> Self {
        Self::seen(sight).unwrap_or(Self::io(Reason::StreamReset, Initiator::Peer))
    }

    /// That the peer is gone, if it says so.
    pub(crate) fn disconnect(self) -> Option<Disconnect> {
        let Self { reason, evidence, .. } = self;
        let gone = matches!(reason, Reason::Disconnected | Reason::Reset | Reason::StreamReset);
        gone.then_some(Disconnect { reason, evidence })
    }
}

impl View {
    /// Whether the connection's next fact is to be waited for.
    pub(crate) fn is_open(self) -> bool {
        self.cause().is_none()
    }

    /// `None` when only the connection's next fact can tell: over HTTP/2 an aborted connection, a runtime that ends and a
    /// stream that was reset look alike at first.
    pub(super) fn cause(self) -> Option<Cause> {
        match Cause::seen(self.sight) {
            Some(cause) => Some(cause),
            None if !self.http2 => Some(Cause::CANCELLED),
            None if self.outermost => None,
            None => Some(Cause::UNKNOWN),
        }
    }
}
