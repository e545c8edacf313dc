//! A world with servers, their clients and the clients' queues.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use queue_server::store::Store;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use uuid::Uuid;

use crate::{
    answer::Answer,
    redis_server::RedisServer,
    stage::{Server, Setup},
};

/// A request on its way, once it is awaited or spawned.
pub(crate) type Answering = BoxFuture<'static, Answer>;

pub(crate) struct World {
    pub(crate) servers: Vec<Server>,
    turn: AtomicUsize,
    /// The server that all requests go to, if it is one of them.
    only: AtomicUsize,
    http: reqwest::Client,
    setup: Setup,
    dir: TempDir,
    redis: Option<Arc<RedisServer>>,
}

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) token: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) id: String,
    pub(crate) user: User,
}

const HOUR: u64 = 3600;
/// Of everything that a test waits for; nothing takes nearly as long.
const SOON: Duration = Duration::from_secs(30);

/// A test that hangs fails.
pub(crate) async fn bounded(test: impl Future<Output = ()>) {
    timeout(2 * SOON, test).await.expect("a test that ends");
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(SOON, wait).await.is_ok(), "it did not come to be that {what}");
}

impl World {
    pub(crate) fn new(
        servers: Vec<Server>,
        setup: Setup,
        dir: TempDir,
        redis: Option<Arc<RedisServer>>,
    ) -> Self {
        Self {
            servers,
            turn: AtomicUsize::new(0),
            only: AtomicUsize::new(usize::MAX),
            http: reqwest::Client::new(),
            setup,
            dir,
            redis,
        }
    }

    /// One server on a store of the test's own.
    pub(crate) async fn on(store: Arc<dyn Store>) -> Self {
        let setup = Setup::default();
        let servers = vec![Server::on(store, &setup).await];
        Self::new(servers, setup, tempfile::tempdir().expect("a temporary directory"), None)
    }

    /// The first server anew, on what the old one kept.
    pub(crate) async fn restart(&mut self) {
        self.servers[0] = Server::start(&self.setup, self.redis.as_deref(), &self.dir).await;
    }

    /// From here on all requests go to this server.
    pub(crate) fn only(&self, server: usize) {
        self.only.store(server, Ordering::Relaxed);
    }

    /// The server of the next request.
    pub(crate) fn next(&self) -> &Server {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let only = self.servers.get(self.only.load(Ordering::Relaxed));
        only.unwrap_or(&self.servers[turn % self.servers.len()])
    }

    pub(crate) fn parked(&self) -> usize {
        self.servers.iter().map(|server| server.app.queues().lot().parked()).sum()
    }

    pub(crate) async fn until_parked(&self, polls: usize) {
        until(&format!("{polls} polls are parked"), || self.parked() == polls).await;
    }

    /// A request that is sent when it is first awaited or spawned, to a server that is chosen now.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: impl Into<Vec<u8>>,
    ) -> Answering {
        let request = self.request(method, path).bearer_auth(token).body(body.into());
        Box::pin(answer(request))
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.http.request(method, format!("http://{}{path}", self.next().address)).timeout(SOON)
    }

    pub(crate) fn token(&self, user: &str, service: bool) -> String {
        self.setup.key.token(user, service, HOUR).expect("a key that signs")
    }

    /// Somebody whom no other test knows.
    pub(crate) fn user(&self) -> User {
        let name = format!("user-{}", Uuid::new_v4());
        let token = self.token(&name, false);
        User { name, token }
    }

    pub(crate) fn register(&self, user: &User, body: &Value) -> Answering {
        self.call("POST", "/api/v1/register", &user.token, body.to_string())
    }

    pub(crate) async fn queue_of(&self, user: &User, body: &Value) -> Queue {
        let fields = self.register(user, body).await.ok();
        Queue { id: fields["queue_id"].as_str().expect("a text").to_owned(), user: user.clone() }
    }

    /// A queue of a new user, as it comes.
    pub(crate) async fn queue(&self) -> Queue {
        self.queue_of(&self.user(), &json!({})).await
    }

    pub(crate) fn poll(&self, queue: &Queue, seen: i64) -> Answering {
        let path = format!("/api/v1/events?queue_id={}&last_event_id={seen}", queue.id);
        self.call("GET", &path, &queue.user.token, "")
    }

    /// A poll that does not park.
    pub(crate) fn peek(&self, queue: &Queue, seen: i64) -> Answering {
        let path =
            format!("/api/v1/events?queue_id={}&last_event_id={seen}&dont_block=true", queue.id);
        self.call("GET", &path, &queue.user.token, "")
    }

    /// A poll that is parked when this returns, one more than before.
    pub(crate) async fn park(&self, queue: &Queue, seen: i64) -> JoinHandle<Answer> {
        let before = self.parked();
        let poll = tokio::spawn(self.poll(queue, seen));
        self.until_parked(before + 1).await;
        poll
    }

    pub(crate) fn delete(&self, queue: &Queue) -> Answering {
        let path = format!("/api/v1/events?queue_id={}", queue.id);
        self.call("DELETE", &path, &queue.user.token, "")
    }

    pub(crate) fn send(&self, body: &Value) -> Answering {
        self.call("POST", "/api/v1/send", &self.token("a service", true), body.to_string())
    }

    /// How many queues have it.
    pub(crate) async fn send_to(&self, queue: &Queue, event: &Value) -> u64 {
        let fields = self.send(&json!({"queues": [queue.id], "event": event})).await.ok();
        fields["queued"].as_u64().expect("a number")
    }

    /// Waits until a queue has expired, without keeping it alive.
    pub(crate) async fn until_gone(&self, queue: &Queue) {
        let wait = async {
            while self.send_to(queue, &json!({"type": "probe"})).await > 0 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(timeout(SOON, wait).await.is_ok(), "a queue does not expire");
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    Answer::of(request.send().await.expect("an answer")).await
}
