//! Requests that are too large, and such that never come to an end.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{stage::Stage, world::World};

on_every_stage![an_event_of_64_kib_passes_and_one_byte_more_does_not];

async fn an_event_of_64_kib_passes_and_one_byte_more_does_not(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let event = |bytes: usize| json!({"type": "t", "x": "x".repeat(bytes - 19)});
    assert_eq!(event(65_536).to_string().len(), 65_536);
    let parked = world.park(&queue, -1).await;
    let answer = world.send(&json!({"queues": [queue.id], "event": event(65_537)})).await;
    answer.refused(413, "EVENT_TOO_LARGE");
    assert!(!parked.is_finished());
    assert_eq!(world.send_to(&queue, &event(65_536)).await, 1);
    let events = parked.await.expect("an answer").events();
    assert_eq!(events[0]["x"].as_str().map(str::len), Some(65_536 - 19));
}

#[tokio::test]
async fn a_body_of_1_mib_passes_and_one_byte_more_does_not() {
    let world = Stage::Embedded.start().await;
    let (user, service) = (world.user(), world.token("s", true));
    let padded = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2));
    world.call("POST", "/api/v1/register", &user.token, padded(1 << 20)).await.ok();
    let too_large = padded((1 << 20) + 1);
    for (method, path, token) in [
        ("POST", "/api/v1/register", &user.token),
        ("POST", "/api/v1/send", &service),
        (
            "GET",
            "/api/v1/events?queue_id=d2719d0e-6f1e-4b8f-9a52-0242ac120002&last_event_id=-1",
            &user.token,
        ),
        ("DELETE", "/api/v1/events?queue_id=d2719d0e-6f1e-4b8f-9a52-0242ac120002", &user.token),
    ] {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
        );
        let length = format!("{head}Content-Length: {}\r\n\r\n", too_large.len());
        let answer = raw(&world, &length, too_large.as_bytes()).await;
        assert!(is(&answer, 413, "EVENT_TOO_LARGE"), "{answer}");
        // Without saying how much it will be.
        let chunked = format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{too_large}\r\n0\r\n\r\n",
            too_large.len()
        );
        let answer = raw(&world, &chunked, b"").await;
        assert!(is(&answer, 413, "EVENT_TOO_LARGE"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_408() {
    let world = Stage::Embedded
        .start_with(|setup| setup.settings.bodies.slowest = Duration::from_millis(200))
        .await;
    let queue = world.queue().await;
    let (user, service) = (&queue.user.token, world.token("s", true));
    let polls = format!("/api/v1/events?queue_id={}&last_event_id=-1", queue.id);
    for (method, path, token) in [
        ("POST", "/api/v1/register", user),
        ("POST", "/api/v1/send", &service),
        ("GET", &polls, user),
        ("DELETE", &polls, user),
    ] {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
             Content-Length: 10\r\n\r\n"
        );
        let answer = raw(&world, &head, b"{").await;
        assert!(is(&answer, 408, "REQUEST_TIMEOUT"), "{answer}");
    }
    assert_eq!(world.peek(&queue, -1).await.ids(), [0; 0], "it is neither polled nor deleted");
}

#[tokio::test]
async fn a_head_that_stalls_ends_its_connection() {
    let world = Stage::Embedded
        .start_with(|setup| setup.settings.header_timeout = Duration::from_millis(200))
        .await;
    let answer = raw(&world, "GET /healthz HTTP/1.1\r\nHost:", b"").await;
    assert!(!answer.contains("200 OK"), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let world = Stage::Embedded.start().await;
    let head = format!("GET /healthz HTTP/1.1\r\nHost: test\r\n{}\r\n", "X: y\r\n".repeat(101));
    assert!(raw(&world, &head, b"").await.starts_with("HTTP/1.1 431"));
    let head = format!("GET /healthz HTTP/1.1\r\nHost: test\r\nX: {}", "x".repeat(500_000));
    assert!(raw(&world, &head, b"").await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_harms_nobody() {
    let world = Stage::Embedded.start().await;
    let queue = world.queue().await;
    let parked = world.park(&queue, -1).await;
    for wrong in [
        "\r\n\r\nx\r\n\r\n",
        "GET\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\0\0\0\0\0",
        "GET / HTTP/9.9\r\n\r\n",
        "POST /api/v1/register HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\n",
        "POST /api/v1/register HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        let answer = raw(&world, wrong, b"").await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{wrong:?}: {answer}");
    }
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(parked.await.expect("an answer").ids(), [0]);
}

fn is(answer: &str, status: u16, code: &str) -> bool {
    answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(code)
}

/// What comes until the server closes the connection.
async fn raw(world: &World, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.next().address).await.expect("a server");
    let (mut reads, mut writes) = stream.split();
    let mut answer = Vec::new();
    let write = async {
        // The server may have answered, and closed, before it has read all.
        let _ = writes.write_all(head.as_bytes()).await;
        let _ = writes.write_all(body).await;
    };
    let read = async {
        // A reset after the answer is an end, too.
        let _ = reads.read_to_end(&mut answer).await;
    };
    let both = async { tokio::join!(write, read) };
    timeout(Duration::from_secs(30), both).await.expect("a connection that is closed");
    String::from_utf8_lossy(&answer).into_owned()
}
