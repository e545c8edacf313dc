//! An exchange's place on its connection: what it reports to it, and what it is told by it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Context,
};

use http::HeaderMap;

use super::{
    link::Link,
    machine::{Cause, Fact, Outlet, View},
    report::Report,
};
use crate::{
    Connection,
    close::{Evidence, Reason},
    conn::Sight,
};

pub(crate) struct Seat {
    place: Place,
    /// It was told that the peer is gone.
    told: AtomicBool,
    /// The last buffer of the response is about to be handed over, and will be seen.
    held: AtomicBool,
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

    pub(crate) fn sight(&self) -> Sight {
        self.place.connection.0.sight()
    }

    fn view(&self) -> View {
        View { sight: self.sight(), http2: self.place.http2, outermost: self.place.outermost }
    }

    fn outlet(&self, last_frame: bool) -> Outlet {
        let Place { outermost, http2, tracked, .. } = self.place;
        let provable = if http2 { tracked && last_frame } else { outermost };
        // A response that is complete when there is nowhere to send it is cut.
        let seen = provable || outermost && self.has_ended();
        if seen { Outlet::Seen } else { Outlet::Released }
    }

    fn has_ended(&self) -> bool {
        self.sight().has(Sight::DROPPED)
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

/// Reports that the response is complete, by its `last_frame` or otherwise.
pub(crate) fn complete(
    link: Link,
    evidence: Evidence,
    trailers: Option<&HeaderMap>,
    last_frame: bool,
) {
    let outlet = outlet(&link, last_frame);
    link.report(&Report::response_end(evidence, outlet, trailers));
    hand_over(link, outlet);
}

/// Reports a response after which the connection speaks another protocol.
pub(crate) fn upgraded(link: Link) {
    let outlet = outlet(&link, false);
    link.report(&Fact::Upgraded(outlet).into());
    hand_over(link, outlet);
}

#[inline]
fn outlet(link: &Link, last_frame: bool) -> Outlet {
    link.outside().seat().map_or(Outlet::Released, |seat| seat.outlet(last_frame))
}

#[inline]
fn hand_over(link: Link, outlet: Outlet) {
    if outlet == Outlet::Seen {
        await_flush(link);
    }
}

#[cold]
fn await_flush(link: Link) {
    let Some(seat) = link.outside().seat() else { return };
    if seat.place.http2 && !seat.has_ended() {
        return seat.held.store(true, Ordering::Relaxed);
    }
    let context = Arc::clone(&seat.place.connection.0);
    context.await_flush(link.waiter());
}

/// Reports that the future or the body was dropped before its end.
pub(crate) fn lost(link: &Link, unwinding: bool) {
    let seat = link.outside().seat();
    let view = seat.map(Seat::view);
    link.report(&Fact::Dropped { unwinding, view }.into());
    if let (Some(seat), Some(view)) = (seat, view) {
        if !unwinding && view.is_open() {
            seat.place.connection.0.await_cause(Arc::clone(link).waiter());
        }
    }
}

/// The last buffer of a tracked response was let go. It may be called under a lock of h2.
#[cfg(feature = "hyper")]
pub(crate) fn taken(link: Link, all: bool) {
    if let Some(seat) = link.outside().seat() {
        let context = Arc::clone(&seat.place.connection.0);
        context.taken(link.waiter(), all);
    }
}

/// Looks whether the peer is gone, while there is nothing else to do. Whether the exchange is to be cancelled: then the
/// connection has been made to fail, so that nothing that follows is taken for an answer, or for the end of one that it `answers`
/// with already.
#[cold]
pub(crate) fn look(link: &Link, answers: bool, task: &mut Context<'_>) -> bool {
    let Some(seat) = link.outside().seat() else { return false };
    let context = &seat.place.connection.0;
    if seat.place.watches {
        context.look(task);
    }
    let gone = Cause::left(seat.sight()).filter(|cause| cause.disconnect().is_some());
    let Some(cause) = gone else { return false };
    if !seat.told.swap(true, Ordering::Relaxed) {
        // Layers further in had their turn before this was known.
        task.waker().wake_by_ref();
        link.report(&Fact::PeerGone(cause).into());
    }
    if seat.place.cancels {
        context.poison(answers);
    }
    seat.place.cancels
}
