//! Turn-taking: one at a time inside, and nobody ever waits.
//!
//! Hooks run inside. They must be serialised, must not run under a lock that anyone waits for, and may themselves report
//! (a hook that drops the body it was given does). So whoever comes while somebody is inside leaves its fact in a queue and goes;
//! whoever is inside works off the queue before it leaves.
//!
//! Invariants:
//! 1. Only the holder of the turn goes inside. `turn` decides, by one atomic variable; the mutex around the inside is
//!    how safe Rust is told so, and is never contended.
//! 2. Nothing is left behind. A fact is queued *before* `WAITING` is set, and the turn is given back by a
//!    compare-exchange that fails while `WAITING` is set. So either the holder sees the mark and looks into the queue
//!    once more, or the turn was free when the mark was set and the newcomer holds it now. (Two variables, a turn and
//!    a flag, would need a store-load fence here; one needs none.)
//! 3. The queue's lock is held for a push or a pop, never while the inside is at work.
//! 4. Facts of one reporter keep their order: it goes only when its fact is queued and marked, and the turn is not given
//!    back before a marked queue is empty.

use std::collections::VecDeque;

#[cfg(loom)]
use loom::sync::{
    Mutex,
    atomic::{AtomicU8, Ordering},
};
#[cfg(not(loom))]
use std::sync::{
    Mutex,
    atomic::{AtomicU8, Ordering},
};

const FREE: u8 = 0;
const TAKEN: u8 = 1;
const WAITING: u8 = 2;

#[derive(Debug)]
pub(crate) struct Gate<Q, T: ?Sized> {
    turn: AtomicU8,
    queue: Mutex<VecDeque<Q>>,
    inside: std::sync::Mutex<T>,
}

impl<Q, T> Gate<Q, T> {
    pub(crate) fn new(inside: T) -> Self {
        Self {
            turn: AtomicU8::new(FREE),
            queue: Mutex::new(VecDeque::new()),
            inside: std::sync::Mutex::new(inside),
        }
    }
}

impl<Q, T: ?Sized> Gate<Q, T> {
    /// Runs `now` inside if nobody is there, else lets `later` add to the queue, which whoever is inside works off with
    /// `each`. None of the three may panic.
    #[inline]
    pub(crate) fn enter(
        &self,
        now: impl FnOnce(&mut T),
        later: impl FnOnce(&mut VecDeque<Q>),
        each: impl Fn(&mut T, Q),
    ) {
        if self.turn.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            self.inside(now);
            if self.give_back() {
                return;
            }
        } else {
            later(&mut lock(&self.queue));
            if self.turn.fetch_or(TAKEN | WAITING, Ordering::AcqRel) & TAKEN != 0 {
                return;
            }
        }
        self.work_off(each);
    }

    #[cold]
    fn work_off(&self, each: impl Fn(&mut T, Q)) {
        loop {
            self.turn.fetch_and(!WAITING, Ordering::AcqRel);
            loop {
                let next = lock(&self.queue).pop_front();
                let Some(queued) = next else { break };
                self.inside(|inside| each(inside, queued));
            }
            if self.give_back() {
                return;
            }
        }
    }

    #[inline]
    fn give_back(&self) -> bool {
        self.turn.compare_exchange(TAKEN, FREE, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    #[inline]
    fn inside(&self, work: impl FnOnce(&mut T)) {
        let free = self.inside.try_lock();
        debug_assert!(free.is_ok(), "only the holder of the turn goes inside");
        if let Ok(mut inside) = free {
            work(&mut inside);
        }
    }
}

/// A poisoned queue is as good as any: a push or a pop leaves it whole.
#[cfg(not(loom))]
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(loom)]
fn lock<T>(mutex: &Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(loom))]
    #[test]
    fn a_fact_reported_from_inside_is_worked_off_before_the_turn_is_given_back() {
        let gate = Gate::new(Vec::new());
        let report = |fact: u32| {
            gate.enter(|seen| seen.push(fact), |queue| queue.push_back(fact), Vec::push);
        };
        gate.enter(
            |seen| {
                seen.push(1);
                report(2);
                report(3);
                seen.push(10);
            },
            |_| unreachable!("nobody is inside"),
            Vec::push,
        );
        report(4);
        gate.inside(|seen| assert_eq!(*seen, [1, 10, 2, 3, 4]));
    }

    /// Every interleaving of two and of three reporters: nothing is lost, nobody meets anybody inside, and each
    /// reporter's facts keep their order. `scripts/loom` runs these.
    #[cfg(loom)]
    mod model {
        use loom::{cell::UnsafeCell, sync::Arc, thread};

        use super::*;

        /// Tells loom of each access, so that two that are not ordered fail the model.
        struct Seen {
            facts: Vec<(u8, u8)>,
            access: UnsafeCell<()>,
        }

        fn report(gate: &Gate<(u8, u8), Seen>, fact: (u8, u8)) {
            let inside = |seen: &mut Seen, fact| {
                seen.access.with_mut(|_| ());
                seen.facts.push(fact);
            };
            gate.enter(|seen| inside(seen, fact), |queue| queue.push_back(fact), inside);
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
                gate.inside(|seen| {
                    assert_eq!(seen.facts.len(), usize::from(reporters * facts));
                    for who in 0..reporters {
                        let order =
                            seen.facts.iter().filter(|fact| fact.0 == who).map(|fact| fact.1);
                        assert!(order.eq(0..facts));
                    }
                });
            });
        }

        #[test]
        fn two_reporters_with_three_facts_each() {
            run(2, 3);
        }

        #[test]
        fn three_reporters_with_one_fact_each() {
            run(3, 1);
        }
    }
}
