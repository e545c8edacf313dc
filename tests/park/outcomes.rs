//! Each way to end, and that it is one.

use std::{future::pending, task::Poll, time::Duration};

use static_assertions::{assert_impl_all, assert_not_impl_any};
use tower_lifecycle::park::{Counts, Drained, Outcome, Policy, Refused, Slot, Token};

use crate::{
    rig::{Lot, NEARLY, Parked, Source, WITHIN, ended, lot, nothing, park},
    support::panics::{boom, catch, drop_unwinding, quiet},
};

assert_impl_all!(Lot: Clone, Send, Sync);
assert_impl_all!(Slot<String, u64>: Send, Sync);
assert_not_impl_any!(Slot<u32, u32>: Clone);
assert_impl_all!(Policy: Clone, Send, Sync);
assert_impl_all!(Drained: Send);
assert_impl_all!(Token: Copy, Ord, std::hash::Hash);

#[tokio::test(start_paused = true)]
async fn what_is_there_already_is_found_without_waiting() {
    let (lot, source) = (lot(|policy| policy), Source::default());
    source.publish();
    let slot = lot.park_for(1, 1).unwrap();
    assert_eq!(lot.parked(), 1);
    assert_eq!(slot.wait(WITHIN, source.after(0)).await, Outcome::Woken(1));
    let counts = lot.counts();
    assert_eq!((counts.parked, counts.at_once, counts.woken.parks), (0, 1, 0));
}

/// Mistake 1.
#[tokio::test(start_paused = true)]
async fn what_comes_between_registering_and_waiting_is_not_lost() {
    let (lot, source) = (lot(|policy| policy), Source::default());
    let slot = lot.park_for(1, 1).unwrap();
    source.publish();
    assert!(lot.wake(&1));
    assert_eq!(slot.wait(WITHIN, source.after(0)).await, Outcome::Woken(1));
}

