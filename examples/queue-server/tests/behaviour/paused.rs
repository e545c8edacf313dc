//! What takes half a minute, with time that the test moves: requests go to the router itself.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, header},
};
use futures_util::future::join_all;
use queue_server::{
    auth::Key,
    id::QueueId,
    server::{App, Settings},
    store::{
        Appended, Begin, Begun, Event, EventId, Limits, NewEvent, Session, Stats, Store,
        StoreError, Taken, Target, embedded::Embedded,
    },
};
use serde_json::Value;
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout},
};

use crate::stage::SECRET;

/// A store at which time stands still while it works: tokio's clock does not run ahead while a thread is busy.
#[derive(Debug)]
struct Timeless(Embedded);

/// Time stands still until it is dropped.
fn still() -> std::sync::mpsc::Sender<()> {
    let (held, released) = std::sync::mpsc::channel::<()>();
    // Ends by an error, when the sender is dropped.
    spawn_blocking(move || released.recv());
    held
}

#[async_trait]
impl Store for Timeless {
    async fn create(&self, queue: QueueId, session: Session) -> Result<(), StoreError> {
        let _still = still();
        self.0.create(queue, session).await
    }

    async fn session(&self, queue: QueueId, owner: &str) -> Result<Arc<Session>, StoreError> {
        let _still = still();
        self.0.session(queue, owner).await
    }

    async fn begin(&self, begin: Begin<'_>) -> Result<Begun, StoreError> {
        let _still = still();
        self.0.begin(begin).await
    }

    async fn take(&self, queue: QueueId, after: EventId) -> Result<Taken, StoreError> {
        let _still = still();
        self.0.take(queue, after).await
    }

    async fn read(
        &self,
        queue: QueueId,
        after: EventId,
        turn: Option<u64>,
    ) -> Result<Vec<Event>, StoreError> {
        let _still = still();
        self.0.read(queue, after, turn).await
    }

    fn end(&self, queue: QueueId) {
        self.0.end(queue);
    }

    async fn append(&self, target: Target, event: NewEvent) -> Result<Appended, StoreError> {
        let _still = still();
        self.0.append(target, event).await
    }

