//! Exchanges that wait for a fact of their connection.
//!
//! What is known is noted where the transport is polled and where buffers are let go, which for HTTP/2 may be under a lock
//! of h2: there nothing is called, and nothing of a user's is dropped. Who is to be told is taken out under the queue's own
//! lock, and told after it.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{facts::Sight, lock::lock};

/// An exchange that waits.
pub(crate) trait Waiter: Send + Sync {
    /// Its response is in the hands of the operating system.
    fn flushed(&self);
    /// Its response was taken, and nothing will prove that it was flushed.
    fn released(&self);
    /// It was dropped, or cut, and this was seen of the connection; `None` when nothing was that could tell why.
    fn settled(&self, sight: Option<Sight>);
}

pub(super) type Waiting = Arc<dyn Waiter>;

#[derive(Default)]
pub(super) struct Queue {
    /// Somebody is in it.
    waiting: AtomicBool,
    /// Somebody looks after it.
    attended: AtomicBool,
    lists: Mutex<Lists>,
}

#[derive(Default)]
struct Lists {
    /// Of HTTP/1, in the order of their responses: they hear of the next flush.
    flush: Vec<Waiting>,
    /// Of HTTP/2: their last bytes were taken, and flushed since, or not yet.
    taken: Vec<(Waiting, bool)>,
    /// Of HTTP/2: dropped or cut when the transport had been polled so often.
    cause: Vec<(Waiting, u64)>,
    /// The transport is dropped: nothing more will come.
    over: bool,
}

/// How many may wait for a flush, or for a cause. A connection has more only if its peer pipelines without reading, or resets
/// streams faster than the connection is polled. What is taken is bounded by what h2 has buffered.
const MAX_WAITING: usize = 1024;

impl Queue {
    /// `waiter` hears when all that was sent so far is flushed.
    pub(super) fn await_flush(&self, waiter: Waiting, sight: impl FnOnce() -> Sight) {
        let mut lists = self.lists();
        if lists.over {
            drop(lists);
            waiter.settled(Some(sight()));
        } else if lists.flush.len() >= MAX_WAITING {
            drop(lists);
            waiter.released();
        } else {
            lists.flush.push(waiter);
            self.waiting.store(true, Ordering::Release);
        }
    }

    /// `waiter` hears what the connection shows after `polls`. Whether it waits: else it was told.
    pub(super) fn await_cause(
        &self,
        waiter: Waiting,
        polls: u64,
        sight: impl FnOnce() -> Sight,
    ) -> bool {
        let mut lists = self.lists();
        if lists.over || lists.cause.len() >= MAX_WAITING {
            let seen = lists.over.then(sight);
            drop(lists);
            waiter.settled(seen);
            return false;
        }
        lists.cause.push((waiter, polls));
        self.waiting.store(true, Ordering::Release);
        true
    }

    /// The last of a response was let go: all of it taken, or cut. It tells nobody. Whether the transport is dropped, so that
    /// whoever would tell has passed.
    pub(super) fn taken(&self, waiter: Waiting, polls: u64, all: bool) -> bool {
        let mut lists = self.lists();
        if all {
            lists.taken.push((waiter, false));
        } else {
            lists.cause.push((waiter, polls));
        }
        self.waiting.store(true, Ordering::Release);
        lists.over
    }

    /// All that was sent is flushed. Of HTTP/2 it tells nobody.
    pub(super) fn flushed(&self) {
        if !self.waiting.load(Ordering::Acquire) {
            return;
        }
        let mut lists = self.lists();
        for (_, flushed) in &mut lists.taken {
            *flushed = true;
        }
        let flushed = mem::take(&mut lists.flush);
        self.leave(lists);
        for waiter in flushed {
            waiter.flushed();
        }
    }

    /// Tells those of whom something is known now. Whether others wait still.
    pub(super) fn settle(&self, polls: u64, sight: Sight) -> bool {
        if !self.waiting.load(Ordering::Acquire) {
            return false;
        }
        let mut lists = self.lists();
        let over = lists.over;
        let flushed = extract(&mut lists.taken, |(_, flushed)| *flushed);
        let mut settled = extract(&mut lists.cause, |(_, at)| over || *at != polls);
        let mut cut = Vec::new();
        if over {
            cut = mem::take(&mut lists.flush);
            settled.extend(lists.taken.drain(..).map(|(waiter, _)| (waiter, 0)));
        }
        let more = self.leave(lists);
        for (waiter, _) in flushed {
            waiter.flushed();
        }
        for waiter in cut.into_iter().chain(settled.into_iter().map(|(waiter, _)| waiter)) {
            waiter.settled(Some(sight));
        }
        more
    }

    /// The transport is dropped. [`Self::settle`] is to be called next.
    pub(super) fn end(&self) {
        let mut lists = self.lists();
        lists.over = true;
        self.leave(lists);
    }

    /// Whether there is something to look after, which the caller then does.
    pub(super) fn attend(&self) -> bool {
        self.waiting.load(Ordering::Acquire) && !self.attended.swap(true, Ordering::AcqRel)
    }

    /// Whether somebody looks after it.
    pub(super) fn is_attended(&self) -> bool {
        self.attended.load(Ordering::Acquire)
    }

    /// Whoever looked after it does no more. Unless all is `settled`, of those who wait still nothing could be known.
    pub(super) fn attended(&self, settled: bool) {
        let mut lists = self.lists();
        let given_up = !settled && !lists.over;
        let unsettled = if given_up { mem::take(&mut lists.cause) } else { Vec::new() };
        self.attended.store(false, Ordering::Release);
        self.leave(lists);
        for (waiter, _) in unsettled {
            waiter.settled(None);
        }
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        lock(&self.lists)
    }

    /// Whether there is more to wait for.
    fn leave(&self, lists: MutexGuard<'_, Lists>) -> bool {
        let more = !(lists.flush.is_empty() && lists.cause.is_empty() && lists.taken.is_empty());
        self.waiting.store(more, Ordering::Release);
        drop(lists);
        more
    }
}

/// `extract_if` of a later Rust.
fn extract<T>(list: &mut Vec<T>, which: impl Fn(&T) -> bool) -> Vec<T> {
    let (out, rest) = mem::take(list).into_iter().partition(which);
    *list = rest;
    out
}
