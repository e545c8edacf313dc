//! How an exchange leaves its wrappers: what they report that its connection is to know, or may know more of.

use std::{
    sync::{Arc, atomic::Ordering},
    task::Context,
};

use http::HeaderMap;

use super::{
    link::Link,
    machine::{Cause, Fact, Outlet},
    report::Report,
    seat::Seat,
};
use crate::close::Evidence;

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
