//! Emptying a lot.

use std::{future::Future, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tower_lifecycle::park::{Drained, Outcome, Refused};

use crate::rig::{Lot, SECOND, WITHIN, lot, nothing, park};

/// So many that wait, each in a task of its own, which then takes a while to answer.
fn waiting(lot: &Lot, count: u32, answers: Duration) -> Vec<JoinHandle<(Outcome, Duration)>> {
    let begun = Instant::now();
    let wait = |key| {
        let slot = lot.park_for(key, 1).unwrap();
        async move {
            let outcome = slot.wait(WITHIN, nothing).await;
            let ended = begun.elapsed();
            sleep(answers).await;
            (outcome, ended)
        }
    };
    (0..count).map(|key| tokio::spawn(wait(key))).collect()
}

fn assert_empty(drained: &Drained) {
    assert!(drained.parked == 0 && drained.open.is_empty(), "{drained:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_what_is_parked_evenly_over_its_window() {
    let lot = lot(|policy| policy);
    let polls = waiting(&lot, 100, Duration::ZERO);
    tokio::task::yield_now().await;
    let drained = lot.drain(10 * SECOND, SECOND).await;
    assert_eq!(drained.ended, 100);
    assert_empty(&drained);
    let mut seconds = [0; 10];
    for poll in polls {
        let (outcome, ended) = poll.await.unwrap();
        assert_eq!(outcome, Outcome::Draining);
        seconds[usize::try_from(ended.as_secs()).unwrap()] += 1;
    }
    assert!(seconds.iter().all(|ended| (9..=11).contains(ended)), "{seconds:?}");
    assert_eq!(lot.counts().draining.parks, 100);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_let_in_from_the_call_on() {
    let lot = lot(|policy| policy);
    let early = lot.park_for(1, 1).unwrap();
    let drain = lot.drain(Duration::ZERO, SECOND);
    assert!(lot.is_draining());
    assert_eq!(lot.park_for(2, 1).unwrap_err(), Refused::Draining);
    assert_eq!(lot.counts().refused_draining, 1);
    let (drained, outcome) = tokio::join!(drain, early.wait(WITHIN, nothing));
    assert_eq!((drained.ended, outcome), (1, Outcome::Draining));
    assert_eq!(lot.park_for(2, 1).unwrap_err(), Refused::Draining, "and for good");
}

#[tokio::test(start_paused = true)]
async fn an_empty_lot_is_drained_at_once() {
    let begun = Instant::now();
    assert_empty(&lot(|policy| policy).drain(10 * SECOND, 10 * SECOND).await);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_nobody_polls_is_waited_for_no_longer_than_the_patience() {
    let lot = lot(|policy| policy);
    let mut held = park(lot.park_for(1, 1).unwrap());
    let begun = Instant::now();
    let drained = lot.drain(2 * SECOND, 3 * SECOND).await;
    assert_eq!((drained.ended, drained.parked), (1, 1));
    assert_eq!(begun.elapsed(), 5 * SECOND);
    assert_eq!(held.poll(), Some(Outcome::Draining));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_during_the_window_is_not_ended_twice() {
    let lot = lot(|policy| policy);
    let polls = waiting(&lot, 10, Duration::ZERO);
    tokio::task::yield_now().await;
    let drain = tokio::spawn(lot.drain(10 * SECOND, SECOND));
    sleep(SECOND / 2).await;
    polls.iter().for_each(JoinHandle::abort);
    let drained = drain.await.unwrap();
    assert_empty(&drained);
    assert_eq!(drained.ended, 1);
    assert_eq!((lot.counts().draining.parks, lot.counts().closed.parks), (1, 9));
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_over_when_the_last_has_left_whatever_of_its_window_there_is() {
    let lot = lot(|policy| policy);
    let polls = waiting(&lot, 10, Duration::ZERO);
    tokio::task::yield_now().await;
    let begun = Instant::now();
    let drain = tokio::spawn(lot.drain(10 * SECOND, SECOND));
    sleep(SECOND / 2).await;
    polls.iter().for_each(JoinHandle::abort);
    assert_empty(&drain.await.unwrap());
    assert_eq!(begun.elapsed(), SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_by_itself_takes_no_moment_of_those_who_stay() {
    let lot = lot(|policy| policy);
    let polls = waiting(&lot, 100, Duration::ZERO);
    tokio::task::yield_now().await;
    let begun = Instant::now();
    let drain = tokio::spawn(lot.drain(10 * SECOND, SECOND));
    tokio::task::yield_now().await;
    polls.iter().step_by(2).for_each(JoinHandle::abort);
    let ended = drain.await.unwrap().ended;
    assert!((50..=51).contains(&ended), "the first at once: {ended}");
    assert!(begun.elapsed() <= 5 * SECOND);
    let mut ends = Vec::new();
    for poll in polls.into_iter().skip(1).step_by(2) {
        ends.push(poll.await.unwrap().1.as_millis());
    }
    ends.sort_unstable();
    assert!(ends.windows(2).all(|two| two[1] - two[0] == 100), "as if all had stayed: {ends:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_dropped_is_gone_on_with_by_another() {
    let lot = lot(|policy| policy);
    let polls = waiting(&lot, 10, Duration::ZERO);
    tokio::task::yield_now().await;
    assert!(timeout(SECOND / 2, lot.drain(10 * SECOND, SECOND)).await.is_err());
    assert_eq!(lot.parked(), 9);
    let drained = lot.drain(Duration::ZERO, SECOND).await;
    assert_eq!(drained.ended, 9);
    assert_empty(&drained);
    for poll in polls {
        assert_eq!(poll.await.unwrap().0, Outcome::Draining);
    }
}

#[tokio::test(start_paused = true)]
async fn two_drains_end_each_poll_once() {
    let lot = lot(|policy| policy);
    let _polls = waiting(&lot, 100, Duration::ZERO);
    let (first, second) = tokio::join!(lot.drain(SECOND, SECOND), lot.drain(2 * SECOND, SECOND));
    assert_eq!(first.ended + second.ended, 100);
    assert_empty(&first);
    assert_empty(&second);
}

#[tokio::test(start_paused = true)]
async fn a_drain_may_take_as_long_as_can_be_said() {
    let lot = lot(|policy| policy);
    let _held = lot.park_for(1, 1).unwrap();
    assert!(timeout(SECOND, lot.drain(Duration::MAX, Duration::MAX)).await.is_err());
    assert_eq!(lot.parked(), 1);
}

/// As a task that is spawned when the server is told to stop.
#[tokio::test(start_paused = true)]
async fn the_future_of_a_drain_borrows_nothing() {
    fn is_static<F: Future + Send + 'static>(future: F) -> F {
        future
    }
    let drain = is_static(lot(|policy| policy).drain(SECOND, SECOND));
    assert_empty(&drain.await);
}
