//! How long a queue lives. Nobody waits: Redis is asked.

use std::time::Duration;

use redis::cmd;

use super::{
    queues::{hash, stream},
    *,
};

/// What a poll keeps its queue for when nobody ends it.
const LEASE: Duration = Duration::from_secs(50 + 15);
/// What a slow machine may take off a time to live.
const SLACK: Duration = Duration::from_secs(20);

/// Of a key in Redis. `None` if there is none.
async fn ttl(server: &RedisServer, key: String) -> Option<Duration> {
    let mut redis = server.connection().await;
    let ms: i64 = cmd("PTTL").arg(key).query_async(&mut redis).await.unwrap();
    assert_ne!(ms, -1, "everything has a time to live");
    u64::try_from(ms).ok().map(Duration::from_millis)
}

async fn is_idle(server: &RedisServer, queue: QueueId) -> bool {
    ttl(server, hash(queue)).await.unwrap() <= IDLE
}

async fn is_polled(server: &RedisServer, queue: QueueId) -> bool {
    let ttl = ttl(server, hash(queue)).await.unwrap();
    ttl <= IDLE + LEASE && ttl + SLACK > IDLE + LEASE
}

#[tokio::test]
async fn a_new_queue_lives_for_its_idle_time() {
    let Fixture { store, server } = fixture().await;
    let queue = store.register("paul").await;
    assert!(is_idle(&server, queue).await);
    assert!(ttl(&server, hash(queue)).await.unwrap() + SLACK > IDLE);
}

#[tokio::test]
async fn a_poll_keeps_the_queue_and_its_end_starts_the_idle_time() {
    let Fixture { store, server } = fixture().await;
    let queue = store.register("paul").await;
    store.poll(queue, "paul", -1).await.unwrap();
    assert!(is_polled(&server, queue).await);
    store.end(queue);
    until(async || is_idle(&server, queue).await).await;
}

#[tokio::test]
async fn an_event_does_not_prolong_and_lives_as_long_as_its_queue() {
    let Fixture { store, server } = fixture().await;
    let queue = store.register("paul").await;
    store.send(queue, 0).await.unwrap();
    assert!(is_idle(&server, queue).await);
    for polled in [false, true, false] {
        let [of_events, of_queue] = [stream(queue), hash(queue)].map(|key| ttl(&server, key));
        let (of_events, of_queue) = (of_events.await.unwrap(), of_queue.await.unwrap());
        assert!(
            of_events >= of_queue && of_events < of_queue + SLACK,
            "{of_events:?} {of_queue:?}"
        );
        if polled {
            store.end(queue);
            until(async || is_idle(&server, queue).await).await;
        } else {
            store.poll(queue, "paul", -1).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_end_of_an_older_poll_leaves_the_newer_its_time() {
    let Fixture { store, server } = fixture().await;
    let queue = store.register("paul").await;
    store.poll(queue, "paul", -1).await.unwrap();
    store.poll(queue, "paul", -1).await.unwrap();
    store.peek(queue, "paul", -1).await.unwrap();
    for _ in 0..2 {
        store.end(queue);
        told(&store).await;
        assert!(is_polled(&server, queue).await);
    }
    store.end(queue);
    until(async || is_idle(&server, queue).await).await;
}

/// What has ended before is told when this has.
async fn told(store: &Redis) {
    let mark = store.register("somebody").await;
    store.poll(mark, "somebody", -1).await.unwrap();
    store.end(mark);
    // Its end is told in order, so one more round trip after it is enough.
    store.ready().await.unwrap();
    store.remove(mark, "somebody").await.unwrap();
}

#[tokio::test]
async fn the_idle_time_counts_from_the_last_end_on_whatever_server() {
    let Fixture { store: one, server } = fixture().await;
    let other = connect(&server, Limits::default(), Arc::new(|_| {})).await;
    let queue = one.register("paul").await;
    one.poll(queue, "paul", -1).await.unwrap();
    other.poll(queue, "paul", -1).await.unwrap();
    one.end(queue);
    until(async || polls(&server, queue).await == 1).await;
    assert!(is_polled(&server, queue).await);
    other.end(queue);
    until(async || is_idle(&server, queue).await).await;
    assert_eq!(polls(&server, queue).await, 0);
}

/// That Redis knows of.
async fn polls(server: &RedisServer, queue: QueueId) -> usize {
    let mut redis = server.connection().await;
    let fields: Vec<String> = cmd("HKEYS").arg(hash(queue)).query_async(&mut redis).await.unwrap();
    fields.iter().filter(|field| field.starts_with("poll:")).count()
}

#[tokio::test]
async fn a_server_that_died_keeps_a_queue_for_no_longer_than_its_poll() {
    let Fixture { store, server } = fixture().await;
    let queue = store.register("paul").await;
    let mut redis = server.connection().await;
    // As if its server had begun a poll a long time ago, and died.
    let () =
        cmd("HSET").arg(hash(queue)).arg("poll:dead").arg(1).query_async(&mut redis).await.unwrap();
    store.poll(queue, "paul", -1).await.unwrap();
    assert_eq!(polls(&server, queue).await, 1);
    store.end(queue);
    until(async || is_idle(&server, queue).await).await;
}

#[tokio::test]
async fn a_poll_that_was_refused_or_cancelled_keeps_nothing() {
    let Fixture { store, server } = fixture().await;
    let queue = store.register("paul").await;
    assert!(store.poll(queue, "mary", -1).await.is_err());
    assert!(store.poll(queue, "paul", 7).await.is_err());
    assert!(is_idle(&server, queue).await);

    // Its command is on its way when nobody waits any more.
    for _ in 0..20 {
        let poll = store.peek(queue, "paul", -1);
        let cancelled = time::timeout(Duration::from_micros(200), poll).await;
        if cancelled.is_ok() {
            store.end(queue);
        }
    }
    until(async || polls(&server, queue).await == 0).await;
    assert!(is_idle(&server, queue).await);
}

#[tokio::test]
async fn an_idle_queue_expires_with_everything() {
    let Fixture { store, server } = fixture().await;
    let queue = QueueId::random();
    let short = Session { idle_timeout: Duration::from_secs(1), ..session("paul") };
    store.create(queue, short).await.unwrap();
    store.send(queue, 0).await.unwrap();
    until(async || matches!(store.read(queue, -1, None).await, Err(StoreError::NotFound))).await;
    until(async || {
        let mut redis = server.connection().await;
        cmd("DBSIZE").query_async::<u64>(&mut redis).await.unwrap() == 0
    })
    .await;
}

#[tokio::test]
async fn what_a_user_has_is_remembered_as_long_as_the_queues_live() {
    let Fixture { store, server } = fixture().await;
    let queue = QueueId::random();
    let short = Session { idle_timeout: Duration::from_secs(1), ..session("paul") };
    store.create(queue, short).await.unwrap();
    store.poll(queue, "paul", -1).await.unwrap();
    let user = ttl(&server, "queue-server:user:paul".into()).await.unwrap();
    assert!(user >= ttl(&server, hash(queue)).await.unwrap());
}
