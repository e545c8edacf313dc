//! When a connection is over: once its transport is dropped, all exchanges that its server holds are closed, and nobody can
//! begin another, whichever is last.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
};

use super::{Context, Hears};
use crate::{
    Reason,
    conn::{
        Connection, ConnectionClose, ConnectionReason, ConnectionSummary, close::Seen,
        facts::Sight, lock::lock,
    },
};

/// Keeps a connection open: whoever has it may begin an exchange. A task of an HTTP/2 stream may do so when the transport is
/// gone.
pub(crate) struct Hold(Arc<Context>);

impl Hold {
    pub(crate) fn new(context: &Arc<Context>) -> Arc<Self> {
        context.open.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self(Arc::clone(context)))
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection(Arc::clone(&self.0))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Context {
    pub(crate) fn exchanges(&self) -> u64 {
        self.exchanges.load(Ordering::Relaxed)
    }

    pub(crate) fn upgrades(&self) -> u64 {
        self.upgraded.load(Ordering::Relaxed)
    }

    /// The server calls its service for another request. Which it is, from one on.
    pub(crate) fn arrive(&self, http2: bool) -> u64 {
        if http2 {
            self.http2.store(true, Ordering::Relaxed);
        }
        self.watching.rest();
        self.exchanges.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// An exchange that the server holds begins: it keeps the connection open.
    pub(crate) fn begin(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.exchanges_open.fetch_add(1, Ordering::Relaxed);
    }

    /// An exchange that the server held is closed.
    pub(crate) fn end(self: &Arc<Self>, reason: Reason) {
        let cut = match reason {
            // Its task may see the end of the connection before the transport is dropped.
            Reason::Disconnected | Reason::Shutdown => true,
            // HTTP/1 has no other way to say so.
            Reason::ServiceFailed | Reason::ResponseFailed | Reason::LengthMismatch => {
                !self.is_http2()
            }
            _ => false,
        };
        if cut {
            self.cut.store(true, Ordering::Relaxed);
        }
        // What is sent after an exchange that broke may be somebody's answer to that.
        let answered = if reason.is_complete() { self.facts.sent() } else { u64::MAX };
        self.answered.store(answered, Ordering::Relaxed);
        self.exchanges_open.fetch_sub(1, Ordering::AcqRel);
        self.leave();
    }

    /// It is about to be closed by an upgrade: whoever hears of that finds it counted.
    pub(crate) fn upgrade(&self) {
        self.upgraded.fetch_add(1, Ordering::Relaxed);
    }

    /// The task of an upgraded stream begins. Who is to hear of its end.
    pub(crate) fn guard(&self) -> Option<Arc<dyn Hears>> {
        self.guards.fetch_add(1, Ordering::Relaxed);
        lock(&self.hears).clone()
    }

    /// It ends.
    pub(crate) fn unguard(&self) {
        self.guards.fetch_sub(1, Ordering::Relaxed);
    }

    /// How an upgraded stream ended whose task lets it go now.
    pub(crate) fn upgrade_close(&self, unwinding: bool) -> ConnectionClose {
        let close = ConnectionClose::of_upgrade(self.facts.sight(), self.is_http2(), unwinding);
        if close.reason.is_cut() {
            self.cut.store(true, Ordering::Relaxed);
        }
        close
    }

    /// Upgraded streams that live. On HTTP/1 the connection itself is one.
    pub(crate) fn open_upgrades(&self) -> u64 {
        let upgraded = self.upgrades() > 0 && !self.is_http2();
        let itself = upgraded && !self.facts.sight().has(Sight::DROPPED);
        self.guards.load(Ordering::Relaxed).max(u64::from(itself))
    }

    /// Exchanges that the server holds.
    pub(crate) fn open_exchanges(&self) -> u64 {
        self.exchanges_open.load(Ordering::Acquire) as u64
    }

    /// What the server says of the end of the connection, which is more than its transport shows.
    pub(crate) fn tell(&self, reason: ConnectionReason) {
        let _ = self.told.set(reason);
    }

    /// Something that kept it open does no more.
    fn leave(self: &Arc<Self>) {
        if self.open.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let sent = self.facts.sent();
        let seen = Seen {
            sight: self.facts.sight(),
            gone: self.sight(),
            told: self.told.get().copied(),
            exchanges: self.exchanges(),
            cut: self.cut.load(Ordering::Relaxed),
            refused: self.upgrades() == 0 && sent > self.answered.load(Ordering::Relaxed),
        };
        let duration = self.began.map(|began| self.clock.now() - began);
        let connection = Connection(Arc::clone(self));
        let summary = ConnectionSummary::new(connection, seen.close(), duration);
        let hears = lock(&self.hears).take();
        if let Some(hears) = hears {
            hears.closed(&summary);
        }
    }

    /// The transport is dropped.
    pub(crate) fn dropped(self: &Arc<Self>) {
        let unwinding = if thread::panicking() { Sight::UNWOUND } else { Sight::NONE };
        self.facts.see(Sight::DROPPED.and(unwinding));
        self.unwatch();
        *lock(&self.task) = None;
        let streams = self.is_http2() && self.guards.load(Ordering::Relaxed) > 0;
        if streams || self.open_exchanges() > 0 {
            self.cut.store(true, Ordering::Relaxed);
        }
        self.queue.end();
        self.settle();
        self.leave();
    }
}
