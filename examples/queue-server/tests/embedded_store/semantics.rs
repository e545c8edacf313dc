//! Every sentence of the contract that is the store's business.

use queue_server::{
    id::QueueId,
    store::{
        Appended, Begin, Limits, NOTHING, Session, Store, StoreError, Target, embedded::Embedded,
    },
};

use crate::support::*;

#[tokio::test]
async fn ids_start_at_0_and_increase() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    fill(&it.store, queue, 5).await;
    assert_eq!(ids(&poll(&it.store, queue, NOTHING).await.unwrap()), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn the_same_id_again_gives_the_same_events() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    fill(&it.store, queue, 4).await;
    let first = poll(&it.store, queue, 1).await.unwrap();
    assert_eq!(ids(&first), [2, 3]);
    assert_eq!(poll(&it.store, queue, 1).await.unwrap(), first);
    // What was read may be acknowledged in part.
    assert_eq!(ids(&poll(&it.store, queue, 2).await.unwrap()), [3]);
}

#[tokio::test]
async fn progress_is_what_was_newly_acknowledged() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    assert!(!begin(&it.store, queue, NOTHING).await.unwrap().progress);
    fill(&it.store, queue, 2).await;
    assert!(!begin(&it.store, queue, NOTHING).await.unwrap().progress);
    assert!(begin(&it.store, queue, 0).await.unwrap().progress);
    assert!(!begin(&it.store, queue, 0).await.unwrap().progress);
    assert!(begin(&it.store, queue, 1).await.unwrap().progress);
}

#[tokio::test]
async fn a_page_has_the_oldest() {
    let it = Fixture::with(Limits { page: 3, ..Limits::default() });
    let queue = queue(&it.store).await;
    fill(&it.store, queue, 7).await;
    assert_eq!(ids(&poll(&it.store, queue, NOTHING).await.unwrap()), [0, 1, 2]);
    assert_eq!(ids(&poll(&it.store, queue, 2).await.unwrap()), [3, 4, 5]);
    assert_eq!(ids(&poll(&it.store, queue, 5).await.unwrap()), [6]);
    assert_eq!(poll(&it.store, queue, 6).await.unwrap(), []);
}

#[tokio::test]
async fn what_was_pruned_is_told_from_what_never_was() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    assert_fails!(poll(&it.store, queue, 0).await, StoreError::UnknownEvent(0));
    assert_fails!(poll(&it.store, queue, -2).await, StoreError::UnknownEvent(-2));
    fill(&it.store, queue, 3).await;
    assert_fails!(poll(&it.store, queue, 3).await, StoreError::UnknownEvent(3));
    poll(&it.store, queue, 1).await.unwrap();
    assert_fails!(poll(&it.store, queue, 0).await, StoreError::Pruned(0));
    assert_fails!(poll(&it.store, queue, NOTHING).await, StoreError::Pruned(NOTHING));
    assert_eq!(ids(&poll(&it.store, queue, 1).await.unwrap()), [2]);
}

#[tokio::test]
async fn a_poll_that_failed_to_begin_acknowledges_nothing_and_takes_nothing() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    fill(&it.store, queue, 2).await;
    let begun = begin(&it.store, queue, NOTHING).await.unwrap();
    let foreign = Begin { queue, owner: "ben", seen: 1 };
    assert_fails!(it.store.begin(foreign).await, StoreError::NotFound);
    assert_fails!(begin(&it.store, queue, 7).await, StoreError::UnknownEvent(7));
    let events = it.store.read(queue, NOTHING, Some(begun.turn)).await.unwrap();
    assert_eq!(ids(&events), [0, 1]);
}

#[tokio::test]
async fn the_newest_poll_wins_and_one_that_does_not_park_takes_nothing() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    let old = begin(&it.store, queue, NOTHING).await.unwrap().turn;
    let look = Begin { queue, owner: OWNER, seen: NOTHING };
    it.store.begin(look).await.unwrap();
    assert_eq!(it.store.read(queue, NOTHING, Some(old)).await.unwrap(), []);
    let new = begin(&it.store, queue, NOTHING).await.unwrap().turn;
    assert!(new > old);
    assert_fails!(it.store.read(queue, NOTHING, Some(old)).await, StoreError::Superseded);
    assert_eq!(it.store.read(queue, NOTHING, Some(new)).await.unwrap(), []);
    assert_eq!(it.store.read(queue, NOTHING, None).await.unwrap(), []);
}

