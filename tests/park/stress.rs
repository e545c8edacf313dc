//! Many threads: nothing that was published is missed, each park ends once, and the counts add up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};
use tower_lifecycle::park::{Outcome, Policy, Second};

use crate::rig::{Lot, Source, WITHIN, ended};

/// Nothing here takes so long.
const PATIENCE: Duration = Duration::from_secs(300);

async fn all<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut results = Vec::new();
    let joins = async {
        while let Some(result) = tasks.join_next().await {
            results.push(result.unwrap());
        }
    };
    timeout(PATIENCE, joins).await.expect("somebody waits for ever");
    results
}

/// Mistake 1, a million times: a waiter that has seen `n` parks for more, and a thread of its own publishes it meanwhile: while
/// the waiter registers, checks, or waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_published_is_missed() {
    const KEYS: u32 = 64;
    const EVENTS: u64 = 16_000;
    // So long that a wait which misses something is a test that does not end in time.
    let lot = Lot::new(Policy::new().longest(2 * PATIENCE));
    let keys: Arc<[(Source, AtomicU64)]> = (0..KEYS).map(|_| Default::default()).collect();
    let mut waits = JoinSet::new();
    for (key, index) in (0..KEYS).zip(0..) {
        let (lot, keys) = (lot.clone(), Arc::clone(&keys));
        waits.spawn(async move {
            let (source, told) = &keys[index];
            for seen in 0..EVENTS {
                let slot = lot.park_for(key, key).unwrap();
                let outcome = slot.wait(2 * PATIENCE, source.after(seen)).await;
                // Each event is a race of its own.
                assert_eq!(outcome, Outcome::Woken(seen + 1));
                told.store(seen + 1, Ordering::Release);
            }
        });
    }
    let wakes = lot.clone();
    let publisher = tokio::task::spawn_blocking(move || {
        let mut left = u64::from(KEYS) * EVENTS;
        let begun = tokio::time::Instant::now();
        while left > 0 && begun.elapsed() < PATIENCE {
            for (key, (source, told)) in (0..KEYS).zip(&*keys) {
                // Not before the last one was seen.
                let events = source.get();
                if events < EVENTS && told.load(Ordering::Acquire) == events {
                    source.publish();
                    wakes.wake(&key);
                    left -= 1;
                }
            }
            std::thread::yield_now();
        }
    });
    all(waits).await;
    publisher.await.unwrap();
    let counts = lot.counts();
    assert_eq!(counts.parked, 0);
    assert_eq!(counts.at_once + counts.woken.parks, u64::from(KEYS) * EVENTS);
    println!("{} at once, {} woken", counts.at_once, counts.woken.parks);
    assert!(counts.woken.parks > 0, "{counts:?}");
}

/// Timers, wakes, closes, newer polls and clients that leave, all at the same keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_ends_it_each_park_ends_once() {
    const KEYS: u32 = 4;
    const POLLS: u64 = 20_000;
    for second in [Second::Supersede, Second::Share(3), Second::Reject] {
        let lot = Lot::new(Policy::new().second(second).max_parked(14).max_per_owner(6));
        let source = Source::default();
        let done = Arc::new(AtomicBool::new(false));
        let mut meddlers = JoinSet::new();
        for meddler in 0..2 {
            let (lot, source, done) = (lot.clone(), source.clone(), Arc::clone(&done));
            meddlers.spawn(async move {
                let mut closed = 0;
                for key in (0..KEYS).cycle() {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    if meddler == 0 {
                        source.publish();
                        lot.wake(&key);
                    } else {
                        closed += lot.close(&key) as u64;
                    }
                    tokio::task::yield_now().await;
                }
                closed
            });
        }
        let mut polls = JoinSet::new();
        for task in 0..16_u32 {
            let (lot, source) = (lot.clone(), source.clone());
            polls.spawn(async move {
                let (mut outcomes, mut refused, mut left) = ([0_u64; 5], 0_u64, 0_u64);
                for poll in 0..POLLS / 16 {
                    let key = (task + u32::try_from(poll).unwrap()) % KEYS;
                    let Ok(slot) = lot.park_for(key, task % 3) else {
                        refused += 1;
                        tokio::task::yield_now().await;
                        continue;
                    };
                    let within = Duration::from_millis(poll % 3);
                    let wait = slot.wait(within, source.after(source.get() + poll % 2));
                    if poll % 5 == 0 {
                        // Its client leaves, mostly while it waits.
                        match timeout(Duration::from_millis(1), wait).await {
                            Err(_) => left += 1,
                            Ok(outcome) => outcomes[place(&outcome)] += 1,
                        }
                    } else {
                        outcomes[place(&wait.await)] += 1;
                    }
                }
                (outcomes, refused, left)
            });
        }
        let ends = all(polls).await;
        done.store(true, Ordering::Relaxed);
        let closed: u64 = all(meddlers).await.into_iter().sum();
        let counts = lot.counts();
        assert_eq!(counts.parked, 0, "{second:?}");
        let sum = |of: fn(&([u64; 5], u64, u64)) -> u64| ends.iter().map(of).sum::<u64>();
        let left = sum(|ends| ends.2);
        assert_eq!(sum(|ends| ends.0[0]), counts.at_once + counts.woken.parks);
        assert_eq!(sum(|ends| ends.0[1]), counts.deadline.parks);
        // What ended a poll in the moment in which its client left is counted, and seen by nobody.
        let over = counts.superseded.parks + counts.closed.parks;
        assert_eq!(sum(|ends| ends.0[2] + ends.0[3]) + left, over);
        assert!(sum(|ends| ends.0[3]) <= closed && closed <= counts.closed.parks);
        let refused = counts.full + counts.key_full + counts.owner_full;
        assert_eq!(sum(|ends| ends.1), refused);
        assert_eq!(ended(&counts) + refused, POLLS);
        // Nobody is counted who is not there.
        for owner in 0..3 {
            let held: Vec<_> = (10..16).map(|key| lot.park_for(key, owner).unwrap()).collect();
            assert_eq!(lot.parked(), held.len());
        }
    }
}

fn place<T>(outcome: &Outcome<T>) -> usize {
    match outcome {
        Outcome::Woken(_) => 0,
        Outcome::Deadline => 1,
        Outcome::Superseded => 2,
        Outcome::Closed => 3,
        Outcome::Draining => 4,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_parks_while_the_lot_is_drained_is_ended_or_refused() {
    for _ in 0..200 {
        let lot = Lot::new(Policy::new());
        let mut polls = JoinSet::new();
        for key in 0..8 {
            let lot = lot.clone();
            polls.spawn(async move {
                let Ok(slot) = lot.park_for(key, 0) else { return None };
                Some(slot.wait(2 * PATIENCE, crate::rig::nothing).await)
            });
        }
        let drained = timeout(PATIENCE, lot.drain(Duration::ZERO, WITHIN)).await.unwrap();
        let outcomes = all(polls).await;
        let parked = outcomes.iter().flatten().count();
        assert!(outcomes.iter().flatten().all(|outcome| *outcome == Outcome::Draining));
        assert_eq!((drained.ended, drained.parked), (parked, 0));
    }
}
