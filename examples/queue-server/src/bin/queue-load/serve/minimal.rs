//! The long-poll server that one writes by hand: axum, a map, a `Notify` for each queue, a timeout. It keeps events in
//! memory, asks nobody who they are, and knows of clients that leave what hyper tells by dropping the handler.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, sync::Notify, time::timeout};
use uuid::Uuid;

use super::{Ends, Subject};
use crate::{Failed, orders::End};

pub(super) struct Minimal(Arc<Hub>);

struct Hub {
    queues: Mutex<HashMap<String, Arc<Queue>>>,
    parked: AtomicUsize,
    ends: Arc<Ends>,
}

#[derive(Default)]
struct Queue {
    events: Mutex<Events>,
    notify: Notify,
}

#[derive(Default)]
struct Events {
    next: i64,
    /// With their ids.
    left: Vec<(i64, String)>,
}

/// As long as the queue server's.
const PARK: Duration = Duration::from_secs(50);
const PAGE: usize = 100;

impl Minimal {
    pub(super) fn start(listener: TcpListener, ends: Arc<Ends>) -> Self {
        let hub = Arc::new(Hub { queues: Mutex::default(), parked: AtomicUsize::new(0), ends });
        let router = Router::new()
            .route("/api/v1/events", get(poll))
            .route("/api/v1/send", post(send))
            .route("/healthz", get(async || "ok"))
            .with_state(Arc::clone(&hub));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self(hub)
    }
}

#[derive(Deserialize)]
struct Ask {
    queue_id: String,
    last_event_id: i64,
    #[serde(default)]
    dont_block: bool,
}

async fn poll(State(hub): State<Arc<Hub>>, Query(ask): Query<Ask>) -> Response {
    let Some(queue) = hub.queue(&ask.queue_id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut events = queue.after(ask.last_event_id);
    if events.is_empty() && !ask.dont_block {
        let _parked = Parked::new(hub);
        events = timeout(PARK, queue.wait(ask.last_event_id)).await.unwrap_or_default();
    }
    let body = format!(
        r#"{{"success":true,"data":[{}],"queue_id":"{}"}}"#,
        events.join(","),
        ask.queue_id
    );
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

#[derive(Deserialize)]
struct Send {
    queues: Vec<String>,
    event: Map<String, Value>,
}

async fn send(State(hub): State<Arc<Hub>>, Json(send): Json<Send>) -> Json<Value> {
    let event = Value::Object(send.event).to_string();
    let queues: Vec<_> = send.queues.iter().filter_map(|name| hub.queue(name)).collect();
    for queue in &queues {
        queue.push(&event);
    }
    Json(json!({"success": true, "queued": queues.len()}))
}

// ===== impl Hub =====

impl Hub {
    fn queue(&self, name: &str) -> Option<Arc<Queue>> {
        lock(&self.queues).get(name).cloned()
    }

    fn all(&self) -> Vec<Arc<Queue>> {
        lock(&self.queues).values().cloned().collect()
    }
}

// ===== impl Queue =====

impl Queue {
    fn push(&self, event: &str) {
        let mut events = lock(&self.events);
        let id = events.next;
        events.next += 1;
        let rest = event.strip_prefix('{').unwrap_or_default();
        events.left.push((id, format!("{{\"id\":{id},{rest}")));
        drop(events);
        self.notify.notify_waiters();
    }

    fn after(&self, seen: i64) -> Vec<String> {
        let mut events = lock(&self.events);
        events.left.retain(|(id, _)| *id > seen);
        events.left.iter().take(PAGE).map(|(_, event)| event.clone()).collect()
    }

    async fn wait(&self, seen: i64) -> Vec<String> {
        let mut notified = pin!(self.notify.notified());
        notified.as_mut().enable();
        let events = self.after(seen);
        if !events.is_empty() {
            return events;
        }
        notified.await;
        self.after(seen)
    }
}

/// Held by a poll that waits.
struct Parked(Arc<Hub>);

impl Parked {
    fn new(hub: Arc<Hub>) -> Self {
        hub.parked.fetch_add(1, Ordering::Relaxed);
        Self(hub)
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.0.parked.fetch_sub(1, Ordering::Relaxed);
        self.0.ends.ended(End::Park);
    }
}

#[async_trait]
impl Subject for Minimal {
    async fn create(
        &self,
        users: usize,
        each: usize,
        _expire: Option<u64>,
    ) -> Result<Vec<String>, Failed> {
        let names: Vec<String> = (0..users * each).map(|_| Uuid::new_v4().to_string()).collect();
        lock(&self.0.queues).extend(names.iter().map(|name| (name.clone(), Arc::default())));
        Ok(names)
    }

    async fn fill(&self, events: usize) -> Result<(), Failed> {
        for queue in self.0.all() {
            (0..events).for_each(|number| {
                queue.push(&json!({"type": "load", "number": number}).to_string());
            });
        }
        Ok(())
    }

    fn parked(&self) -> usize {
        self.0.parked.load(Ordering::Relaxed)
    }

    fn queues(&self) -> u64 {
        lock(&self.0.queues).len() as u64
    }

    fn release(&self) {
        for queue in self.0.all() {
            queue.notify.notify_waiters();
        }
    }

    /// It has nothing to lose.
    async fn close(&self) {}
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
