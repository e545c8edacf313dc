//! Something that is told once, to any number who wait.
//!
//! 1. It is marked as told before anybody is woken, and who waits looks at the mark after it has registered: so either finds
//!    the other.
//! 2. Who is registered, and is polled by the same task again, takes no lock: only the first poll of a wait does, and its end.
//!    Those who wait are in shards, so that they do not wait for each other.

use std::{
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
};

use slab::Slab;

use crate::{conn::lock, observe::shield};

/// A power of two.
const SHARDS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Signal {
    told: AtomicBool,
    waiting: [Shard; SHARDS],
}

/// Alone on its line of the cache.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(Mutex<Slab<Waker>>);

/// One that waits. It may be moved while it does.
#[derive(Debug)]
pub(super) struct Waiter {
    signal: Arc<Signal>,
    place: Option<Place>,
}

#[derive(Debug)]
struct Place {
    shard: usize,
    key: usize,
    /// A copy of what is there.
    waker: Waker,
}

impl Signal {
    pub(super) fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    /// Wakes everybody who waits, and lets nobody wait any more.
    pub(super) fn tell(&self) {
        self.told.store(true, Ordering::Release);
        for shard in &self.waiting {
            let waiting = mem::take(&mut *lock(&shard.0));
            for (_, waker) in waiting {
                // It is foreign code.
                shield(|| waker.wake());
            }
        }
    }
}

impl Waiter {
    pub(super) fn new(signal: &Arc<Signal>) -> Self {
        Self { signal: Arc::clone(signal), place: None }
    }

    pub(super) fn is_told(&self) -> bool {
        self.signal.is_told()
    }

    /// Whether it is told. If not, the task is woken when it is.
    #[inline]
    pub(super) fn poll(&mut self, task: &Context<'_>) -> bool {
        let registered = self.place.as_ref().is_some_and(|at| at.waker.will_wake(task.waker()));
        if !registered && !self.is_told() {
            self.register(task.waker().clone());
        }
        self.is_told()
    }

    #[inline(never)]
    fn register(&mut self, waker: Waker) {
        let kept = waker.clone();
        let shard = match &self.place {
            Some(place) => place.shard,
            None => scatter(std::ptr::from_ref(self).addr()),
        };
        // What is dropped, or may be, is so outside of the lock.
        let mut old = None;
        let mut waiting = lock(&self.signal.waiting[shard].0);
        let there =
            self.place.as_ref().and_then(|place| Some((place.key, waiting.get_mut(place.key)?)));
        let key = match there {
            Some((key, there)) => {
                old = Some(mem::replace(there, waker));
                key
            }
            None => waiting.insert(waker),
        };
        drop(waiting);
        drop(old);
        self.place = Some(Place { shard, key, waker: kept });
    }
}

/// Addresses differ in some bits in the middle.
fn scatter(address: usize) -> usize {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = (address as u64).wrapping_mul(GOLDEN) >> 32;
    usize::try_from(mixed).unwrap_or_default() % SHARDS
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(Place { shard, key, .. }) = self.place.take() {
            let waiting = &self.signal.waiting[shard].0;
            // Once it is told the key may be that of somebody who came too late to wait.
            let gone = lock(waiting).try_remove(key);
            drop(gone);
        }
    }
}
