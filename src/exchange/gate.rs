//! Turn-taking: one at a time inside, and nobody ever waits.
//!
//! Hooks run inside. They must be serialised, must not run under a lock that anyone waits for, and may themselves report
//! (a hook that drops the body it was given does). So whoever comes while somebody is inside leaves its fact in a queue
//! and goes; whoever is inside works off the queue before it goes.
//!
//! Invariants:
//! 1. Whoever holds the inside has the turn. It is a `TryLock`: it cannot be waited for.
//! 2. Nothing is left behind. A newcomer queues, sets `waiting`, and then tries the lock; the holder releases the lock and
//!    then looks at `waiting`; a `SeqCst` fence stands between the two steps of each. Whichever fence comes first, either
//!    the newcomer finds the lock free or the holder finds the mark.
//! 3. A mark is taken back before the queue is, never after, so a fact queued meanwhile is marked anew.
//! 4. Facts of one reporter keep their order: nobody goes inside past a marked queue, but queues as well.
//! 5. The queue's own lock is held to add to it or to take all of it, never while the inside is at work.

use std::{mem, ops::DerefMut};

#[cfg(lifecycle_loom)]
use self::model::TryLock;
#[cfg(lifecycle_loom)]
use loom::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering, fence},
};
#[cfg(not(lifecycle_loom))]
use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering, fence},
};
#[cfg(not(lifecycle_loom))]
use try_lock::TryLock;

#[derive(Debug)]
pub(crate) struct Gate<Q, T> {
    inside: TryLock<T>,
    waiting: AtomicBool,
    queue: Mutex<Vec<Q>>,
}

impl<Q, T> Gate<Q, T> {
    #[inline]
    pub(crate) fn new(inside: T) -> Self {
        Self {
            inside: TryLock::new(inside),
            waiting: AtomicBool::new(false),
            queue: Mutex::new(Vec::new()),
        }
    }

    /// Goes inside, if nobody is there and nothing waits. Who was inside asks [`Self::has_waiting`] after it; who could
    /// not enter calls [`Self::queue`].
    #[inline]
    pub(crate) fn enter(&self) -> Option<impl DerefMut<Target = T>> {
        let inside = self.inside.try_lock()?;
        (!self.waiting.load(Ordering::Relaxed)).then_some(inside)
    }

    /// To be asked after being inside: whether [`Self::work_off`] is to be called, because something was queued meanwhile.
    #[inline]
    pub(crate) fn has_waiting(&self) -> bool {
        fence(Ordering::SeqCst);
        self.waiting.load(Ordering::Relaxed)
    }

    /// Lets `add` add to the queue. [`Self::work_off`] is to be called next.
    pub(crate) fn queue(&self, add: impl FnOnce(&mut Vec<Q>)) {
        add(&mut lock(&self.queue));
        self.waiting.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Works off what waits with `each`, unless somebody is inside, who then will. `each` may not panic.
    #[cold]
    pub(crate) fn work_off(&self, each: impl Fn(&mut T, Q)) {
        while self.waiting.load(Ordering::Relaxed) {
            let Some(mut inside) = self.inside.try_lock() else { return };
            self.waiting.store(false, Ordering::Relaxed);
            let queued = mem::take(&mut *lock(&self.queue));
            for queued in queued {
                each(&mut inside, queued);
            }
            drop(inside);
            fence(Ordering::SeqCst);
        }
    }
}

/// A poisoned queue is as good as any: nothing that is done under the lock leaves it half done.
#[cfg(not(lifecycle_loom))]
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(lifecycle_loom)]
fn lock<T>(mutex: &Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(lifecycle_loom))]
    #[test]
    fn a_fact_reported_from_inside_is_worked_off_before_its_reporter_goes() {
        let gate = Gate::new(Vec::new());
        let mut inside = gate.enter().expect("nobody is inside");
        inside.push(1);
        for fact in [2, 3] {
            assert!(gate.enter().is_none());
            gate.queue(|queue| queue.push(fact));
            gate.work_off(Vec::push);
        }
        inside.push(10);
        drop(inside);
        assert!(gate.enter().is_none(), "nobody goes inside past what waits");
        assert!(gate.has_waiting());
        gate.work_off(Vec::push);
        assert_eq!(*gate.enter().expect("nobody is inside"), [1, 10, 2, 3]);
    }
}

