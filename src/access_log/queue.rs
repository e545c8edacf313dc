//! Lines that wait to be written: one buffer that grows to a bound, and is swapped for an empty one.
//!
//! A line is copied under the lock, and nothing else is done there: no code of a user's, no allocation once the buffers have
//! grown, no write.

use std::{
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub(super) struct Queue {
    bounds: Bounds,
    waiting: Mutex<Waiting>,
    /// For the thread that writes: there is something, or it is to end.
    wake: Condvar,
    /// For who waits for its end.
    ended: Condvar,
}

#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    lines: usize,
    /// Since the last batch. As long as it is not zero no line is taken, so that these stood behind all that are.
    missed: u64,
    /// Of all times.
    lost: u64,
    errors: u64,
    closed: bool,
    ended: bool,
}

/// What came with a batch.
pub(super) struct Taken {
    /// Lines that stood behind it.
    pub(super) missed: u64,
    /// No more will come.
    pub(super) last: bool,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, waiting: Mutex::default(), wake: Condvar::new(), ended: Condvar::new() }
    }

    /// Adds a line, or counts it.
    pub(super) fn push(&self, line: &str) {
        let mut waiting = self.lock();
        if waiting.closed {
            waiting.lost += 1;
            return;
        }
        let was_idle = waiting.is_idle();
        let room = self.bounds.bytes.saturating_sub(waiting.bytes.len());
        if waiting.missed > 0 || waiting.lines >= self.bounds.lines || line.len() >= room {
            waiting.missed += 1;
            waiting.lost += 1;
        } else {
            waiting.bytes.extend_from_slice(line.as_bytes());
            waiting.bytes.push(b'\n');
            waiting.lines += 1;
        }
        drop(waiting);
        if was_idle {
            self.wake.notify_one();
        }
    }

    /// Waits until there is something, and takes all of it in exchange for an empty buffer.
    pub(super) fn take(&self, batch: &mut Vec<u8>) -> Taken {
        let waiting = self.lock();
        let waiting = self.wake.wait_while(waiting, |waiting| waiting.is_idle() && !waiting.closed);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut waiting.bytes, batch);
        waiting.lines = 0;
        Taken { missed: mem::take(&mut waiting.missed), last: waiting.closed }
    }

    /// A write or a flush has failed, and with it so many lines.
    pub(super) fn failed(&self, lines: u64) {
        let mut waiting = self.lock();
        waiting.errors += 1;
        waiting.lost += lines;
    }

    /// The thread is over, and so many of the lines that it had taken are not written: nobody takes what is left.
    pub(super) fn end(&self, unwritten: u64) {
        let mut waiting = self.lock();
        waiting.lost += unwritten + waiting.lines as u64;
        waiting.lines = 0;
        waiting.bytes = Vec::new();
        (waiting.closed, waiting.ended) = (true, true);
        drop(waiting);
        self.ended.notify_all();
    }

    /// Takes no more lines, and waits until the thread has ended: whether it has.
    pub(super) fn close(&self, patience: Duration) -> bool {
        let mut waiting = self.lock();
        waiting.closed = true;
        self.wake.notify_one();
        let waited = self.ended.wait_timeout_while(waiting, patience, |waiting| !waiting.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    pub(super) fn lost(&self) -> u64 {
        self.lock().lost
    }

    pub(super) fn errors(&self) -> u64 {
        self.lock().errors
    }

    /// Nothing that may panic runs under it.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_idle(&self) -> bool {
        self.lines == 0 && self.missed == 0
    }
}
