//! A Redis that is gone for a while.

use std::collections::HashMap;

use super::*;

/// Above the bound of a command.
const BOUND: Duration = Duration::from_secs(10);

/// Every operation, with whether it said that the store is unavailable.
async fn every_operation(store: &Redis, queue: QueueId) -> Vec<(&'static str, bool)> {
    async fn unavailable<T>(
        what: &'static str,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> (&'static str, bool) {
        let answer = time::timeout(BOUND, operation).await.expect("every command is bounded");
        (what, matches!(answer, Err(StoreError::Unavailable(_))))
    }
    let (create, begin, read, append, remove, ready) = tokio::join!(
        unavailable("create", store.create(QueueId::random(), session("paul"))),
        unavailable("begin", store.poll(queue, "paul", -1)),
        unavailable("read", store.read(queue, -1, None)),
        unavailable("append", store.send(queue, 0)),
        unavailable("remove", store.remove(queue, "mary")),
        unavailable("ready", store.ready()),
    );
    vec![create, begin, read, append, remove, ready]
}

async fn works(store: &Redis) -> bool {
    store.ready().await.is_ok()
}

#[tokio::test]
async fn without_redis_everything_is_unavailable_within_its_bound_and_later_works_again() {
    let mut server = RedisServer::start().await;
    let (store, mut heard) = listening(&server).await;
    let queue = store.register("paul").await;
    server.kill();
    for _ in 0..2 {
        for (what, unavailable) in every_operation(&store, queue).await {
            assert!(unavailable, "{what}");
        }
    }
    store.end(queue);

    server.restart().await;
    hears(&mut heard, Notice::LookAtAll).await;
    // Who is told to look can: nothing is still on its way back.
    assert_eq!(store.send(queue, 0).await.unwrap().stored, [queue]);
    hears(&mut heard, Notice::Look(queue)).await;
    store.poll(queue, "paul", -1).await.unwrap();
    assert_eq!(store.all(queue).await, [0]);
}

#[tokio::test]
async fn a_redis_that_was_restarted_while_nobody_asked_answers_at_once() {
    let mut server = RedisServer::start().await;
    let (store, mut heard) = listening(&server).await;
    for _ in 0..3 {
        server.restart().await;
        hears(&mut heard, Notice::LookAtAll).await;
        store.ready().await.unwrap();
    }
}

#[tokio::test]
async fn a_redis_that_hangs_is_unavailable() {
    let Fixture { store, server } = fixture().await;
    let queue = store.register("paul").await;
    server.pause();
    for (what, unavailable) in every_operation(&store, queue).await {
        assert!(unavailable, "{what}");
    }
    server.resume();
    until(async || works(&store).await).await;
}

#[tokio::test]
async fn a_login_that_is_refused_for_a_while_is_tried_again() {
    let server = RedisServer::start().await;
    let (store, mut heard) = listening(&server).await;
    let mut redis = server.connection().await;
    set(&mut redis, "requirepass", "word").await;
    for kind in ["normal", "pubsub"] {
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg(kind).exec_async(&mut redis).await.unwrap();
    }
    let refused = store.ready().await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    set(&mut redis, "requirepass", "").await;
    hears(&mut heard, Notice::LookAtAll).await;
    store.ready().await.unwrap();
}

#[tokio::test]
async fn lost_wake_ups_are_made_good_by_a_look_at_all() {
    let server = RedisServer::start().await;
    let (store, mut heard) = listening(&server).await;
    let mut redis = server.connection().await;
    let mut kill = redis::cmd("CLIENT");
    let killed: u64 =
        kill.arg("KILL").arg("TYPE").arg("pubsub").query_async(&mut redis).await.unwrap();
    assert_eq!(killed, 1);
    assert_eq!(soon(heard.recv()).await, Some(Notice::LookAtAll));
    let queue = store.register("paul").await;
    store.send(queue, 0).await.unwrap();
    assert_eq!(soon(heard.recv()).await, Some(Notice::Look(queue)));
}

