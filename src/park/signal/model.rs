//! Calls, deciders and a deadline against one waiter: one outcome, and nobody who was in time is missed. `scripts/loom` runs these.

use std::{
    future::poll_fn,
    task::{Poll, Wake, Waker},
};

use loom::{
    future::block_on,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use super::{Outcome, Signal};

/// What is parked for, and what it is parked on.
struct Park {
    signal: Signal,
    source: AtomicBool,
}

impl Park {
    fn new() -> Arc<Self> {
        Arc::new(Self { signal: Signal::new(), source: AtomicBool::new(false) })
    }

    /// Puts something into the source and calls. Whether that was in time.
    fn publish(&self) -> bool {
        self.source.store(true, Ordering::Relaxed);
        self.signal.call()
    }

    fn check(&self) -> bool {
        self.source.load(Ordering::Relaxed)
    }

    /// Waits as a slot does, without a deadline.
    async fn wait(&self) -> Outcome {
        let mut first = true;
        poll_fn(|cx| {
            if self.signal.look(cx.waker()) {
                return Poll::Ready(());
            }
            if (std::mem::take(&mut first) | self.signal.take()) && self.check() {
                self.signal.settle(Outcome::Woken(()));
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
        self.signal.settle(Outcome::Closed)
    }

    /// What a slot does when its deadline comes.
    fn expire(&self) -> Outcome {
        if self.signal.last_call() && self.check() {
            return self.signal.settle(Outcome::Woken(()));
        }
        self.signal.settle(Outcome::Deadline)
    }
}

fn spawn<T: 'static>(
    park: &Arc<Park>,
    run: impl FnOnce(&Park) -> T + 'static,
) -> thread::JoinHandle<T> {
    let park = Arc::clone(park);
    thread::spawn(move || run(&park))
}

#[test]
fn what_is_published_before_during_or_after_the_first_check_is_found() {
    loom::model(|| {
        let park = Park::new();
        let publishes = spawn(&park, Park::publish);
        assert_eq!(block_on(park.wait()), Outcome::Woken(()));
        publishes.join().unwrap();
        assert!(!park.signal.call(), "it is over");
    });
}

#[test]
fn of_a_call_and_a_deadline_one_wins_and_both_know_which() {
    loom::model(|| {
        let park = Park::new();
        let publishes = spawn(&park, Park::publish);
        let outcome = park.expire();
        let in_time = publishes.join().unwrap();
        assert_eq!(in_time, outcome == Outcome::Woken(()));
    });
}

#[test]
fn of_two_deciders_one_wins_and_the_waiter_is_told_its_outcome() {
    loom::model(|| {
        let park = Park::new();
        let deciders = [Outcome::Superseded, Outcome::Draining]
            .map(|outcome| spawn(&park, move |park| (outcome, park.signal.decide(outcome))));
        let waited = block_on(park.wait());
        let won: Vec<_> = deciders
            .into_iter()
            .map(|decider| decider.join().unwrap())
            .filter_map(|(outcome, first)| first.then_some(outcome))
            .collect();
        assert_eq!(won, [waited]);
        assert_eq!(park.signal.settle(Outcome::Deadline), waited);
    });
}

#[test]
fn of_a_call_and_a_decider_one_ends_the_wait() {
    loom::model(|| {
        let park = Park::new();
        let publishes = spawn(&park, Park::publish);
        let closes = spawn(&park, |park| park.signal.decide(Outcome::Closed));
        let waited = block_on(park.wait());
        publishes.join().unwrap();
        let closed = closes.join().unwrap();
        assert_eq!(waited, if closed { Outcome::Closed } else { Outcome::Woken(()) });
    });
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_waiter_that_moves_to_another_task_is_found_there() {
    loom::model(|| {
        let park = Park::new();
        let [before, after] = [(); 2].map(|()| std::sync::Arc::new(Count(AtomicUsize::new(0))));
        park.signal.look(&Waker::from(before));
        let publishes = spawn(&park, Park::publish);
        park.signal.look(&Waker::from(std::sync::Arc::clone(&after)));
        let taken = park.signal.take();
        assert!(publishes.join().unwrap());
        assert!(taken || after.0.load(Ordering::Relaxed) == 1, "neither found nor called");
    });
}