/// The interleavings of two and of three reporters with up to four preemptions: nothing is lost, nobody meets anybody
/// inside, and each reporter's facts keep their order. `scripts/loom` runs these.
#[cfg(lifecycle_loom)]
mod model {
    use std::ops::{Deref, DerefMut};

    use loom::sync::atomic::{AtomicBool, Ordering};

    /// What `try_lock` does, with the same orderings, where loom sees it. A compare-exchange for its swap: a swap that
    /// fails writes what it read, for which loom has no order, though the language has.
    #[derive(Debug)]
    pub(super) struct TryLock<T> {
        locked: AtomicBool,
        value: std::sync::Mutex<T>,
    }

    pub(super) struct Locked<'a, T> {
        locked: &'a AtomicBool,
        value: std::sync::MutexGuard<'a, T>,
    }

    impl<T> TryLock<T> {
        pub(super) fn new(value: T) -> Self {
            Self { locked: AtomicBool::new(false), value: std::sync::Mutex::new(value) }
        }

        pub(super) fn try_lock(&self) -> Option<Locked<'_, T>> {
            let taken =
                self.locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
            taken
                .is_ok()
                .then(|| Locked { locked: &self.locked, value: self.value.lock().unwrap() })
        }
    }

    impl<T> Deref for Locked<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.value
        }
    }

    impl<T> DerefMut for Locked<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.value
        }
    }

    impl<T> Drop for Locked<'_, T> {
        fn drop(&mut self) {
            self.locked.store(false, Ordering::Release);
        }
    }

    #[cfg(test)]
    mod tests {
        use loom::{cell::UnsafeCell, sync::Arc, thread};

        use super::super::Gate;

        /// Tells loom of each access, so that two that are not ordered fail the model.
        struct Seen {
            facts: Vec<(u8, u8)>,
            access: UnsafeCell<()>,
        }

        fn report(gate: &Gate<(u8, u8), Seen>, fact: (u8, u8)) {
            let see = |seen: &mut Seen, fact| {
                seen.access.with_mut(|_| ());
                seen.facts.push(fact);
            };
            if let Some(mut inside) = gate.enter() {
                see(&mut inside, fact);
                drop(inside);
                if !gate.has_waiting() {
                    return;
                }
            } else {
                gate.queue(|queue| queue.push(fact));
            }
            gate.work_off(see);
        }

        fn run(reporters: u8, facts: u8) {
            loom::model(move || {
                let seen = Seen { facts: Vec::new(), access: UnsafeCell::new(()) };
                let gate = Arc::new(Gate::new(seen));
                let threads: Vec<_> = (1..reporters)
                    .map(|who| {
                        let gate = Arc::clone(&gate);
                        thread::spawn(move || (0..facts).for_each(|n| report(&gate, (who, n))))
                    })
                    .collect();
                (0..facts).for_each(|n| report(&gate, (0, n)));
                for thread in threads {
                    thread.join().unwrap();
                }
                let seen = gate.inside.try_lock().unwrap();
                assert_eq!(seen.facts.len(), usize::from(reporters * facts));
                for who in 0..reporters {
                    let order = seen.facts.iter().filter(|fact| fact.0 == who).map(|fact| fact.1);
                    assert!(order.eq(0..facts));
                }
            });
        }

        #[test]
        fn two_reporters_with_two_facts_each() {
            run(2, 2);
        }

        #[test]
        fn three_reporters_with_one_fact_each() {
            run(3, 1);
        }
    }
}
