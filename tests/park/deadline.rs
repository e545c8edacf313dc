//! The deadline, which holds whatever the check does.

use std::{
    future::{pending, ready},
    time::Duration,
};

use tokio::time::{Instant, advance, timeout};
use tower_lifecycle::park::{Lot, Outcome, Policy};

use crate::rig::{Parked, SECOND, Source, WITHIN, lot, nothing};

/// How long a park takes that finds nothing.
async fn takes(policy: Policy, within: Duration) -> Duration {
    let lot: Lot<u32> = Lot::new(policy);
    let begun = Instant::now();
    assert_eq!(lot.park(1).unwrap().wait(within, nothing).await, Outcome::Deadline);
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn it_takes_as_long_as_asked_and_no_longer_than_the_longest() {
    let policy = Policy::new().jitter(0.0).longest(40 * SECOND);
    for (within, took) in [(0, 0), (30, 30), (40, 40), (41, 40), (1 << 30, 40)] {
        assert_eq!(takes(policy.clone(), within * SECOND).await.as_secs(), took);
    }
}

/// Mistake 9, of the program, as far as it is the library's.
#[tokio::test(start_paused = true)]
async fn jitter_is_there_by_itself_and_never_exceeds_the_longest() {
    for (asked, least, most) in [(30, 30.0, 33.0), (50, 45.4, 50.0), (3600, 45.4, 50.0)] {
        let mut all = Vec::new();
        for _ in 0..200 {
            all.push(takes(Policy::new(), Duration::from_secs(asked)).await.as_secs_f64());
        }
        // Timers have a precision of a millisecond.
        assert!(all.iter().all(|took| (least..=most + 0.002).contains(took)), "{all:?}");
        let (first, last) = all
            .iter()
            .fold((f64::MAX, 0.0), |(a, b): (f64, f64), took| (a.min(*took), b.max(*took)));
        assert!(last - first > 0.7 * (most - least), "spread over {first}..{last}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_duration_and_no_jitter_is_too_much() {
    const YEAR: u64 = 365 * 24 * 60 * 60;
    for jitter in [0.0, 0.1, 1.0, 7.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-300] {
        let policy = Policy::new().jitter(jitter);
        assert!(takes(policy.clone(), Duration::MAX).await <= 51 * SECOND);
        assert!(takes(policy.clone(), Duration::ZERO).await <= SECOND);
        assert!(takes(policy.clone().longest(Duration::ZERO), Duration::MAX).await <= SECOND);
        assert!(takes(policy.longest(Duration::MAX), Duration::MAX).await.as_secs() <= YEAR + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_never_ends_is_dropped_at_the_deadline() {
    let lot = lot(|policy| policy);
    let begun = Instant::now();
    let outcome = lot.park_for(1, 1).unwrap().wait(WITHIN, pending::<Option<()>>).await;
    assert_eq!((outcome, begun.elapsed()), (Outcome::Deadline, WITHIN));
}

/// A source that wakes whoever reads it, as one that is written by reading.
#[tokio::test(start_paused = true)]
async fn a_check_that_wakes_itself_is_ended_by_its_deadline_and_lets_others_run() {
    let lot = lot(|policy| policy);
    let wakes = lot.clone();
    let wait = lot.park_for(1, 1).unwrap().wait(WITHIN, move || {
        wakes.wake(&1);
        ready(None::<()>)
    });
    let clock = async {
        for _ in 0..30 {
            advance(SECOND).await;
        }
        pending::<()>().await;
    };
    let ended = async {
        tokio::select! {
            // First, so that its time begins before the clock goes on.
            biased;
            outcome = wait => outcome,
            () = clock => unreachable!(),
        }
    };
    assert_eq!(timeout(2 * WITHIN, ended).await.unwrap(), Outcome::Deadline);
}

/// tokio lets a task do so much before it has to let others run; what the check uses the timer does not get.
#[tokio::test(start_paused = true)]
async fn a_check_that_uses_up_the_budget_of_its_task_is_ended_by_its_deadline() {
    let lot = lot(|policy| policy);
    let slot = lot.park_for(1, 1).unwrap();
    let greedy = || async {
        loop {
            tokio::task::coop::consume_budget().await;
            if false {
                return None::<()>;
            }
        }
    };
    let clock = tokio::spawn(async {
        for _ in 0..30 {
            advance(SECOND).await;
        }
    });
    let outcome = timeout(2 * WITHIN, slot.wait(WITHIN, greedy)).await;
    assert_eq!(outcome.unwrap(), Outcome::Deadline);
    clock.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_wakes_before_the_deadline_is_heard_and_who_wakes_after_is_told_so() {
    let (lot, source) = (lot(|policy| policy), Source::default());
    let mut parked = Parked::new(lot.park_for(1, 1).unwrap().wait(WITHIN, source.after(0)));
    assert_eq!(parked.poll(), None);
    advance(2 * WITHIN).await;
    source.publish();
    assert!(lot.wake(&1), "it is late, but has not decided yet");
    assert_eq!(parked.poll(), Some(Outcome::Woken(1)));
    let mut parked = Parked::new(lot.park_for(1, 1).unwrap().wait(WITHIN, source.after(1)));
    assert_eq!(parked.poll(), None);
    advance(2 * WITHIN).await;
    assert_eq!(parked.poll(), Some(Outcome::Deadline));
    source.publish();
    assert!(!lot.wake(&1));
}
