//! Redis goes, and comes back.

use serde_json::json;

use crate::support::{client::json_of, redis::RedisServer, server::Running, until};

#[tokio::test]
async fn while_redis_is_away_polls_and_sends_are_refused_and_what_is_parked_stays() {
    let mut redis = RedisServer::start().await;
    let server = Running::start(&["--redis", &redis.url()]).await;
    let client = server.client();
    let queue = client.register().await;
    assert_eq!(client.send(&json!({"type": "before"})).await, 1);

    let parked = client.poll(&queue, 0);
    let parked = tokio::spawn(async move { json_of(parked.send().await.unwrap()).await });
    until("the poll to be parked", async || client.parked().await == 1).await;
    redis.kill();

    for asked in [client.poll(&queue, 0), client.sending(&json!({"type": "lost"}))] {
        let refused = asked.send().await.unwrap();
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
        assert_eq!(json_of(refused).await["code"], "STORE_UNAVAILABLE");
    }
    assert!(!client.healthy().await);
    assert_eq!(client.parked().await, 1);

    redis.restart().await;
    until("Redis to be back", async || client.healthy().await).await;
    assert_eq!(client.send(&json!({"type": "after"})).await, 1);
    let answer = parked.await.unwrap();
    assert_eq!(answer["data"][0]["type"], "after", "{answer}");
}

#[tokio::test]
async fn a_poll_that_missed_its_wake_up_looks_again_when_redis_is_back() {
    let mut redis = RedisServer::start().await;
    let url = redis.url();
    let parks = Running::start(&["--redis", &url, "--poll-timeout", "40s"]).await;
    let client = parks.client();
    let queue = client.register().await;
    let parked = client.poll(&queue, -1);
    let parked = tokio::spawn(async move { json_of(parked.send().await.unwrap()).await });
    until("the poll to be parked", async || client.parked().await == 1).await;

    // The event comes from a server that the wake-up cannot reach: nobody is subscribed then.
    redis.kill();
    redis.restart().await;
    let mut commands = redis.connection().await;
    let stored: Vec<String> =
        redis::cmd("KEYS").arg("queue-server:queue:*").query_async(&mut commands).await.unwrap();
    assert_eq!(stored.len(), 1, "the queue has survived");
    until("Redis to be back", async || client.healthy().await).await;
    let other = Running::start(&["--redis", &url]).await;
    assert_eq!(
        other.client().send_to(&json!({"queues": [queue], "event": {"type": "x"}})).await,
        1
    );
    assert_eq!(parked.await.unwrap()["data"][0]["type"], "x");
}

#[tokio::test]
async fn a_server_without_its_redis_does_not_start_and_says_what_to_do() {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_queue-server"))
        .args(["--listen", "127.0.0.1:0", "--redis", "redis://127.0.0.1:1/", "--data-dir"])
        .arg(tempfile::tempdir().unwrap().path())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("--redis"), "{message}");
}