/// Mistake 1, where the source is slow: what came while it was read, behind what it had read.
#[tokio::test(start_paused = true)]
async fn a_wake_while_a_check_runs_makes_another_check() {
    let (lot, source) = (lot(|policy| policy), Source::default());
    let slow = source.clone();
    let mut parked = Parked::new(lot.park_for(1, 1).unwrap().wait(WITHIN, move || {
        let read = slow.get();
        async move {
            let mut yields = true;
            std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if std::mem::take(&mut yields) { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            (read > 0).then_some(read)
        }
    }));
    assert!(parked.poll_by(std::task::Waker::noop()).is_pending());
    source.publish();
    assert!(lot.wake(&1));
    assert_eq!(parked.poll(), Some(Outcome::Woken(1)));
}

#[tokio::test(start_paused = true)]
async fn a_wake_for_nothing_does_not_end_the_wait() {
    let lot = lot(|policy| policy);
    let mut parked = park(lot.park_for(1, 1).unwrap());
    assert!(lot.wake(&1));
    assert_eq!(parked.poll(), None);
    tokio::time::advance(WITHIN).await;
    assert_eq!(parked.poll(), Some(Outcome::Deadline));
}

#[tokio::test(start_paused = true)]
async fn the_first_who_ends_it_decides_and_all_others_are_told_that_they_did_not() {
    let (lot, source) = (lot(|policy| policy), Source::default());
    let mut parked = Parked::new(lot.park_for(1, 1).unwrap().wait(WITHIN, source.after(0)));
    assert_eq!(parked.poll(), None);
    assert_eq!(lot.close(&1), 1);
    assert_eq!(lot.close(&1), 0, "once");
    assert!(!lot.wake(&1), "too late");
    source.publish();
    let newer = lot.park_for(1, 1).unwrap();
    tokio::time::advance(WITHIN).await;
    assert_eq!(parked.poll(), Some(Outcome::Closed));
    drop(newer);
    let counts = lot.counts();
    assert_eq!((counts.closed.parks, ended(&counts)), (2, 2));
}

/// Mistake 11.
#[tokio::test(start_paused = true)]
async fn the_timer_of_a_poll_that_was_answered_goes_with_it() {
    let (lot, source) = (lot(|policy| policy), Source::default());
    let wait = tokio::spawn(lot.park_for(1, 1).unwrap().wait(WITHIN, source.after(0)));
    tokio::task::yield_now().await;
    source.publish();
    assert!(lot.wake(&1));
    assert_eq!(wait.await.unwrap(), Outcome::Woken(1));
    let mut newer = park(lot.park_for(1, 1).unwrap());
    tokio::time::sleep(NEARLY).await;
    assert_eq!((newer.poll(), lot.counts().deadline.parks), (None, 0));
}

/// Mistake 4.
#[tokio::test(start_paused = true)]
async fn dropping_it_at_any_await_gives_the_place_free() {
    quiet();
    let lot = lot(|policy| policy);
    let slot = || lot.park_for(1, 1).unwrap();
    drop(slot());
    drop(slot().wait(WITHIN, nothing));
    let mut checks = Parked::new(slot().wait(WITHIN, pending::<Option<()>>));
    assert_eq!(checks.poll(), None);
    drop(checks);
    drop(park(slot()));
    drop_unwinding(park(slot()));
    let counts = lot.counts();
    assert_eq!((counts.parked, counts.closed.parks, ended(&counts)), (0, 5, 5));
    assert!(!lot.wake(&1), "nobody is there");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_gives_the_place_free() {
    quiet();
    let lot = lot(|policy| policy.max_per_owner(1));
    for panics_at_once in [true, false] {
        let mut checks = 0;
        let check = move || {
            checks += 1;
            let panics = panics_at_once || checks > 1;
            async move { if panics { boom() } else { None::<()> } }
        };
        let mut parked = Parked::new(lot.park_for(1, 1).unwrap().wait(WITHIN, check));
        if !panics_at_once {
            assert_eq!(parked.poll(), None);
            assert!(lot.wake(&1));
        }
        assert!(catch(|| parked.poll()).is_err());
        assert_eq!(lot.parked(), 0, "while the future lives");
    }
    assert_eq!(lot.counts().closed.parks, 2);
}

#[tokio::test(start_paused = true)]
async fn the_place_is_free_when_the_wait_is_over_and_not_when_its_future_is_dropped() {
    let lot = lot(|policy| policy);
    let mut parked = park(lot.park_for(1, 1).unwrap());
    lot.close(&1);
    assert_eq!(parked.poll(), Some(Outcome::Closed));
    assert_eq!(lot.parked(), 0);
    drop(parked);
}

#[tokio::test(start_paused = true)]
async fn what_is_found_too_late_is_dropped_and_stays_in_the_source() {
    let (lot, source) = (lot(|policy| policy), Source::default());
    source.publish();
    let (closes, check) = (lot.clone(), source.clone());
    let slot = lot.park_for(1, 1).unwrap();
    let outcome = slot.wait(WITHIN, || {
        closes.close(&1);
        std::future::ready(Some(check.get()))
    });
    assert_eq!(outcome.await, Outcome::Closed);
    let again = lot.park_for(1, 1).unwrap().wait(WITHIN, source.after(0));
    assert_eq!(again.await, Outcome::Woken(1));
}

#[test]
fn outcomes_and_refusals_have_words() {
    let outcomes = [
        Outcome::Woken(1),
        Outcome::Deadline,
        Outcome::Superseded,
        Outcome::Closed,
        Outcome::Draining,
    ];
    let words = outcomes.map(|outcome| outcome.as_str());
    assert_eq!(words, ["woken", "deadline", "superseded", "closed", "draining"]);
    let refused = [Refused::Full, Refused::KeyFull, Refused::OwnerFull, Refused::Draining];
    let words = refused.map(Refused::as_str);
    assert_eq!(words, ["full", "key_full", "owner_full", "draining"]);
    assert!(refused.iter().all(|refused| !refused.to_string().is_empty()));
}

#[test]
fn a_new_lot_has_seen_nothing() {
    let lot = lot(|policy| policy.longest(Duration::ZERO));
    assert_eq!(lot.counts(), Counts::default());
    assert!(!lot.is_draining() && !lot.wake(&1) && lot.close(&1) == 0);
}
