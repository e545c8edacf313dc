//! What happens in the moments between: a sender that leaves, polls that overtake each other, a heartbeat that comes late.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt as _;
use queue_server::{
    id::QueueId,
    store::{
        Appended, Begin, Begun, Event, EventId, Limits, NewEvent, Session, Stats, Store,
        StoreError, Taken, Target, embedded::Embedded,
    },
};
use serde_json::json;
use tokio::{sync::watch, task::block_in_place, time::timeout};

use crate::{
    redis_server::RedisServer,
    stage::{Server, Setup, Stage},
    world::{World, bounded, until},
};

on_every_stage![
    a_sender_that_leaves_before_its_event_is_stored_has_sent_it,
    a_registration_whose_client_has_left_takes_nothing_from_its_user,
    an_error_does_not_repeat_a_huge_body,
];

/// Far less than a poll is parked for.
const AT_ONCE: Duration = Duration::from_secs(8);

/// A client that leaves drops its handler: it may do so while the store writes.
async fn a_sender_that_leaves_before_its_event_is_stored_has_sent_it(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let parked = world.park(&queue, -1).await;
    let event = NewEvent { kind: "t".into(), json: Bytes::from_static(br#"{"type":"t"}"#) };
    let target = Target::Queues(vec![queue.id.parse().expect("an id")]);
    let queues = world.servers[0].app.queues();
    let left = Box::pin(queues.send(target, event)).now_or_never();
    assert!(left.is_none(), "it waits for the store");
    let answer = timeout(AT_ONCE, parked).await;
    let there = world.peek(&queue, -1).await.ids();
    match answer {
        Ok(answer) => assert_eq!(answer.expect("an answer").ids(), there),
        Err(_) => assert!(there.is_empty(), "stored, and the parked poll is not woken"),
    }
}

async fn a_registration_whose_client_has_left_takes_nothing_from_its_user(stage: Stage) {
    let world = stage.start_with(|setup| setup.limits.queues_per_user = 3).await;
    let user = world.user();
    let queues = world.servers[0].app.queues();
    for _ in 0..3 {
        let session = Session {
            owner: user.name.as_str().into(),
            event_types: None,
            idle_timeout: Duration::from_secs(604_800),
            heartbeat: false,
        };
        assert!(Box::pin(queues.register(session)).now_or_never().is_none());
    }
    let mut answer = world.register(&user, &json!({})).await;
    for _ in 0..20 {
        if answer.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        answer = world.register(&user, &json!({})).await;
    }
    answer.ok();
}

/// An embedded store some of whose calls take their time.
#[derive(Debug)]
struct Late {
    store: Embedded,
    takes: AtomicUsize,
    /// The first take is not made before this many are done.
    first_take_after: usize,
    /// How many are done.
    taken: AtomicUsize,
    /// Heartbeats are stored when it says so.
    heartbeats: watch::Sender<bool>,
    beats: AtomicUsize,
}

impl Late {
    fn new(dir: &tempfile::TempDir, first_take_after: usize, heartbeats: bool) -> Arc<Self> {
        let store = Embedded::open(dir.path(), Limits::default()).expect("a store").store;
        Arc::new(Self {
            store,
            takes: AtomicUsize::new(0),
            first_take_after,
            taken: AtomicUsize::new(0),
            heartbeats: watch::Sender::new(heartbeats),
            beats: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Store for Late {
    async fn create(&self, queue: QueueId, session: Session) -> Result<(), StoreError> {
        self.store.create(queue, session).await
    }

    async fn session(&self, queue: QueueId, owner: &str) -> Result<Arc<Session>, StoreError> {
        self.store.session(queue, owner).await
    }

    async fn begin(&self, begin: Begin<'_>) -> Result<Begun, StoreError> {
        self.store.begin(begin).await
    }

    /// As when the thread is not run for a while, or the command is under way to Redis.
    async fn take(&self, queue: QueueId, after: EventId) -> Result<Taken, StoreError> {
        if self.takes.fetch_add(1, Ordering::SeqCst) == 0 {
            block_in_place(|| {
                while self.taken.load(Ordering::SeqCst) < self.first_take_after {
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        let taken = self.store.take(queue, after).await;
        self.taken.fetch_add(1, Ordering::SeqCst);
        taken
    }

    async fn read(
        &self,
        queue: QueueId,
        after: EventId,
        turn: Option<u64>,
    ) -> Result<Vec<Event>, StoreError> {
        self.store.read(queue, after, turn).await
    }

    fn end(&self, queue: QueueId) {
        self.store.end(queue);
    }

    async fn append(&self, target: Target, event: NewEvent) -> Result<Appended, StoreError> {
        if matches!(target, Target::Heartbeat(_)) {
            self.beats.fetch_add(1, Ordering::SeqCst);
            let mut may = self.heartbeats.subscribe();
            may.wait_for(|may| *may).await.expect("it lives as long as the store");
        }
        self.store.append(target, event).await
    }

    async fn remove(&self, queue: QueueId, owner: &str) -> Result<(), StoreError> {
        self.store.remove(queue, owner).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.store.ready().await
    }

    fn stats(&self) -> Stats {
        self.store.stats()
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_polls_that_overtake_each_other_the_newest_wins() {
    bounded(async {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Late::new(&dir, 1, true);
        let world = World::on(Arc::clone(&store) as Arc<dyn Store>).await;
        let queue = world.queue().await;
        let older = tokio::spawn(world.poll(&queue, -1));
        until("the older poll is about to take", || store.takes.load(Ordering::SeqCst) == 1).await;
        let newer = tokio::spawn(world.poll(&queue, -1));
        older.await.expect("an answer").refused(409, "POLL_SUPERSEDED");
        until("both have taken", || store.taken.load(Ordering::SeqCst) == 2).await;
        assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 1);
        assert_eq!(newer.await.expect("an answer").ids(), [0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_comes_late_wakes_the_poll_that_came_meanwhile() {
    bounded(async {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Late::new(&dir, 0, false);
        let mut setup = Setup::default();
        setup.settings.times.park = Duration::from_secs(3);
        let servers = vec![Server::on(Arc::clone(&store) as Arc<dyn Store>, &setup).await];
        let world = World::new(servers, setup, dir, None::<Arc<RedisServer>>);
        let queue = world.queue_of(&world.user(), &json!({"heartbeat": true})).await;
        let older = tokio::spawn(world.poll(&queue, -1));
        until("its time is over", || store.beats.load(Ordering::SeqCst) == 1).await;
        let newer = world.park(&queue, -1).await;
        store.heartbeats.send_replace(true);
        older.await.expect("an answer").refused(409, "POLL_SUPERSEDED");
        // Not with one of its own, at its own end.
        assert_eq!(newer.await.expect("an answer").ids(), [0]);
    })
    .await;
}

async fn an_error_does_not_repeat_a_huge_body(stage: Stage) {
    let world = stage.start().await;
    let body = format!(r#"{{"{}":1}}"#, "x".repeat(500_000));
    let answer = world.call("POST", "/api/v1/register", &world.user().token, body).await;
    answer.refused(400, "INVALID_PARAM");
    assert!(answer.text.len() < 2000, "{} bytes", answer.text.len());
}