#[tokio::test]
async fn a_full_or_read_only_redis_is_unavailable_and_lets_polls_go_on() {
    let Fixture { store, server } = fixture().await;
    let queue = store.register("paul").await;
    store.send(queue, 0).await.unwrap();
    let mut redis = server.connection().await;
    set(&mut redis, "maxmemory", "1").await;
    let full = store.send(queue, 1).await;
    assert!(
        matches!(&full, Err(StoreError::Unavailable(why)) if why.contains("maxmemory")),
        "{full:?}"
    );
    assert!(matches!(
        store.create(QueueId::random(), session("paul")).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))));
    assert!(store.poll(queue, "paul", 0).await.unwrap().progress, "which makes room");
    set(&mut redis, "maxmemory", "0").await;
    assert_eq!(store.send(queue, 1).await.unwrap().stored, [queue]);

    let mut replica = redis::cmd("REPLICAOF");
    replica.arg("127.0.0.1").arg(1).exec_async(&mut redis).await.unwrap();
    assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))));
    let read_only = store.send(queue, 2).await;
    assert!(
        matches!(&read_only, Err(StoreError::Unavailable(why)) if why.contains("replica")),
        "{read_only:?}"
    );
}

async fn set(redis: &mut redis::aio::MultiplexedConnection, name: &str, value: &str) {
    let () = redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query_async(redis).await.unwrap();
}

#[tokio::test]
async fn what_a_defect_says_shows_no_queue() {
    let Fixture { store, server } = fixture().await;
    let queue = store.register("paul").await;
    let mut redis = server.connection().await;
    let key = super::queues::stream(queue);
    let () = redis::cmd("SET").arg(key).arg("no stream").query_async(&mut redis).await.unwrap();
    let failed = store.send(queue, 0).await;
    assert!(matches!(failed, Err(StoreError::Failed(_))), "{failed:?}");
    assert!(!failed.unwrap_err().to_string().contains(&queue.to_string()));
}

#[tokio::test]
async fn a_closed_store_fails() {
    let Fixture { store, server } = fixture().await;
    let queue = store.register("paul").await;
    store.poll(queue, "paul", -1).await.unwrap();
    store.end(queue);
    store.close().await;
    for (what, unavailable) in every_operation(&store, queue).await {
        assert!(unavailable, "{what}");
    }
    let mut redis = server.connection().await;
    let ms: u128 =
        redis::cmd("PTTL").arg(super::queues::hash(queue)).query_async(&mut redis).await.unwrap();
    assert!(ms <= IDLE.as_millis(), "the last ends are told");
}

/// What the senders know at the end: for each queue, its events by their content, or that they do not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill_under_load() {
    const SENDERS: usize = 16;
    let mut server = RedisServer::start().await;
    let (store, mut heard) = listening(&server).await;
    let store = Arc::new(store);
    let limits_are_far = 900;

    let (acknowledged, mut count) = mpsc::unbounded_channel();
    let mut senders = Vec::new();
    for _ in 0..SENDERS {
        let (store, acknowledged) = (Arc::clone(&store), acknowledged.clone());
        let queue = store.register("paul").await;
        senders.push(tokio::spawn(async move {
            let mut safe = Vec::new();
            // Goes on behind the restart, so that ids before and after it meet.
            for n in 0..limits_are_far {
                match store.send(queue, n).await {
                    Ok(appended) => {
                        assert_eq!(appended.stored, [queue]);
                        safe.push(n);
                        acknowledged.send(()).unwrap();
                    }
                    Err(StoreError::Unavailable(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            (queue, safe)
        }));
    }
    for _ in 0..SENDERS * 50 {
        soon(count.recv()).await;
    }
    server.kill();
    server.restart().await;
    hears(&mut heard, Notice::LookAtAll).await;

    for sender in senders {
        let (queue, safe) = soon(sender).await.unwrap();
        assert!(safe.len() > 50);
        let mut stored = HashMap::new();
        let (mut after, mut last) = (-1, -1);
        loop {
            let page = store.read(queue, after, None).await.unwrap();
            let Some(newest) = page.last() else { break };
            after = newest.id;
            for event in page {
                assert!(event.id > last, "ids strictly increase");
                last = event.id;
                stored.insert(event.json, event.id);
            }
        }
        let places: Vec<_> = safe.iter().map(|n| stored.get(&event("message", *n).json)).collect();
        assert!(places.iter().all(Option::is_some), "nothing acknowledged is lost");
        assert!(places.is_sorted(), "and nothing has changed its place");
    }
}
