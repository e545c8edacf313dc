//! Clients that leave while they wait.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    stage::Stage,
    world::{Queue, World},
};

on_every_stage![
    a_client_that_leaves_is_unparked_and_its_queue_stays,
    a_client_that_resets_its_connection_is_unparked,
    a_client_that_leaves_after_another_request_was_pipelined_is_unparked,
    an_event_that_is_sent_while_a_client_leaves_is_there_for_its_next_poll,
    many_clients_that_leave_leave_nothing_behind,
];

async fn a_client_that_leaves_is_unparked_and_its_queue_stays(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let poll = world.park(&queue, -1).await;
    poll.abort();
    world.until_parked(0).await;
    let fields = world.send(&json!({"queues": [queue.id], "event": {"type": "t"}})).await.ok();
    assert_eq!((&fields["queued"], &fields["woken"]), (&json!(1), &json!(0)));
    assert_eq!(world.poll(&queue, -1).await.ids(), [0]);
}

/// A parked poll on a connection of the test's own.
async fn raw_poll(world: &World, queue: &Queue, seen: i64) -> TcpStream {
    let parked = world.parked();
    let mut stream = TcpStream::connect(world.next().address).await.expect("a server");
    let head = format!(
        "GET /api/v1/events?queue_id={}&last_event_id={seen} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n\r\n",
        queue.id, queue.user.token
    );
    stream.write_all(head.as_bytes()).await.expect("a connection");
    world.until_parked(parked + 1).await;
    stream
}

async fn a_client_that_resets_its_connection_is_unparked(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let stream = raw_poll(&world, &queue, -1).await;
    stream.set_zero_linger().expect("a socket");
    drop(stream);
    world.until_parked(0).await;
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(world.poll(&queue, -1).await.ids(), [0]);
}

async fn a_client_that_leaves_after_another_request_was_pipelined_is_unparked(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let mut stream = raw_poll(&world, &queue, -1).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").await.expect("a connection");
    drop(stream);
    world.until_parked(0).await;
}

async fn an_event_that_is_sent_while_a_client_leaves_is_there_for_its_next_poll(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    for n in 0..10 {
        let mut stream = raw_poll(&world, &queue, n - 1).await;
        if n % 2 == 0 {
            stream.shutdown().await.expect("a connection");
        } else {
            drop(stream);
        }
        assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 1);
        world.until_parked(0).await;
        assert_eq!(world.peek(&queue, n - 1).await.ids(), [n]);
    }
}

async fn many_clients_that_leave_leave_nothing_behind(stage: Stage) {
    let world = stage.start().await;
    let mut streams = Vec::new();
    for _ in 0..100 {
        let queue = world.queue().await;
        streams.push(raw_poll(&world, &queue, -1).await);
    }
    drop(streams);
    world.until_parked(0).await;
}

#[tokio::test]
async fn an_answer_comes_once_though_timer_event_and_leaving_race() {
    let world =
        Stage::Embedded.start_with(|setup| setup.settings.times.park = Duration::from_millis(40));
    let world = world.await;
    for n in 0..20_u64 {
        let queue = world.queue().await;
        let mut stream = raw_poll(&world, &queue, -1).await;
        sleep(Duration::from_millis(36 + n % 8)).await;
        world.send_to(&queue, &json!({"type": "t"})).await;
        world.until_parked(0).await;
        // Whatever follows the first answer would be a second one.
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            .await
            .expect("a connection");
        let mut text = String::new();
        let read = stream.read_to_string(&mut text);
        timeout(Duration::from_secs(20), read).await.expect("an end").expect("answers");
        assert_eq!(text.matches("HTTP/1.1 200").count(), 2, "{text}");
        assert_eq!(text.matches("\"data\"").count(), 1, "{text}");
    }
}
