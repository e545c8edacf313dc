//! Logs: what they say of whom.

use std::{cell::RefCell, io, sync::Once};

use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::{stage::Stage, world::Queue};

on_every_stage![no_secret_is_logged];

thread_local! {
    /// What was logged on this thread. A test has a thread of its own, with all tasks of its servers.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Once for all tests: subscribers that come and go disturb each other.
fn start_log() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("queue_server=trace,tower_lifecycle=trace"))
            .with_writer(|| Log)
            .with_ansi(false)
            .init();
    });
}

/// Everything that a client can do, and some that it should not.
async fn session(stage: Stage) -> Vec<String> {
    let mut world = stage
        .start_with(|setup| {
            setup.limits.events_per_queue = 5;
            setup.limits.queues_per_user = 3;
        })
        .await;
    let user = world.user();
    let one = world.queue_of(&user, &json!({"heartbeat": true})).await;
    let other = world.queue_of(&user, &json!({"idle_queue_timeout": 1})).await;
    let third = world.queue_of(&user, &json!({})).await;
    world.register(&user, &json!({})).await.refused(429, "TOO_MANY_QUEUES");
    let poll = world.park(&one, -1).await;
    let newer = tokio::spawn(world.poll(&one, -1));
    poll.await.expect("an answer").refused(409, "POLL_SUPERSEDED");
    world.until_parked(1).await;
    world.send(&json!({"users": [user.name], "event": {"type": "t"}})).await.ok();
    newer.await.expect("an answer").ok();
    let left = world.park(&one, 0).await;
    left.abort();
    world.until_parked(0).await;
    world.poll(&one, -1).await.refused(410, "EVENTS_PRUNED");
    world.poll(&one, 70).await.refused(400, "UNKNOWN_EVENT_ID");
    let foreign = Queue { id: one.id.clone(), user: world.user() };
    world.poll(&foreign, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
    world.delete(&foreign).await.refused(404, "BAD_EVENT_QUEUE_ID");
    let nowhere = format!("/{}/{}", one.id, user.token);
    world.call("GET", &nowhere, &user.token, "").await.refused(404, "NOT_FOUND");
    let twice = format!("/api/v1/events?queue_id={0}&queue_id={0}", one.id);
    world.call("GET", &twice, &user.token, "").await.refused(400, "INVALID_PARAM");
    let body = format!(r#"{{"{}":"{}"}}"#, one.id, user.token);
    world.call("POST", "/api/v1/register", &user.token, body).await.refused(400, "INVALID_PARAM");
    let expired = format!("{}x", user.token);
    world.call("POST", "/api/v1/register", &expired, "").await.refused(401, "UNAUTHORIZED");
    for _ in 0..8 {
        world.send_to(&third, &json!({"type": "t", "x": user.token})).await;
    }
    world.poll(&third, -1).await.refused(410, "QUEUE_OVERFLOWED");
    world.until_gone(&other).await;
    let poll = world.park(&one, 0).await;
    world.delete(&one).await.ok();
    poll.await.expect("an answer").code();
    let last = world.queue_of(&user, &json!({})).await;
    let poll = world.park(&last, -1).await;
    for server in &mut world.servers {
        server.stop();
    }
    poll.await.expect("an answer").ok();
    for server in &mut world.servers {
        (&mut server.served).await.expect("no panic").expect("an orderly end");
    }
    let ids = [&one, &other, &third, &last].map(|queue| queue.id.clone());
    let signature = user.token.rsplit('.').next().expect("a signature").to_owned();
    ids.into_iter().chain([user.token, signature]).collect()
}

async fn no_secret_is_logged(stage: Stage) {
    start_log();
    let secrets = session(stage).await;
    let log = String::from_utf8(LOG.take()).expect("text");
    assert!(log.contains("exchange") && log.contains("/api/v1/events"), "it is logged: {log}");
    for secret in secrets {
        for written in [secret.clone(), secret.replace('-', "")] {
            assert!(!log.contains(&written), "{written} is in the log: {log}");
        }
    }
}
