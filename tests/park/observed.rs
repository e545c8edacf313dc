//! What is told of a park: to the observer, and by the counts.

use std::sync::{Arc, Mutex};

use tower_lifecycle::park::{Outcome, Policy, Unparked};

use crate::{
    rig::{Lot, SECOND, Source, WITHIN, lot, park},
    support::panics::{boom, drop_unwinding, quiet},
};

/// A lot that writes down what it is told.
fn told() -> (Lot, Arc<Mutex<Vec<Unparked>>>) {
    let told: Arc<Mutex<Vec<_>>> = Arc::default();
    let tells = Arc::clone(&told);
    let tell = move |unparked: &Unparked| tells.lock().unwrap().push(*unparked);
    (lot(|policy| policy.on_unpark(tell)), told)
}

#[tokio::test(start_paused = true)]
async fn each_park_is_told_once_with_its_outcome_and_its_time() {
    let (lot, told) = told();
    let source = Source::default();
    source.publish();
    lot.park_for(1, 1).unwrap().wait(WITHIN, source.after(0)).await;
    let wait = park(lot.park_for(1, 1).unwrap());
    tokio::time::advance(SECOND).await;
    // Left by its client: it had waited all the same.
    drop(wait);
    lot.park_for(1, 1).unwrap().wait(2 * SECOND, crate::rig::nothing).await;
    drop(lot.park_for(1, 1).unwrap());
    let told = told.lock().unwrap();
    let told: Vec<_> =
        told.iter().map(|told| (told.outcome, told.parked.as_secs(), told.waited)).collect();
    assert_eq!(
        told,
        [
            (Outcome::Woken(()), 0, false),
            (Outcome::Closed, 1, true),
            (Outcome::Deadline, 2, true),
            (Outcome::Closed, 0, false),
        ]
    );
    let counts = lot.counts();
    assert_eq!((counts.closed.parks, counts.closed.time), (2, SECOND));
    assert_eq!(counts.deadline.time.as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_observer_may_use_the_lot_and_the_one_who_left_is_counted_no_more_after_it() {
    let slot: Arc<Mutex<Option<Lot>>> = Arc::default();
    let held = Arc::clone(&slot);
    let lot = lot(|policy| {
        policy.on_unpark(move |_| {
            let lot = held.lock().unwrap().clone().unwrap();
            assert_eq!(lot.parked(), 1);
            assert!(!lot.wake(&1) && lot.close(&1) == 0, "its key is free");
        })
    });
    *slot.lock().unwrap() = Some(lot.clone());
    drop(park(lot.park_for(1, 1).unwrap()));
    assert_eq!((lot.parked(), lot.counts().panics), (0, 0));
    *slot.lock().unwrap() = None;
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_is_counted_and_breaks_nothing() {
    quiet();
    let lot = Lot::new(Policy::new().on_unpark(|_| boom()));
    drop(park(lot.park_for(1, 1).unwrap()));
    drop_unwinding(park(lot.park_for(1, 1).unwrap()));
    let counts = lot.counts();
    assert_eq!((counts.parked, counts.panics, counts.closed.parks), (0, 2, 2));
}
