//! What a parked poll and those who call it share.
//!
//! Invariants:
//! 1. The outcome is set once, under the lock; whoever finds it set has lost and does nothing.
//! 2. A call that was in time is remembered until the waiter takes it, whether or not it waits already. Several are one.
//! 3. The waiter leaves its waker under the same lock under which it looks, so a call finds the waker or is found.
//! 4. After the last call nobody is in time, and who was before it has been told to the waiter: a deadline and a call never
//!    both believe that they won.
//!
//! Wakers are cloned, called and dropped when the lock is free: they are foreign code. One that panics harms nobody else.

use std::{mem, sync::PoisonError, task::Waker};

#[cfg(lifecycle_loom)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(lifecycle_loom))]
use std::sync::{Mutex, MutexGuard};

use super::Outcome;
use crate::observe::shield;

#[derive(Debug)]
pub(super) struct Signal(Mutex<Inside>);

#[derive(Debug)]
struct Inside {
    called: bool,
    deaf: bool,
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

impl Signal {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Inside { called: false, deaf: false, outcome: None, waker: None }))
    }

    /// Wakes the waiter, now or when it comes. Whether it was in time.
    pub(super) fn call(&self) -> bool {
        self.tell(|inside| {
            let in_time = inside.outcome.is_none() && !inside.deaf;
            inside.called |= in_time;
            in_time
        })
    }

    /// Ends the wait from outside. Whether this was the one to decide.
    pub(super) fn decide(&self, outcome: Outcome) -> bool {
        self.tell(|inside| {
            let first = inside.outcome.is_none();
            inside.outcome.get_or_insert(outcome);
            first
        })
    }

    /// The same by the waiter itself, which need not be woken to hear of it. Returns what was decided.
    pub(super) fn settle(&self, outcome: Outcome) -> Outcome {
        let mut inside = self.lock();
        let decided = *inside.outcome.get_or_insert(outcome);
        let waker = inside.waker.take();
        drop(inside);
        shield(|| drop(waker));
        decided
    }

    /// Leaves `waker` for the next call. Whether the wait is over.
    pub(super) fn look(&self, waker: &Waker) -> bool {
        let mut inside = self.lock();
        if inside.outcome.is_some() {
            return true;
        }
        if inside.waker.as_ref().is_some_and(|left| left.will_wake(waker)) {
            return false;
        }
        drop(inside);
        let waker = waker.clone();
        inside = self.lock();
        let old = inside.waker.replace(waker);
        let over = inside.outcome.is_some();
        drop(inside);
        shield(|| drop(old));
        over
    }

    /// Takes the call. Whether there was one.
    pub(super) fn take(&self) -> bool {
        mem::take(&mut self.lock().called)
    }

    /// Whether there is a call to take.
    pub(super) fn is_called(&self) -> bool {
        self.lock().called
    }

    /// Takes the call, and there will be no other: from here on nobody is in time.
    pub(super) fn last_call(&self) -> bool {
        let mut inside = self.lock();
        inside.deaf = true;
        mem::take(&mut inside.called)
    }

    /// Wakes the waiter if `change` says so.
    fn tell(&self, change: impl FnOnce(&mut Inside) -> bool) -> bool {
        let mut inside = self.lock();
        let told = change(&mut inside);
        let waker = if told { inside.waker.take() } else { None };
        drop(inside);
        if let Some(waker) = waker {
            shield(|| waker.wake());
        }
        told
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, lifecycle_loom))]
mod model;
