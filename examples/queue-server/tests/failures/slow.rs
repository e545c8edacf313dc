//! Clients that take their time: each is given up after a while.

use serde_json::json;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower_lifecycle::testing::Client as Raw;

use crate::support::{server::Running, until};

#[tokio::test]
async fn a_client_that_reads_nothing_of_a_large_answer_is_given_up() {
    let server = Running::start(&["--stall-timeout", "1s"]).await;
    let client = server.client();
    let queue = client.register().await;
    for _ in 0..15 {
        let event = json!({"type": "large", "text": "x".repeat(60_000)});
        assert_eq!(client.send(&event).await, 1);
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.addr.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut stream = tokio::net::TcpStream::from_std(socket.into()).unwrap();
    let head = format!(
        "GET /api/v1/events?queue_id={queue}&last_event_id=-1 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n",
        server.token
    );
    // More than all buffers hold.
    stream.write_all(head.repeat(20).as_bytes()).await.unwrap();
    until("its connection to be cut", async || {
        let cut = "queue_server_exchanges_total{route=\"/api/v1/events\",status=\"200\",close=\"";
        let complete = format!("{cut}complete\"");
        client.metric(cut).await > client.metric(&complete).await
    })
    .await;
    // It stayed connected, and finds it out when it reads.
    let mut all = Vec::new();
    let read =
        tokio::time::timeout(std::time::Duration::from_secs(20), stream.read_to_end(&mut all));
    assert!(read.await.expect("an end").is_err() || all.len() < 18_000_000);
}

#[tokio::test]
async fn a_head_that_does_not_arrive_is_given_up() {
    let server = Running::start(&["--header-timeout", "1s"]).await;
    let mut raw = Raw::connect(server.addr).await.unwrap();
    raw.send("GET /healthz HTTP/1.1\r\nhost").await.unwrap();
    raw.read_to_end().await.unwrap();
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let server = Running::start(&["--body-timeout", "1s"]).await;
    let mut raw = Raw::connect(server.addr).await.unwrap();
    let head = format!(
        "POST /api/v1/send HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-length: 10\r\n\r\n{{",
        server.service
    );
    raw.send(head).await.unwrap();
    raw.read_until("REQUEST_TIMEOUT").await.unwrap();
}
