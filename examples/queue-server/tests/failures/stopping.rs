//! SIGTERM, with a thousand polls parked.

use std::fs;

use queue_server::auth::Key;
use reqwest::{StatusCode, header::CONNECTION};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{
    client::{Client, json_of},
    redis::RedisServer,
    server::Running,
    until,
};

/// A client for a user of its own, with tokens by the server's secret.
fn user(server: &Running, name: &str) -> Client {
    let secret = fs::read(server.dir().join("data/dev-secret")).unwrap();
    let token = Key::secret(&secret).unwrap().token(name, false, 3600).unwrap();
    Client::new(server.addr, &token, &server.service)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_parked_polls_are_answered_and_no_event_is_lost() {
    const USERS: usize = 50;
    const QUEUES: usize = 20;
    let mut server = Running::start(&["--drain-window", "2s"]).await;
    let mut polls = JoinSet::new();
    let mut last = None;
    for n in 0..USERS {
        let client = user(&server, &format!("user-{n}"));
        for _ in 0..QUEUES {
            let queue = client.register().await;
            let poll = client.poll(&queue, -1);
            polls.spawn(async move {
                let answer = poll.send().await.unwrap();
                let closes = answer.headers().get(CONNECTION).is_some_and(|it| it == "close");
                (answer.status(), closes, json_of(answer).await["data"].clone())
            });
            last = Some((client.clone(), queue));
        }
    }
    let all = (USERS * QUEUES) as u64;
    let client = server.client();
    until("all polls to be parked", async || client.parked().await == all).await;

    server.tell_to_stop();
    let answers = polls.join_all().await;
    assert_eq!(answers.len() as u64, all);
    for answer in answers {
        assert_eq!(answer, (StatusCode::OK, true, json!([])));
    }
    // It says so by its status if it had to drop a connection.
    assert!(server.ended().await.success());
    assert!(server.log().contains("stopped"), "{}", server.log());

    server.start_again().await;
    let (client, queue) = last.unwrap();
    let body = json!({"queues": [queue], "event": {"type": "after"}});
    assert_eq!(client.send_to(&body).await, 1);
    assert_eq!(client.peek(&queue, -1).await, [0]);
}

#[tokio::test]
async fn what_was_acknowledged_while_it_stops_is_there_when_it_is_back() {
    let mut server = Running::start(&["--drain-window", "1s"]).await;
    let client = server.client();
    let queue = client.register().await;
    let sender = client.clone();
    let sends = tokio::spawn(async move {
        let mut acknowledged = 0;
        while sender.try_send(&json!({"type": "n"})).await {
            acknowledged += 1;
        }
        acknowledged
    });
    until("some sends", async || !client.peek(&queue, -1).await.is_empty()).await;
    assert!(server.terminate().await.success());
    let acknowledged: usize = sends.await.unwrap();

    server.start_again().await;
    let mut found = 0;
    let mut seen = -1;
    loop {
        let page = client.peek(&queue, seen).await;
        let Some(newest) = page.last() else { break };
        (seen, found) = (*newest, found + page.len());
    }
    assert!(found >= acknowledged, "{acknowledged} were acknowledged, {found} are there");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut server = Running::start(&["--drain-window", "1h"]).await;
    let client = server.client();
    let queue = client.register().await;
    let poll = client.poll(&queue, -1);
    let poll = tokio::spawn(async move { poll.send().await.is_ok() });
    until("the poll to be parked", async || client.parked().await == 1).await;
    // The window has an end for the first poll at its beginning: a later one waits.
    let other = client.register().await;
    let later = client.poll(&other, -1);
    let later = tokio::spawn(async move { later.send().await.is_ok() });
    until("both polls to be parked", async || client.parked().await == 2).await;
    server.tell_to_stop();
    until("it to be told", async || server.log().contains("once more")).await;
    server.tell_to_stop();
    assert_eq!(server.ended().await.code(), Some(130));
    let answered = [poll.await.unwrap(), later.await.unwrap()];
    assert!(answered.contains(&false), "one of them was not answered: {answered:?}");
}

#[tokio::test]
async fn with_a_redis_that_hangs_it_ends_within_the_window_and_a_second() {
    let redis = RedisServer::start().await;
    let mut server = Running::start(&["--redis", &redis.url(), "--drain-window", "1s"]).await;
    let client = server.client();
    let queue = client.register().await;
    let poll = client.poll(&queue, -1);
    let poll = tokio::spawn(async move { poll.send().await.is_ok() });
    until("the poll to be parked", async || client.parked().await == 1).await;
    redis.pause();
    let told = tokio::time::Instant::now();
    assert!(server.terminate().await.success());
    let took = told.elapsed();
    redis.resume();
    assert!(poll.await.unwrap());
    // With half a second for a machine that is busy.
    assert!(took < std::time::Duration::from_millis(2500), "{took:?}");
}

#[tokio::test]
async fn a_head_that_does_not_arrive_does_not_make_the_stop_a_failure() {
    let mut server = Running::start(&["--drain-window", "500ms"]).await;
    let mut raw = tower_lifecycle::testing::Client::connect(server.addr).await.unwrap();
    raw.send("GET /healthz HTTP/1.1\r\nhost").await.unwrap();
    // What came after it was served: so was its accept.
    assert!(server.client().healthy().await);
    assert!(server.terminate().await.success());
}
