//! Who subscribes hears of all that opens and closes, in order, and holds nobody up.

use std::{
    future::Future as _,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use tower_lifecycle::{
    ExchangeId, LifecycleLayer,
    inflight::{Change, Changes, InFlight},
};

use crate::rig::{open, pass, within};

/// What opened and what closed.
#[derive(Debug, PartialEq)]
enum Heard {
    Opened(ExchangeId),
    Closed(ExchangeId),
    Missed(u64),
}

fn heard(change: &Change) -> Heard {
    match change {
        Change::Opened(open) => Heard::Opened(open.id),
        Change::Closed(closed) => Heard::Closed(closed.id),
        Change::Missed(missed) => Heard::Missed(*missed),
        other => panic!("{other:?}"),
    }
}

/// The next change, if it is there.
fn now(changes: &mut Changes) -> Poll<Option<Change>> {
    pin!(changes.recv()).poll(&mut Context::from_waker(Waker::noop()))
}

fn next(changes: &mut Changes) -> Heard {
    match now(changes) {
        Poll::Ready(Some(change)) => heard(&change),
        other => panic!("{other:?}"),
    }
}

fn observed() -> (InFlight, LifecycleLayer<InFlight>) {
    let inflight = InFlight::new();
    (inflight.clone(), LifecycleLayer::new(inflight))
}

#[test]
fn changes_are_told_in_the_order_in_which_they_happen() {
    let (inflight, layer) = observed();
    let before = open(&layer, "/before");
    let mut changes = inflight.subscribe().unwrap();
    let [a, b] = ["/a", "/b"].map(|path| open(&layer, path));
    let ids: Vec<_> = inflight.snapshot().exchanges.iter().map(|open| open.id).collect();
    drop(b);
    drop(before);
    drop(a);
    let told: Vec<_> = (0..5).map(|_| next(&mut changes)).collect();
    let [of_before, of_a, of_b] = ids[..] else { panic!("{ids:?}") };
    let expected = [
        Heard::Opened(of_a),
        Heard::Opened(of_b),
        Heard::Closed(of_b),
        Heard::Closed(of_before),
        Heard::Closed(of_a),
    ];
    assert_eq!(told, expected);
    assert!(now(&mut changes).is_pending());
}

#[test]
fn what_is_told_of_is_in_the_registry_when_it_has_opened_and_in_the_history_when_it_has_closed() {
    let (inflight, layer) = observed();
    let mut changes = inflight.subscribe().unwrap();
    let held = open(&layer, "/a");
    let Poll::Ready(Some(Change::Opened(opened))) = now(&mut changes) else { panic!("it opened") };
    assert_eq!((opened.path(), opened.id), ("/a", inflight.snapshot().exchanges[0].id));
    drop(held);
    let Poll::Ready(Some(Change::Closed(closed))) = now(&mut changes) else { panic!("it closed") };
    assert_eq!(closed.id, inflight.recent()[0].id);
}

#[test]
fn who_is_slow_is_told_how_much_was_missed_and_goes_on_from_there() {
    const PASSED: u64 = 5_000;
    let (inflight, layer) = observed();
    let mut slow = inflight.subscribe().unwrap();
    for _ in 0..PASSED {
        pass(&layer, "/");
    }
    let Heard::Missed(missed) = next(&mut slow) else { panic!("much was missed") };
    let mut told = 0;
    let mut last = None;
    while let Poll::Ready(Some(change)) = now(&mut slow) {
        told += 1;
        last = Some(heard(&change));
    }
    assert_eq!((told, missed), (4_096, 2 * PASSED - 4_096));
    assert_eq!(last, Some(Heard::Closed(inflight.recent()[0].id)));
    pass(&layer, "/");
    assert!(matches!(next(&mut slow), Heard::Opened(_)), "it is told of what comes now");
}

#[tokio::test]
async fn a_subscription_ends_when_there_can_be_no_more() {
    let (inflight, layer) = observed();
    let mut changes = inflight.subscribe().unwrap();
    let held = open(&layer, "/");
    let waits = tokio::spawn(async move {
        let mut told = Vec::new();
        while let Some(change) = changes.recv().await {
            told.push(matches!(change, Change::Closed(_)));
        }
        told
    });
    tokio::task::yield_now().await;
    // The exchange that is open is told of, whoever has let go of the rest.
    drop((inflight, layer));
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    drop(held);
    assert_eq!(within("the end", waits).await.unwrap(), [false, true]);
}

#[test]
fn a_subscription_keeps_nothing_once_it_is_dropped() {
    let (inflight, layer) = observed();
    let [first, mut second] = [(); 2].map(|()| inflight.subscribe().unwrap());
    pass(&layer, "/");
    assert!(matches!(next(&mut second), Heard::Opened(_)));
    let Poll::Ready(Some(Change::Closed(closed))) = now(&mut second) else { panic!("it closed") };
    assert!(Arc::strong_count(&closed) > 1, "the first has not taken it");
    drop(first);
    assert_eq!(Arc::strong_count(&closed), 1, "ours");
}

#[test]
fn a_wait_for_a_change_that_is_dropped_loses_none() {
    let (inflight, layer) = observed();
    let mut changes = inflight.subscribe().unwrap();
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        {
            let mut wait = pin!(changes.recv());
            assert!(wait.as_mut().poll(&mut context).is_pending());
            // It comes while somebody waits who then does not take it.
            pass(&layer, "/");
        }
        assert!(matches!(next(&mut changes), Heard::Opened(_)));
        assert!(matches!(next(&mut changes), Heard::Closed(_)));
    }
    assert!(now(&mut changes).is_pending());
}

#[test]
fn all_subscribers_are_told_the_same() {
    let (inflight, layer) = observed();
    let mut all = [(); 8].map(|()| inflight.subscribe().unwrap());
    for _ in 0..10 {
        pass(&layer, "/");
    }
    let told = all.each_mut().map(|changes| (0..20).map(|_| next(changes)).collect::<Vec<_>>());
    assert!(told.iter().all(|it| *it == told[0]));
}
