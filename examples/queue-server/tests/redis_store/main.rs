//! The Redis store on a real Redis.

#[path = "../support/redis.rs"]
mod redis_server;

mod connecting;
mod events;
mod figures;
mod life;
mod model;
mod outage;
mod queues;
mod servers;

use std::{future::Future, sync::Arc, time::Duration};

use queue_server::{
    id::QueueId,
    store::{
        Appended, Begin, Begun, Event, EventId, Limits, NewEvent, Notice, OnNotice, Session, Store,
        StoreError, Taken, Target, redis::Redis,
    },
};
use tokio::{sync::mpsc, time};

use self::redis_server::RedisServer;

const PARK: Duration = Duration::from_secs(50);
const IDLE: Duration = Duration::from_secs(600);
/// Of everything that a test waits for.
const SOON: Duration = Duration::from_secs(30);

/// A store on a Redis of its own.
struct Fixture {
    server: RedisServer,
    store: Redis,
}

async fn fixture() -> Fixture {
    fixture_with(Limits::default()).await
}

async fn fixture_with(limits: Limits) -> Fixture {
    let server = RedisServer::start().await;
    let store = connect(&server, limits, Arc::new(|_| {})).await;
    Fixture { server, store }
}

async fn connect(server: &RedisServer, limits: Limits, on_notice: OnNotice) -> Redis {
    Redis::connect(&server.url(), limits, PARK, on_notice).await.expect("a Redis that answers")
}

/// A store, and what it is told of the others.
async fn listening(server: &RedisServer) -> (Redis, mpsc::UnboundedReceiver<Notice>) {
    let (notices, heard) = mpsc::unbounded_channel();
    let on_notice: OnNotice = Arc::new(move |notice| {
        // Nobody may listen any more.
        let _ = notices.send(notice);
    });
    (connect(server, Limits::default(), on_notice).await, heard)
}

async fn hears(heard: &mut mpsc::UnboundedReceiver<Notice>, expected: Notice) {
    soon(async { while heard.recv().await.expect("the store lives") != expected {} }).await;
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    time::timeout(SOON, what).await.expect("it comes soon")
}

/// Polls a condition that nothing tells of.
async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    soon(async {
        while !holds().await {
            time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

fn session(owner: &str) -> Session {
    Session { owner: owner.into(), event_types: None, idle_timeout: IDLE, heartbeat: false }
}

fn event(kind: &str, n: usize) -> NewEvent {
    NewEvent { kind: kind.into(), json: format!(r#"{{"type":"{kind}","n":{n}}}"#).into() }
}

fn ids(events: &[Event]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

/// A poll that has begun, and has the queue.
#[derive(Debug)]
struct Polling {
    begun: Begun,
    turn: u64,
}

impl std::ops::Deref for Polling {
    type Target = Begun;

    fn deref(&self) -> &Begun {
        &self.begun
    }
}

/// What the tests do most.
trait Short: Store {
    async fn register(&self, owner: &str) -> QueueId {
        let queue = QueueId::random();
        self.create(queue, session(owner)).await.expect("a queue");
        queue
    }

    /// A poll of its owner, who parks.
    async fn poll(
        &self,
        queue: QueueId,
        owner: &str,
        seen: EventId,
    ) -> Result<Polling, StoreError> {
        let begun = self.begin(Begin { queue, owner, seen }).await?;
        Ok(Polling { begun, turn: self.take(queue, seen).await?.turn })
    }

    async fn peek(&self, queue: QueueId, owner: &str, seen: EventId) -> Result<Begun, StoreError> {
        self.begin(Begin { queue, owner, seen }).await
    }

    async fn send(&self, queue: QueueId, n: usize) -> Result<Appended, StoreError> {
        self.append(Target::Queues(vec![queue]), event("message", n)).await
    }

    async fn all(&self, queue: QueueId) -> Vec<EventId> {
        ids(&self.read(queue, -1, None).await.expect("a queue"))
    }
}

impl<S: Store> Short for S {}
