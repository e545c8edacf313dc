//! Two servers on one Redis.

use serde_json::json;

use crate::support::{
    client::{ids, json_of},
    redis::RedisServer,
    server::Running,
    until,
};

#[tokio::test]
async fn a_poll_on_one_server_is_woken_by_a_send_on_the_other_and_goes_on_there_when_it_dies() {
    let redis = RedisServer::start().await;
    let mut a = Running::start(&["--redis", &redis.url()]).await;
    let b = Running::start(&["--redis", &redis.url()]).await;
    // Each has a secret of its own, so a user asks one by the token of the other only if they share it.
    let on_a = a.client();
    let queue = on_a.register().await;
    let poll = on_a.poll(&queue, -1);
    let poll = tokio::spawn(async move { json_of(poll.send().await.unwrap()).await });
    until("the poll to be parked on the first", async || on_a.parked().await == 1).await;
    let event = json!({"queues": [queue], "event": {"type": "from the other"}});
    assert_eq!(b.client().send_to(&event).await, 1);
    let answer = poll.await.unwrap();
    assert_eq!(ids(&answer), [0]);

    a.kill().await;
    // The same user, by a token of the second server.
    assert_eq!(b.client().peek(&queue, -1).await, [0], "what was not acknowledged is there");
    assert_eq!(b.client().peek(&queue, 0).await, Vec::<i64>::new());
}

#[tokio::test]
async fn a_poll_on_one_server_is_superseded_by_one_on_the_other() {
    let redis = RedisServer::start().await;
    let a = Running::start(&["--redis", &redis.url()]).await;
    let b = Running::start(&["--redis", &redis.url()]).await;
    let (on_a, on_b) = (a.client(), b.client());
    let queue = on_a.register().await;
    let old = on_a.poll(&queue, -1);
    let old = tokio::spawn(async move { old.send().await.unwrap() });
    until("the poll to be parked on the first", async || on_a.parked().await == 1).await;
    let new = on_b.poll(&queue, -1);
    let new = tokio::spawn(async move { json_of(new.send().await.unwrap()).await });
    let old = old.await.unwrap();
    assert_eq!(old.status(), 409);
    assert_eq!(json_of(old).await["code"], "POLL_SUPERSEDED");
    let event = json!({"queues": [queue], "event": {"type": "for the new one"}});
    assert_eq!(on_a.send_to(&event).await, 1);
    assert_eq!(ids(&new.await.unwrap()), [0]);
}
