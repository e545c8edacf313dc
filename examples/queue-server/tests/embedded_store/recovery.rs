//! What a restart finds: after a close, after a drop, after a crash.

use std::time::Duration;

use queue_server::store::{
    Limits, NOTHING, Session, Store, StoreError, Target,
    embedded::{Embedded, OpenError},
};

use crate::support::*;

#[tokio::test]
async fn all_is_there_after_a_close() {
    let it = Fixture::new();
    let (full, empty) = (queue(&it.store).await, queue(&it.store).await);
    fill(&it.store, full, 5).await;
    fill(&it.store, empty, 3).await;
    poll(&it.store, full, 1).await.unwrap();
    poll(&it.store, empty, 2).await.unwrap();
    let dir = it.close().await;
    let store = open(dir.path()).await.store;
    assert_fails!(poll(&store, full, 0).await, StoreError::Pruned(0));
    assert_eq!(ids(&poll(&store, full, 1).await.unwrap()), [2, 3, 4]);
    assert_eq!(poll(&store, empty, 2).await.unwrap(), []);
    // No id is given twice, though nothing is left that has it.
    fill(&store, empty, 1).await;
    assert_eq!(ids(&poll(&store, empty, 2).await.unwrap()), [3]);
}

#[tokio::test]
async fn all_is_there_after_a_drop() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    fill(&it.store, queue, 3).await;
    drop(it.store);
    let store = open(it.dir.path()).await.store;
    assert_eq!(ids(&poll(&store, queue, NOTHING).await.unwrap()), [0, 1, 2]);
}

#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let it = Fixture::new();
    let session = Session {
        owner: OWNER.into(),
        event_types: Some(vec!["note".into()]),
        idle_timeout: Duration::from_millis(1500),
        heartbeat: true,
    };
    let id = queue_server::id::QueueId::random();
    it.store.create(id, session.clone()).await.unwrap();
    let crashed = it.crash();
    let after = open(crashed.path()).await;
    assert_eq!(after.damage, None);
    let begun = begin(&after.store, id, NOTHING).await.unwrap();
    assert_eq!(*begun.session, session);

    send(&it.store, id, "kept").await.unwrap();
    let crashed = it.crash();
    let store = open(crashed.path()).await.store;
    let events = poll(&store, id, NOTHING).await.unwrap();
    assert_eq!(events[0].json, event("kept").json);
    store.append(Target::Heartbeat(id), event("")).await.unwrap();
    assert_eq!(ids(&poll(&store, id, 0).await.unwrap()), [1]);
}

#[tokio::test]
async fn an_acknowledgement_that_a_crash_forgot_harms_nobody() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    fill(&it.store, queue, 4).await;
    poll(&it.store, queue, 0).await.unwrap();
    // Writes the first.
    fill(&it.store, queue, 1).await;
    poll(&it.store, queue, 2).await.unwrap();
    let crashed = it.crash();
    let store = open(crashed.path()).await.store;
    assert_fails!(poll(&store, queue, NOTHING).await, StoreError::Pruned(NOTHING));
    // The client polls with what it has.
    assert_eq!(ids(&poll(&store, queue, 2).await.unwrap()), [3, 4]);
    assert_fails!(poll(&store, queue, 1).await, StoreError::Pruned(1));
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_is_written_though_nothing_else_is() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    fill(&it.store, queue, 4).await;
    poll(&it.store, queue, 2).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let crashed = it.crash();
    let store = open(crashed.path()).await.store;
    assert_fails!(poll(&store, queue, 1).await, StoreError::Pruned(1));
    assert_eq!(ids(&poll(&store, queue, 2).await.unwrap()), [3]);
}

#[tokio::test]
async fn an_overflow_is_told_after_a_crash_too() {
    let it = Fixture::with(Limits { events_per_queue: 2, ..Limits::default() });
    let queue = queue(&it.store).await;
    fill(&it.store, queue, 2).await;
    send(&it.store, queue, "one too many").await.unwrap();
    let crashed = it.crash();
    let store = open(crashed.path()).await.store;
    assert_fails!(begin(&store, queue, NOTHING).await, StoreError::Overflowed);
    assert_fails!(begin(&store, queue, NOTHING).await, StoreError::NotFound);
}

#[tokio::test]
async fn a_removal_that_was_answered_survives_a_crash() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    fill(&it.store, queue, 2).await;
    it.store.remove(queue, OWNER).await.unwrap();
    let crashed = it.crash();
    assert_eq!(open(crashed.path()).await.store.stats().queues, Some(0));
}

#[tokio::test]
async fn a_directory_is_for_one_server() {
    let it = Fixture::new();
    let error = Embedded::open(it.dir.path(), Limits::default()).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    assert!(error.to_string().contains("is used by another server"), "{error}");
    let dir = it.close().await;
    Embedded::open(dir.path(), Limits::default()).unwrap();
}

#[tokio::test]
async fn a_directory_is_made_where_there_is_none() {
    let dir = tempfile::TempDir::new().unwrap();
    let deep = dir.path().join("var").join("queues");
    queue(&open(&deep).await.store).await;
    assert!(deep.join(FILE).exists());
}