#[tokio::test]
async fn unknown_and_foreign_queues_are_the_same() {
    let it = Fixture::new();
    let mine = queue(&it.store).await;
    let unknown = QueueId::random();
    assert_fails!(begin(&it.store, unknown, NOTHING).await, StoreError::NotFound);
    assert_fails!(it.store.read(unknown, NOTHING, None).await, StoreError::NotFound);
    assert_fails!(it.store.remove(unknown, OWNER).await, StoreError::NotFound);
    assert_fails!(it.store.remove(mine, "ben").await, StoreError::NotFound);
    it.store.end(unknown);
    assert_eq!(send(&it.store, unknown, "").await.unwrap(), Appended::default());
}

#[tokio::test]
async fn a_removed_queue_is_gone_for_all() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    fill(&it.store, queue, 3).await;
    let begun = begin(&it.store, queue, NOTHING).await.unwrap();
    it.store.remove(queue, OWNER).await.unwrap();
    assert_fails!(it.store.read(queue, NOTHING, Some(begun.turn)).await, StoreError::NotFound);
    assert_fails!(begin(&it.store, queue, NOTHING).await, StoreError::NotFound);
    assert_fails!(it.store.remove(queue, OWNER).await, StoreError::NotFound);
    it.store.end(queue);
    assert_eq!(it.store.stats().queues, Some(0));
    let dir = it.close().await;
    assert_eq!(open(dir.path()).await.store.stats().queues, Some(0));
}

#[tokio::test]
async fn an_event_goes_to_all_queues_of_its_users_that_take_its_type_once() {
    let it = Fixture::new();
    let all = queue(&it.store).await;
    let typed = |owner: &str, kind: &str| Session {
        owner: owner.into(),
        event_types: Some(vec![kind.into()]),
        ..session()
    };
    let [notes, alarms, bens] = [(); 3].map(|()| QueueId::random());
    it.store.create(notes, typed(OWNER, "note")).await.unwrap();
    it.store.create(alarms, typed(OWNER, "alarm")).await.unwrap();
    it.store.create(bens, typed("ben", "note")).await.unwrap();
    let stored = |target| async {
        let appended = it.store.append(target, event("")).await.unwrap();
        assert_eq!(appended.overflowed, []);
        appended.stored
    };
    let sorted = |mut queues: Vec<_>| {
        queues.sort();
        queues
    };
    let anna_twice = Target::Users(vec![user(OWNER), user(OWNER), user("nobody")]);
    assert_eq!(stored(anna_twice).await, sorted(vec![all, notes]));
    let both = Target::Users(vec![user("ben"), user(OWNER)]);
    assert_eq!(stored(both).await, sorted(vec![all, notes, bens]));
    assert_eq!(stored(Target::Queues(vec![alarms, bens, bens])).await, [bens]);
    assert_eq!(stored(Target::Heartbeat(alarms)).await, [alarms]);
    assert_eq!(ids(&poll(&it.store, notes, NOTHING).await.unwrap()), [0, 1]);
    assert_eq!(ids(&poll(&it.store, alarms, NOTHING).await.unwrap()), [0]);
}

#[tokio::test]
async fn a_user_has_so_many_queues_and_no_more() {
    let it = Fixture::with(Limits { queues_per_user: 3, ..Limits::default() });
    let created = futures_util::future::join_all((0..8).map(|_| async {
        let id = QueueId::random();
        it.store.create(id, session()).await.map(|()| id)
    }))
    .await;
    let (made, refused): (Vec<_>, Vec<_>) = created.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 3);
    for error in refused {
        assert_fails!(error, StoreError::TooManyQueues(3));
    }
    let other = Session { owner: "ben".into(), ..session() };
    it.store.create(QueueId::random(), other).await.unwrap();
    it.store.remove(*made[0].as_ref().unwrap(), OWNER).await.unwrap();
    queue(&it.store).await;
    assert_fails!(
        it.store.create(QueueId::random(), session()).await,
        StoreError::TooManyQueues(3)
    );
}

