//! A store that fails: what clients are told of it.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use queue_server::{
    id::QueueId,
    store::{
        Appended, Begin, Begun, Event, EventId, NewEvent, Session, Stats, Store, StoreError, Taken,
        Target,
    },
};
use uuid::Uuid;

use crate::{
    answer::Answer,
    world::{World, answer},
};

/// Text of an error that is not for clients.
const PRIVATE: &str = "could not open /var/lib/private: errno 5";

#[derive(Debug)]
struct Fails(fn(String) -> StoreError);

impl Fails {
    fn error<T>(&self) -> Result<T, StoreError> {
        Err(self.0(PRIVATE.to_owned()))
    }
}

#[async_trait]
impl Store for Fails {
    async fn create(&self, _: QueueId, _: Session) -> Result<(), StoreError> {
        self.error()
    }

    async fn session(&self, _: QueueId, _: &str) -> Result<Arc<Session>, StoreError> {
        self.error()
    }

    async fn begin(&self, _: Begin<'_>) -> Result<Begun, StoreError> {
        self.error()
    }

    async fn take(&self, _: QueueId, _: EventId) -> Result<Taken, StoreError> {
        self.error()
    }

    async fn read(&self, _: QueueId, _: EventId, _: Option<u64>) -> Result<Vec<Event>, StoreError> {
        self.error()
    }

    fn end(&self, _: QueueId) {}

    async fn append(&self, _: Target, _: NewEvent) -> Result<Appended, StoreError> {
        self.error()
    }

    async fn remove(&self, _: QueueId, _: &str) -> Result<(), StoreError> {
        self.error()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.error()
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }

    async fn close(&self) {}
}

/// One answer of each endpoint.
async fn answers(world: &World) -> Vec<Answer> {
    let (user, service) = (world.user().token, world.token("s", true));
    let queue = format!("/api/v1/events?queue_id={}", Uuid::new_v4());
    let send = r#"{"users":["u"],"event":{"type":"t"}}"#;
    let mut answers = Vec::new();
    for (method, path, token, body) in [
        ("POST", "/api/v1/register", &user, ""),
        ("GET", &format!("{queue}&last_event_id=-1"), &user, ""),
        ("GET", &format!("{queue}&last_event_id=-1&dont_block=true"), &user, ""),
        ("DELETE", &queue, &user, ""),
        ("POST", "/api/v1/send", &service, send),
    ] {
        answers.push(world.call(method, path, token, body).await);
    }
    answers
}

#[tokio::test]
async fn a_defect_is_500_with_a_request_id_and_nothing_else() {
    let world = World::on(Arc::new(Fails(StoreError::Failed))).await;
    let mut ids = HashSet::new();
    for answer in answers(&world).await {
        assert_eq!((answer.status, answer.code().as_str()), (500, "INTERNAL"));
        let fields = answer.fields();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["success", "code", "message", "request_id"]);
        let id = fields["request_id"].as_str().expect("a text");
        assert!(ids.insert(id.parse::<Uuid>().expect("a UUID")), "each has its own");
        assert!(!["var", "private", "errno"].iter().any(|word| answer.text.contains(word)));
        assert_eq!(answer.header("retry-after"), None);
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_503_with_a_random_time_to_come_again() {
    let world = World::on(Arc::new(Fails(StoreError::Unavailable))).await;
    let mut times = HashSet::new();
    for _ in 0..4 {
        for answer in answers(&world).await {
            answer.refused(503, "STORE_UNAVAILABLE");
            assert!(!["var", "private", "errno"].iter().any(|word| answer.text.contains(word)));
            assert!((1..=5).contains(&answer.retry_after()));
            times.insert(answer.retry_after());
        }
    }
    assert!(times.len() > 1);
    let health = answer(world.request("GET", "/healthz")).await;
    assert_eq!(health.status, 503);
    assert_eq!(health.fields()["store"], "unavailable");
    assert!(!health.text.contains("private"));
    assert_eq!(answer(world.request("GET", "/metrics")).await.status, 200);
}
