//! Queues: who has them, who polls them, and what they keep.

use super::*;

#[tokio::test]
async fn a_queue_keeps_its_session() {
    let Fixture { store, server: _server } = fixture().await;
    let odd = Session {
        owner: "päul:{1} \r\n".into(),
        event_types: Some(vec!["b".into(), "a \"quoted\"".into()]),
        idle_timeout: Duration::from_millis(604_799_999),
        heartbeat: true,
    };
    for session in [session("paul"), odd.clone(), Session { event_types: Some(vec![]), ..odd }] {
        let queue = QueueId::random();
        store.create(queue, session.clone()).await.unwrap();
        assert_eq!(*store.poll(queue, &session.owner, -1).await.unwrap().session, session);
    }
}

#[tokio::test]
async fn an_id_is_given_once() {
    let Fixture { store, server: _server } = fixture().await;
    let queue = store.register("paul").await;
    let again = store.create(queue, session("mary")).await;
    assert!(matches!(again, Err(StoreError::Failed(_))), "{again:?}");
    store.poll(queue, "paul", -1).await.unwrap();
}

#[tokio::test]
async fn a_user_has_as_many_queues_as_allowed() {
    let Fixture { store, server: _server } =
        fixture_with(Limits { queues_per_user: 2, ..Limits::default() }).await;
    let first = store.register("paul").await;
    store.register("paul").await;
    let third = store.create(QueueId::random(), session("paul")).await;
    assert!(matches!(third, Err(StoreError::TooManyQueues(2))), "{third:?}");

    store.register("mary").await;
    store.remove(first, "paul").await.unwrap();
    store.register("paul").await;
}

#[tokio::test]
async fn queues_that_expired_are_not_counted_and_are_forgotten() {
    let Fixture { store, server } =
        fixture_with(Limits { queues_per_user: 1, ..Limits::default() }).await;
    let queue = store.register("paul").await;
    let mut redis = server.connection().await;
    let () = redis::cmd("DEL").arg(hash(queue)).query_async(&mut redis).await.unwrap();
    let next = store.register("paul").await;
    let members: Vec<String> =
        redis::cmd("SMEMBERS").arg("queue-server:user:paul").query_async(&mut redis).await.unwrap();
    assert_eq!(members, [next.to_string()]);
}

#[tokio::test]
async fn unknown_and_foreign_queues_are_not_found() {
    let Fixture { store, server: _server } = fixture().await;
    let queue = store.register("paul").await;
    for (queue, owner) in [(queue, "mary"), (QueueId::random(), "paul")] {
        assert!(matches!(store.poll(queue, owner, -1).await, Err(StoreError::NotFound)));
        assert!(matches!(store.remove(queue, owner).await, Err(StoreError::NotFound)));
    }
    let unknown = store.read(QueueId::random(), -1, None).await;
    assert!(matches!(unknown, Err(StoreError::NotFound)), "{unknown:?}");
    store.poll(queue, "paul", -1).await.unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_is_gone_and_the_rest_stays() {
    let Fixture { store, server: _server } = fixture().await;
    let queue = store.register("paul").await;
    for n in 0..5 {
        store.send(queue, n).await.unwrap();
    }
    assert!(!store.poll(queue, "paul", -1).await.unwrap().progress);
    assert_eq!(store.all(queue).await, [0, 1, 2, 3, 4]);

    assert!(store.poll(queue, "paul", 2).await.unwrap().progress);
    assert_eq!(store.all(queue).await, [3, 4]);
    assert!(!store.poll(queue, "paul", 2).await.unwrap().progress);
    assert_eq!(store.all(queue).await, [3, 4]);

    let pruned = store.poll(queue, "paul", 1).await;
    assert!(matches!(pruned, Err(StoreError::Pruned(1))), "{pruned:?}");
    for never in [5, i64::MAX, -2, i64::MIN] {
        let unknown = store.poll(queue, "paul", never).await;
        assert!(matches!(unknown, Err(StoreError::UnknownEvent(id)) if id == never), "{unknown:?}");
    }
    assert_eq!(store.all(queue).await, [3, 4]);

    assert!(store.peek(queue, "paul", 4).await.unwrap().progress);
    assert!(store.all(queue).await.is_empty());
    store.send(queue, 5).await.unwrap();
    assert_eq!(store.all(queue).await, [5]);
}

#[tokio::test]
async fn the_newest_poll_has_the_queue() {
    let Fixture { store, server: _server } = fixture().await;
    let queue = store.register("paul").await;
    store.send(queue, 0).await.unwrap();
    let old = store.poll(queue, "paul", -1).await.unwrap().turn;
    store.peek(queue, "paul", -1).await.unwrap();
    let events = store.read(queue, -1, Some(old)).await.unwrap();
    assert_eq!(ids(&events), [0], "who does not park takes nothing over");

    let new = store.poll(queue, "paul", -1).await.unwrap().turn;
    assert!(new > old);
    let superseded = store.read(queue, -1, Some(old)).await;
    assert!(matches!(superseded, Err(StoreError::Superseded)), "{superseded:?}");
    assert_eq!(ids(&store.read(queue, -1, Some(new)).await.unwrap()), [0]);
    assert_eq!(store.all(queue).await, [0]);
}

#[tokio::test]
async fn a_removed_queue_is_gone_with_everything() {
    let Fixture { store, server } = fixture().await;
    let queue = store.register("paul").await;
    let turn = store.poll(queue, "paul", -1).await.unwrap().turn;
    store.send(queue, 0).await.unwrap();
    store.remove(queue, "paul").await.unwrap();

    assert!(matches!(store.read(queue, -1, Some(turn)).await, Err(StoreError::NotFound)));
    assert!(matches!(store.poll(queue, "paul", -1).await, Err(StoreError::NotFound)));
    assert!(matches!(store.remove(queue, "paul").await, Err(StoreError::NotFound)));
    assert_eq!(store.send(queue, 1).await.unwrap(), Appended::default());
    let size: u64 = redis::cmd("DBSIZE").query_async(&mut server.connection().await).await.unwrap();
    assert_eq!(size, 0);
}

#[tokio::test]
async fn a_queue_whose_events_were_evicted_is_gone() {
    let Fixture { store, server } = fixture().await;
    let mut redis = server.connection().await;
    for by_read in [true, false] {
        let queue = store.register("paul").await;
        store.send(queue, 0).await.unwrap();
        let () = redis::cmd("DEL").arg(stream(queue)).query_async(&mut redis).await.unwrap();
        if by_read {
            assert!(matches!(store.read(queue, -1, None).await, Err(StoreError::NotFound)));
        }
        assert!(matches!(store.poll(queue, "paul", 0).await, Err(StoreError::NotFound)));
    }
}

pub(super) fn hash(queue: QueueId) -> String {
    format!("queue-server:queue:{{{queue}}}")
}

pub(super) fn stream(queue: QueueId) -> String {
    format!("queue-server:events:{{{queue}}}")
}