#[tokio::test]
async fn no_queue_is_made_twice_under_one_id() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    assert_fails!(it.store.create(queue, session()).await, StoreError::Failed(_));
    fill(&it.store, queue, 2).await;
    it.store.remove(queue, OWNER).await.unwrap();
    it.store.create(queue, session()).await.unwrap();
    assert_eq!(poll(&it.store, queue, NOTHING).await.unwrap(), []);
}

async fn overflown(store: &Embedded, queue: QueueId) {
    let appended = send(store, queue, "one too many").await.unwrap();
    assert_eq!((appended.stored, appended.overflowed), (vec![], vec![queue]));
    // It has ended: nobody is told a second time.
    assert_eq!(send(store, queue, "another").await.unwrap(), Appended::default());
}

#[tokio::test]
async fn one_event_too_many_ends_the_queue_and_is_told_once() {
    let it = Fixture::with(Limits { events_per_queue: 3, ..Limits::default() });
    let queue = queue(&it.store).await;
    fill(&it.store, queue, 3).await;
    overflown(&it.store, queue).await;
    let foreign = Begin { queue, owner: "ben", seen: NOTHING };
    assert_fails!(it.store.begin(foreign).await, StoreError::NotFound);
    assert_fails!(begin(&it.store, queue, NOTHING).await, StoreError::Overflowed);
    assert_fails!(begin(&it.store, queue, NOTHING).await, StoreError::NotFound);
}

#[tokio::test]
async fn a_parked_poll_is_told_of_the_overflow_and_a_superseded_one_is_not() {
    let it = Fixture::with(Limits { bytes_per_queue: 100, ..Limits::default() });
    let queue = queue(&it.store).await;
    let old = begin(&it.store, queue, NOTHING).await.unwrap().turn;
    let new = begin(&it.store, queue, NOTHING).await.unwrap().turn;
    fill(&it.store, queue, 3).await;
    overflown(&it.store, queue).await;
    assert_fails!(it.store.read(queue, NOTHING, Some(old)).await, StoreError::Superseded);
    assert_fails!(it.store.read(queue, NOTHING, Some(new)).await, StoreError::Overflowed);
    assert_fails!(it.store.read(queue, NOTHING, Some(new)).await, StoreError::NotFound);
}

#[tokio::test]
async fn what_is_acknowledged_makes_room() {
    let it =
        Fixture::with(Limits { events_per_queue: 2, bytes_per_queue: 80, ..Limits::default() });
    let queue = queue(&it.store).await;
    for seen in (1..40).step_by(2) {
        fill(&it.store, queue, 2).await;
        assert_eq!(poll(&it.store, queue, seen).await.unwrap(), []);
    }
}

#[tokio::test]
async fn appends_at_once_are_all_stored_in_the_order_of_their_ids() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    let appended = futures_util::future::join_all((0..300).map(|n| {
        let (store, text) = (&it.store, n.to_string());
        async move { send(store, queue, &text).await }
    }))
    .await;
    assert!(appended.into_iter().all(|one| one.unwrap().stored == [queue]));
    let events = drain(&it.store, queue).await;
    assert_eq!(ids(&events), (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_call_that_is_given_up_is_done_or_not() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    for n in 0..50 {
        let text = n.to_string();
        tokio::select! {
            biased;
            _ = send(&it.store, queue, &text) => {}
            () = tokio::task::yield_now() => {}
        }
    }
    fill(&it.store, queue, 1).await;
    let got = ids(&drain(&it.store, queue).await);
    assert_eq!(got, (0..i64::try_from(got.len()).unwrap()).collect::<Vec<_>>());
}

#[tokio::test]
async fn after_close_all_fails() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    it.store.ready().await.unwrap();
    it.store.close().await;
    it.store.close().await;
    assert_fails!(it.store.ready().await, StoreError::Unavailable(_));
    assert_fails!(send(&it.store, queue, "").await, StoreError::Unavailable(_));
    assert_fails!(begin(&it.store, queue, NOTHING).await, StoreError::Unavailable(_));
    assert_fails!(it.store.read(queue, NOTHING, None).await, StoreError::Unavailable(_));
    assert_fails!(it.store.remove(queue, OWNER).await, StoreError::Unavailable(_));
    assert_fails!(it.store.create(QueueId::random(), session()).await, StoreError::Unavailable(_));
    it.store.end(queue);
}
