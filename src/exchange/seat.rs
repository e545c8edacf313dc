//! An exchange's place on its connection.

use std::sync::atomic::AtomicBool;
#[cfg(feature = "hyper")]
use std::sync::atomic::Ordering;

use super::machine::{Outlet, View};
use crate::{Connection, close::Reason, conn::Sight};

pub(crate) struct Seat {
    pub(super) place: Place,
    /// It was told that the peer is gone.
    pub(super) told: AtomicBool,
    /// The last buffer of the response is about to be handed over, and will be seen.
    pub(super) held: AtomicBool,
}

/// What a layer knows of the connection under an exchange.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Place {
    pub(crate) connection: Connection,
    /// Which exchange of the connection it is, from one on; known where the server calls.
    pub(crate) ordinal: Option<u64>,
    /// The server itself calls the layer.
    pub(crate) outermost: bool,
    pub(crate) http2: bool,
    /// Over HTTP/2 the buffers of the response are seen when they are let go.
    pub(crate) tracked: bool,
    /// The connection is to be watched for the exchange's sake.
    pub(crate) watches: bool,
    /// The exchange is not to outlive its client.
    pub(crate) cancels: bool,
}

impl Seat {
    pub(crate) fn take(mut place: Place) -> Self {
        let Place { outermost, http2, .. } = place;
        let context = &place.connection.0;
        if outermost {
            context.begin();
        }
        // An HTTP/2 server always reads, and drops what its client has left.
        place.watches = !http2 && context.watches(outermost, place.watches);
        place.cancels &= outermost && !http2;
        place.tracked &= http2;
        Self { place, told: AtomicBool::new(false), held: AtomicBool::new(false) }
    }

    pub(super) fn ordinal(&self) -> Option<u64> {
        self.place.ordinal
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.place.connection
    }

    pub(super) fn is_http2(&self) -> bool {
        self.place.http2
    }

    pub(crate) fn sight(&self) -> Sight {
        self.place.connection.0.sight()
    }

    pub(super) fn view(&self) -> View {
        View { sight: self.sight(), http2: self.place.http2, outermost: self.place.outermost }
    }

    pub(super) fn outlet(&self, last_frame: bool) -> Outlet {
        let Place { outermost, http2, tracked, .. } = self.place;
        let provable = if http2 { tracked && last_frame } else { outermost };
        // A response that is complete when there is nowhere to send it is cut.
        let seen = provable || outermost && self.has_ended();
        if seen { Outlet::Seen } else { Outlet::Released }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.sight().has(Sight::DROPPED)
    }

    /// The exchange is about to be closed by an upgrade.
    #[cold]
    pub(super) fn upgrade(&self) {
        if self.place.outermost {
            self.place.connection.0.upgrade();
        }
    }

    /// The exchange is closed.
    #[cold]
    pub(super) fn leave(&self, reason: Reason) {
        if self.place.outermost {
            self.place.connection.0.end(reason);
        }
    }

    /// Whether the last buffer of the response, which was just yielded, is to be seen.
    #[cfg(feature = "hyper")]
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether the response's buffers are of interest.
    #[cfg(feature = "hyper")]
    pub(crate) fn is_tracked(&self) -> bool {
        self.place.tracked
    }
}
