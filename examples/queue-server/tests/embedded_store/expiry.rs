//! Idle queues go, and only they. Time is paused: it passes when all wait.

use std::time::Duration;

use queue_server::{
    id::QueueId,
    store::{Limits, NOTHING, Session, Store, StoreError, Target},
};
use tokio::time::{advance, sleep};

use crate::support::*;

const MOMENT: Duration = Duration::from_millis(1);
/// [`IDLE`] but for a moment.
const ALMOST: Duration = Duration::from_millis(599_999);

#[tokio::test(start_paused = true)]
async fn idle_time_counts_from_the_end_of_the_last_poll() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    advance(ALMOST).await;
    begin(&it.store, queue, NOTHING).await.unwrap();
    let second = begin(&it.store, queue, NOTHING).await.unwrap();
    // However long polls take.
    sleep(IDLE * 3).await;
    it.store.end(queue);
    sleep(IDLE * 3).await;
    assert_eq!(it.store.read(queue, NOTHING, Some(second.turn)).await.unwrap(), []);
    it.store.end(queue);
    sleep(ALMOST).await;
    poll(&it.store, queue, NOTHING).await.unwrap();
    sleep(ALMOST).await;
    assert_eq!(it.store.stats().queues, Some(1));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(it.store.stats().queues, Some(0));
    assert_fails!(begin(&it.store, queue, NOTHING).await, StoreError::NotFound);
}

#[tokio::test(start_paused = true)]
async fn an_event_keeps_no_queue_alive() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    sleep(ALMOST).await;
    fill(&it.store, queue, 1).await;
    sleep(MOMENT).await;
    assert_fails!(begin(&it.store, queue, NOTHING).await, StoreError::NotFound);
}

/// The clock stands still but for what is advanced, and the collector has no chance in between.
#[tokio::test(start_paused = true)]
async fn an_expired_queue_is_gone_before_it_is_collected() {
    let it = Fixture::with(Limits { queues_per_user: 2, ..Limits::default() });
    let expire = async || {
        let [one, two] = [queue(&it.store).await, queue(&it.store).await];
        advance(IDLE).await;
        [one, two]
    };
    let [one, two] = expire().await;
    assert_fails!(begin(&it.store, one, NOTHING).await, StoreError::NotFound);
    assert_fails!(it.store.read(two, NOTHING, None).await, StoreError::NotFound);
    let [one, two] = expire().await;
    assert_fails!(it.store.remove(one, OWNER).await, StoreError::NotFound);
    assert_eq!(send(&it.store, two, "").await.unwrap().stored, []);
    assert_eq!(it.store.append(Target::Heartbeat(two), event("")).await.unwrap().stored, []);
    let [_, _] = expire().await;
    // They do not count.
    queue(&it.store).await;
    queue(&it.store).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_idle_time_counts_anew_and_the_file_forgets_what_expired() {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    fill(&it.store, queue, 3).await;
    sleep(ALMOST).await;
    let dir = it.close().await;
    let store = open(dir.path()).await.store;
    sleep(ALMOST).await;
    assert_eq!(ids(&poll(&store, queue, NOTHING).await.unwrap()), [0, 1, 2]);
    sleep(IDLE + Duration::from_secs(5)).await;
    assert_eq!(store.stats().queues, Some(0));
    // Without a close.
    let copy = tempfile::TempDir::new().unwrap();
    std::fs::copy(dir.path().join(FILE), copy.path().join(FILE)).unwrap();
    assert_eq!(open(copy.path()).await.store.stats().queues, Some(0));
}

#[tokio::test(start_paused = true)]
async fn each_queue_has_its_own_time() {
    let it = Fixture::new();
    let mut queues = Vec::new();
    for seconds in 1..=20 {
        let id = QueueId::random();
        let idle_timeout = Duration::from_secs(seconds * 10);
        it.store.create(id, Session { idle_timeout, ..session() }).await.unwrap();
        queues.push(id);
    }
    for gone in 0..=20 {
        assert_eq!(it.store.stats().queues, Some(20 - gone));
        sleep(Duration::from_secs(10)).await;
        if gone == 0 {
            sleep(Duration::from_secs(2)).await;
        }
    }
}
