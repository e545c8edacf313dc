//! Clients that wait, that leave, and that take their time.

use serde_json::{Value, json};

use crate::{
    front::Nginx,
    support::{
        client::{ids, json_of},
        server::Running,
        until,
    },
};

/// So long that no test waits for its end.
const LONG: [&str; 2] = ["--poll-timeout", "45s"];

#[tokio::test]
async fn polls_and_sends_go_through_and_the_logs_have_no_queue() {
    let server = Running::start(&LONG).await;
    let nginx = Nginx::start(server.addr, &[]).await;
    let client = server.client_by(nginx.addr);
    let queue = client.register().await;
    let poll = tokio::spawn(client.poll(&queue, -1).send());
    until("it is parked", async || client.parked().await == 1).await;
    assert_eq!(client.send(&json!({"type": "hello"})).await, 1);
    assert_eq!(ids(&json_of(poll.await.unwrap().unwrap()).await), [0]);
    until("it is logged", async || nginx.logs().contains("GET /api/v1/events\" 200")).await;
    assert!(!nginx.logs().contains(&queue));
    assert!(!server.log().contains(&queue));
}

#[tokio::test]
async fn a_poll_that_nginx_waits_for_is_answered_empty_over_and_over_on_one_connection() {
    let server = Running::start(&["--poll-timeout", "200ms"]).await;
    let nginx = Nginx::start(server.addr, &[]).await;
    let client = server.client_by(nginx.addr);
    let queue = client.register().await;
    for _ in 0..5 {
        let answer = client.poll(&queue, -1).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(ids(&json_of(answer).await), [] as [i64; 0]);
    }
    #[cfg(target_os = "linux")]
    assert_eq!(open_connections_to(server.addr), 1, "it is open, and it is the only one");
}

#[cfg(target_os = "linux")]
fn open_connections_to(addr: std::net::SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let std::net::IpAddr::V4(ip) = addr.ip() else { panic!("not of IPv4: {addr}") };
    let remote = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), addr.port());
    let is_open = |line: &&str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        columns[2] == remote && columns[3] == "01"
    };
    table.lines().filter(is_open).count()
}

#[tokio::test]
async fn a_poll_that_nginx_does_not_wait_for_is_a_504_and_its_slot_is_free() {
    let server = Running::start(&LONG).await;
    let nginx =
        Nginx::start(server.addr, &[("proxy_read_timeout 60s;", "proxy_read_timeout 1s;")]).await;
    let client = server.client_by(nginx.addr);
    let queue = client.register().await;
    let answer = client.poll(&queue, -1).send().await.unwrap();
    assert_eq!(answer.status(), 504);
    until("nothing is parked", async || client.parked().await == 0).await;
    assert_eq!(client.send(&json!({"type": "hello"})).await, 1);
    assert_eq!(ids(&json_of(client.poll(&queue, -1).send().await.unwrap()).await), [0]);
    assert!(!nginx.logs().contains(&queue));
}

/// A poll is parked through nginx, and its client leaves. The queue is returned.
async fn leaves(server: &Running, nginx: &Nginx) -> String {
    let client = server.client_by(nginx.addr);
    let queue = client.register().await;
    let poll = tokio::spawn(client.poll(&queue, -1).send());
    until("it is parked", async || client.parked().await == 1).await;
    poll.abort();
    queue
}

const FREE: &str = "queue_server_park_seconds_count{outcome=";

#[tokio::test]
async fn a_client_that_leaves_nginx_has_left_the_server_too() {
    let server = Running::start(&LONG).await;
    let nginx = Nginx::start(server.addr, &[]).await;
    let queue = leaves(&server, &nginx).await;
    let client = server.client();
    // A poll lasts more than twice as long as this waits.
    until("nothing is parked", async || client.parked().await == 0).await;
    assert_eq!(client.send(&json!({"type": "hello"})).await, 1);
    assert_eq!(client.peek(&queue, -1).await, [0]);
}

#[tokio::test]
async fn where_nginx_ignores_that_a_client_left_its_poll_stays_until_its_end_and_takes_nothing() {
    let server = Running::start(&["--poll-timeout", "3s"]).await;
    let edit = ("proxy_ignore_client_abort off;", "proxy_ignore_client_abort on;");
    let nginx = Nginx::start(server.addr, &[edit]).await;
    let queue = leaves(&server, &nginx).await;
    let client = server.client();
    until("its time is over", async || client.metric(&format!("{FREE}\"deadline\"")).await >= 1.0)
        .await;
    assert_eq!(client.parked().await, 0);

    let other = leaves(&server, &nginx).await;
    assert_eq!(client.send(&json!({"type": "hello"})).await, 2);
    until("it was woken", async || client.metric(&format!("{FREE}\"woken\"")).await >= 1.0).await;
    for queue in [queue, other] {
        assert_eq!(client.peek(&queue, -1).await, [0], "it is there for the next poll");
    }
}

#[tokio::test]
async fn a_large_answer_is_whole_with_buffers_and_without() {
    let server = Running::start(&[]).await;
    let client = server.client();
    let queue = client.register().await;
    let text = "x".repeat(15_000);
    for _ in 0..60 {
        client.send(&json!({"type": "large", "text": text})).await;
    }
    for buffering in ["proxy_buffering on;", "proxy_buffering off;"] {
        let edit = ("client_max_body_size 1m;", buffering);
        let nginx = Nginx::start(server.addr, &[edit]).await;
        let poll = server.client_by(nginx.addr).poll(&queue, -1);
        let answer: Value = json_of(poll.send().await.unwrap()).await;
        assert_eq!(ids(&answer), (0..60).collect::<Vec<_>>(), "{buffering}");
        assert!(answer["data"].as_array().unwrap().iter().all(|event| event["text"] == text));
    }
}
