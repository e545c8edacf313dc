//! Who is woken, when, and by what.

use std::{
    sync::Arc,
    task::{Wake, Waker},
    time::Duration,
};

use tokio::time::Instant;
use tower_lifecycle::park::Outcome;

use crate::{
    rig::{Parked, SECOND, WITHIN, lot, nothing, park},
    support::panics::{boom, quiet},
};

#[tokio::test(start_paused = true)]
async fn a_wake_is_for_its_key_alone() {
    let lot = lot(|policy| policy);
    let [one, two] = [1, 2].map(|key| park(lot.park_for(key, 1).unwrap()));
    assert!(lot.wake(&2));
    assert!(!lot.wake(&3));
    assert_eq!((one.wakes(), two.wakes()), (0, 1));
    assert_eq!(lot.wake_many(&[1, 2, 3, 4]), 2);
}

#[tokio::test(start_paused = true)]
async fn many_wakes_before_it_looks_are_one_check() {
    let lot = lot(|policy| policy);
    let checks = Arc::new(());
    let seen = Arc::clone(&checks);
    let mut kept = Vec::new();
    let mut parked = Parked::new(lot.park_for(1, 1).unwrap().wait(WITHIN, move || {
        kept.push(Arc::clone(&seen));
        nothing()
    }));
    assert_eq!(parked.poll(), None);
    let before = Arc::strong_count(&checks);
    for _ in 0..10 {
        assert!(lot.wake(&1));
    }
    assert_eq!((parked.poll(), parked.wakes()), (None, 1));
    assert_eq!(Arc::strong_count(&checks), before + 1);
}

#[tokio::test(start_paused = true)]
async fn everybody_is_woken_evenly_over_the_window() {
    let lot = lot(|policy| policy);
    let polls: Vec<_> = (0..10).map(|key| park(lot.park_for(key, 1).unwrap())).collect();
    let woken = || polls.iter().map(Parked::wakes).sum::<usize>();
    let begun = Instant::now();
    let all = tokio::spawn({
        let lot = lot.clone();
        async move { lot.wake_all(10 * SECOND).await }
    });
    for second in 0..10 {
        tokio::time::sleep_until(begun + second * SECOND + SECOND / 2).await;
        assert_eq!(woken(), second as usize + 1);
    }
    assert_eq!(all.await.unwrap(), 10);
    assert!(begun.elapsed() < 10 * SECOND, "nobody waits for the rest of the window");
}

#[tokio::test(start_paused = true)]
async fn without_a_window_everybody_is_woken_at_once() {
    let lot = lot(|policy| policy);
    let _polls: Vec<_> = (0..1000).map(|key| park(lot.park_for(key, 1).unwrap())).collect();
    let begun = Instant::now();
    assert_eq!(lot.wake_all(Duration::ZERO).await, 1000);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_window_may_be_as_long_as_can_be_said() {
    let lot = lot(|policy| policy);
    let first = park(lot.park_for(1, 1).unwrap());
    let second = park(lot.park_for(2, 1).unwrap());
    let all = tokio::time::timeout(SECOND, lot.wake_all(Duration::MAX)).await;
    assert!(all.is_err(), "the second one's turn is in half a year");
    assert_eq!(first.wakes() + second.wakes(), 1);
}

#[tokio::test(start_paused = true)]
async fn its_own_end_wakes_nobody() {
    let lot = lot(|policy| policy);
    let mut dropped = park(lot.park_for(1, 1).unwrap());
    let wakes = Arc::new(crate::rig::Wakes::default());
    assert!(dropped.poll_by(&Waker::from(Arc::clone(&wakes))).is_pending());
    drop(dropped);
    let mut found =
        Parked::new(lot.park_for(1, 1).unwrap().wait(WITHIN, || std::future::ready(Some(()))));
    assert_eq!(
        found.poll_by(&Waker::from(Arc::clone(&wakes))),
        std::task::Poll::Ready(Outcome::Woken(()))
    );
    let late = park(lot.park_for(1, 1).unwrap());
    drop(late);
    assert_eq!(wakes.count(), 0);
    assert_eq!(Arc::strong_count(&wakes), 1, "and nothing is kept of its task");
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        boom();
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_harms_neither_who_wakes_nor_who_is_woken_next() {
    quiet();
    let lot = lot(|policy| policy);
    let mut bad = Parked::new(lot.park_for(1, 1).unwrap().wait(WITHIN, nothing));
    assert!(bad.poll_by(&Waker::from(Arc::new(Panics))).is_pending());
    let mut good = park(lot.park_for(2, 1).unwrap());
    assert_eq!(lot.wake_many(&[1, 2]), 2);
    assert_eq!(good.wakes(), 1);
    assert!(bad.poll_by(&Waker::from(Arc::new(Panics))).is_pending());
    assert_eq!(lot.close(&1) + lot.close(&2), 2);
    assert_eq!((bad.poll(), good.poll()), (Some(Outcome::Closed), Some(Outcome::Closed)));
}