    async fn remove(&self, queue: QueueId, owner: &str) -> Result<(), StoreError> {
        let _still = still();
        self.0.remove(queue, owner).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.0.ready().await
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

struct Client {
    router: Router,
    token: String,
}

impl Client {
    fn new(dir: &Path, settings: Settings) -> Self {
        let key = Key::secret(SECRET).expect("a long secret");
        let token = key.token("u", false, 3600).expect("a key that signs");
        let limits = Limits { queues_per_user: 1000, ..Limits::default() };
        let store = Embedded::open(dir, limits).expect("a store").store;
        Self { router: App::new(Arc::new(Timeless(store)), key, settings).router(), token }
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let response = tower::ServiceExt::oneshot(self.router.clone(), request).await;
        let response = response.expect("an answer");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    async fn queue(&self, body: &str) -> String {
        let (_, answer) = self.call("POST", "/api/v1/register", body).await;
        answer["queue_id"].as_str().expect("a text").to_owned()
    }

    async fn poll(&self, queue: &str, seen: i64) -> (u16, Value) {
        let path = format!("/api/v1/events?queue_id={queue}&last_event_id={seen}");
        self.call("GET", &path, "").await
    }

    /// For how long an empty poll is parked.
    async fn parked(&self, queue: &str) -> Duration {
        let start = Instant::now();
        let (status, answer) = self.poll(queue, -1).await;
        assert_eq!((status, &answer["data"]), (200, &serde_json::json!([])));
        start.elapsed()
    }
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

async fn parked_for(park: Duration) -> Vec<Duration> {
    let dir = dir();
    let mut settings = Settings::default();
    settings.times.park = park;
    let client = Client::new(dir.path(), settings);
    let mut queues = Vec::new();
    for _ in 0..60 {
        queues.push(client.queue("{}").await);
    }
    join_all(queues.iter().map(|queue| client.parked(queue))).await
}

/// A timer is some milliseconds late.
const LATE: Duration = Duration::from_millis(20);

#[tokio::test(start_paused = true)]
async fn an_empty_poll_is_parked_for_30_seconds_and_up_to_a_tenth_more_by_chance() {
    let parked = parked_for(Settings::default().times.park).await;
    let (shortest, longest) = (*parked.iter().min().unwrap(), *parked.iter().max().unwrap());
    assert!(shortest >= Duration::from_secs(30), "{shortest:?}");
    assert!(longest <= Duration::from_secs(33) + LATE, "{longest:?}");
    assert!(longest >= shortest + Duration::from_secs(1), "so that not all come back together");
}

#[tokio::test(start_paused = true)]
async fn no_poll_is_ever_parked_for_longer_than_50_seconds() {
    for park in [49, 60, 3600] {
        let longest = parked_for(Duration::from_secs(park)).await.into_iter().max();
        assert!(longest <= Some(Duration::from_secs(50) + LATE), "{longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_lives_600_seconds_after_the_end_of_its_last_poll() {
    let dir = dir();
    let client = Client::new(dir.path(), Settings::default());
    let (queue, unpolled) = (client.queue("{}").await, client.queue("{}").await);
    tokio::time::sleep(Duration::from_secs(590)).await;
    assert!(
        client.parked(&queue).await >= Duration::from_secs(30),
        "it lives as long as it is polled"
    );
    tokio::time::sleep(Duration::from_secs(590)).await;
    assert!(client.parked(&queue).await >= Duration::from_secs(30), "from the end, not the begin");
    assert_eq!(client.poll(&unpolled, -1).await.0, 404);
    tokio::time::sleep(Duration::from_secs(601)).await;
    assert_eq!(client.poll(&queue, -1).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_outlives_its_idle_time_in_one_poll_lives_on() {
    let dir = dir();
    let client = Client::new(dir.path(), Settings::default());
    let queue = client.queue(r#"{"idle_queue_timeout":1}"#).await;
    for _ in 0..3 {
        assert!(client.parked(&queue).await >= Duration::from_secs(30));
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_superseded_within_3_seconds_of_another_is_held_back_for_3() {
    let dir = dir();
    let client = Client::new(dir.path(), Settings::default());
    let queue = client.queue("{}").await;
    let start = Instant::now();
    let polled_at = async |second: u64| {
        tokio::time::sleep_until(start + Duration::from_secs(second)).await;
        let (status, _) = client.poll(&queue, -1).await;
        (status, start.elapsed().as_secs())
    };
    let polls = [0, 1, 2, 10, 11].map(polled_at);
    let answers = join_all(polls).await;
    // The last waits for its half minute.
    assert_eq!(answers[..4], [(409, 1), (409, 5), (409, 10), (409, 14)]);
    assert_eq!(answers[4].0, 200);
}

/// Asks again at once, whatever it is told; how often it asked, after the first 3 seconds.
async fn naive_tab(client: &Client, queue: &str, start: Instant) -> usize {
    let mut asked = 0;
    let ask = async {
        loop {
            asked += usize::from(start.elapsed() >= Duration::from_secs(3));
            client.poll(queue, -1).await;
        }
    };
    assert!(timeout(Duration::from_secs(18), ask).await.is_err());
    asked
}

#[tokio::test(start_paused = true)]
async fn two_naive_tabs_ask_less_than_once_a_second_each() {
    let dir = dir();
    let client = Client::new(dir.path(), Settings::default());
    let queue = client.queue("{}").await;
    let start = Instant::now();
    let (one, other) =
        tokio::join!(naive_tab(&client, &queue, start), naive_tab(&client, &queue, start));
    assert!(one < 15 && other < 15, "{one} and {other} in 15 seconds");
}
