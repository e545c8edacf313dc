//! Clients that leave while their poll is parked: each is unparked, and takes no event with it.

use tower_lifecycle::testing::{Client as Raw, Http2Frame, Leaver, Phase, Way};

use crate::support::{server::Running, until};

fn path(queue: &str, seen: i64) -> String {
    format!("/api/v1/events?queue_id={queue}&last_event_id={seen}")
}

fn head(server: &Running, queue: &str, seen: i64, more: &str) -> String {
    let (path, token) = (path(queue, seen), &server.token);
    format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n{more}\r\n")
}

async fn parked(server: &Running, count: u64) {
    let client = server.client();
    until("the right number of polls to be parked", async || client.parked().await == count).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_any_way_is_unparked_and_the_next_poll_has_the_event() {
    let server = Running::start(&[]).await;
    let client = server.client();
    let ways = [Way::Fin, Way::Reset, Way::HalfClose, Way::PipelinedFin];
    let http1 = ways.map(|way| Leaver::http1(Phase::Handler, way));
    let ways = [Way::Fin, Way::Reset, Way::HalfClose, Way::StreamReset(Http2Frame::CANCEL)];
    let http2 = ways.map(|way| Leaver::http2(Phase::Handler, way));
    for leaver in http1.into_iter().chain(http2) {
        let queue = client.register().await;
        let bearer = format!("Bearer {}", server.token);
        let leaver = leaver.path(path(&queue, -1)).header("authorization", bearer);
        let _connection = leaver.leave_when(server.addr, parked(&server, 1)).await.unwrap();
        // It may not have been noticed yet.
        let body = serde_json::json!({"queues": [queue], "event": {"type": "late"}});
        assert_eq!(client.send_to(&body).await, 1, "{leaver}");
        parked(&server, 0).await;
        assert_eq!(client.peek(&queue, -1).await, [0], "{leaver}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_within_a_body_that_nobody_wants_is_never_parked() {
    let server = Running::start(&[]).await;
    let client = server.client();
    for more in [
        "content-length: 10\r\n\r\nhello",
        "content-length: 10\r\nexpect: 100-continue\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let queue = client.register().await;
        let mut raw = Raw::connect(server.addr).await.unwrap();
        let before = client.metric("queue_server_exchanges_total{route=\"/api/v1/events\"").await;
        raw.send(head(&server, &queue, -1, more)).await.unwrap();
        if more.contains("expect") {
            raw.read_until("100 Continue\r\n\r\n").await.unwrap();
        }
        raw.close().unwrap();
        until("its exchange to be over", async || {
            client.metric("queue_server_exchanges_total{route=\"/api/v1/events\"").await > before
        })
        .await;
        assert_eq!(client.parked().await, 0, "{more:?}");
    }
}

#[tokio::test]
async fn a_client_that_is_deaf_is_answered_by_the_bound_of_its_poll() {
    let server = Running::start(&["--poll-timeout", "1s"]).await;
    let client = server.client();
    let queue = client.register().await;
    let bearer = format!("Bearer {}", server.token);
    // It says that it will be gone, and stays.
    let leaver = Leaver::http2(Phase::Handler, Way::GoAway).path(path(&queue, -1));
    let leaver = leaver.header("authorization", bearer);
    let _connection = leaver.leave_when(server.addr, parked(&server, 1)).await.unwrap();
    parked(&server, 0).await;
    let outcome = "queue_server_park_seconds_count{outcome=\"deadline\"}";
    assert!(client.metric(outcome).await >= 1.0);
}

#[tokio::test]
async fn the_close_of_an_old_poll_does_not_remove_a_new_one() {
    let server = Running::start(&[]).await;
    let client = server.client();
    let queue = client.register().await;
    // Fewer than the polls without progress that a queue has at once.
    for round in 0..10 {
        let mut old = Raw::connect(server.addr).await.unwrap();
        old.send(head(&server, &queue, round - 1, "")).await.unwrap();
        parked(&server, 1).await;
        let new = client.poll(&queue, round - 1);
        let new = tokio::spawn(async move { new.send().await.unwrap().status() });
        // The new one has the place when the old one is told so.
        if round == 0 {
            old.read_until("POLL_SUPERSEDED").await.unwrap();
        }
        old.close().unwrap();
        let body = serde_json::json!({"queues": [queue], "event": {"type": "for the new one"}});
        assert_eq!(client.send_to(&body).await, 1);
        assert_eq!(new.await.unwrap(), 200, "round {round}");
        parked(&server, 0).await;
    }
}
