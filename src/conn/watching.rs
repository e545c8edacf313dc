//! Whether a peer would be seen to leave, and the watch that sees it: one for a connection, polled by the outermost exchange
//! that waits.

use std::{
    fmt, mem,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as Task, Poll},
};

use super::{facts::Sight, lock::lock};
use crate::close::words;

/// Whether it would be noticed that the client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectWatch {
    /// It would be noticed now.
    Armed,
    /// It would not, and why.
    Blind(Blind),
}

/// Why it would not be noticed that the client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Blind {
    /// Nothing watches the connection. A layer sees bodies and drops alone.
    NoConnection,
    /// The connection is seen, but cannot be watched: it is neither TCP nor a Unix socket that was wrapped as such, or the
    /// system is not Linux. What the server reads is seen: mostly that is enough, and where the server does not read, as
    /// behind a pipelined byte or a body that nobody reads, it is not.
    NotWatchable,
    /// The client has closed its side, which is allowed it: only a write will show whether it is gone.
    HalfClosed,
    /// The response is complete: a client that leaves now leaves as it should.
    Over,
}

words! {
    Blind {
        NoConnection => "no_connection",
        NotWatchable => "not_watchable",
        HalfClosed => "half_closed",
        Over => "over",
    }
}

/// Sees a peer leave without reading.
pub(crate) trait Watch: Send {
    /// `None` when it cannot see any more.
    fn poll(&mut self, task: &mut Task<'_>) -> Poll<Option<Sight>>;

    /// Has the socket end by a reset, whatever was sent.
    fn reset(&self);
}

pub(super) struct Watching {
    slot: Mutex<Slot>,
    /// The outermost layer polls it.
    by_outermost: AtomicBool,
}

enum Slot {
    Nothing,
    Looks(Box<dyn Watch>),
    HasSeen(Box<dyn Watch>),
}

impl Watching {
    pub(super) fn new(watch: Option<Box<dyn Watch>>) -> Self {
        let slot = Mutex::new(watch.map_or(Slot::Nothing, Slot::Looks));
        Self { slot, by_outermost: AtomicBool::new(false) }
    }

    /// Another request: nobody polls it yet.
    pub(super) fn rest(&self) {
        self.by_outermost.store(false, Ordering::Relaxed);
    }

    /// Whether an exchange is to poll it, which wakes one task: the outermost does it for all.
    pub(super) fn takes(&self, outermost: bool, wanted: bool) -> bool {
        if outermost {
            self.by_outermost.store(wanted, Ordering::Relaxed);
            return wanted;
        }
        wanted && !self.by_outermost.load(Ordering::Relaxed)
    }

    /// Looks whether the peer has left, and has the task woken when it does.
    pub(super) fn look(&self, task: &mut Task<'_>) -> Sight {
        let mut slot = lock(&self.slot);
        let Slot::Looks(watch) = &mut *slot else { return Sight::NONE };
        let Poll::Ready(seen) = watch.poll(task) else { return Sight::NONE };
        *slot = match mem::replace(&mut *slot, Slot::Nothing) {
            Slot::Looks(watch) if seen.is_some() => Slot::HasSeen(watch),
            _ => Slot::Nothing,
        };
        seen.unwrap_or(Sight::NONE)
    }

    pub(super) fn is_looking(&self) -> bool {
        matches!(&*lock(&self.slot), Slot::Looks(_))
    }

    /// Has the socket end by a reset, if it is watched.
    pub(super) fn reset(&self) {
        if let Slot::Looks(watch) | Slot::HasSeen(watch) = &*lock(&self.slot) {
            watch.reset();
        }
    }

    /// Lets go of the socket.
    pub(super) fn end(&self) {
        *lock(&self.slot) = Slot::Nothing;
    }
}
