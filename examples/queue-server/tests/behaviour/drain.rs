//! A server that stops.

use std::{collections::HashSet, time::Duration};

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::json;
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::{stage::Stage, world::World};

on_every_stage![
    parked_polls_are_answered_empty_and_the_server_ends,
    a_server_that_stops_takes_no_more_polls,
    a_client_goes_on_elsewhere_or_later_with_the_id_it_has,
];

async fn parked_polls_are_answered_empty_and_the_server_ends(stage: Stage) {
    let mut world = stage.start().await;
    world.only(0);
    let mut polls = Vec::new();
    for _ in 0..20 {
        let queue = world.queue().await;
        polls.push(world.park(&queue, -1).await);
    }
    world.servers[0].stop();
    for poll in polls {
        let answer = poll.await.expect("an answer");
        assert_eq!(answer.ids(), [0; 0]);
        assert_eq!(answer.header("connection"), Some("close"), "there is nobody to come back to");
    }
    let served = timeout(Duration::from_secs(20), &mut world.servers[0].served).await;
    served.expect("an end").expect("no panic").expect("no connection had to be cut");
    assert_eq!(world.parked(), 0);
}

async fn poll_by_router(world: &World, path: &str, token: &str) -> (u16, Option<u64>, String) {
    let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
    let request = request.body(Body::empty()).expect("a request");
    let response = world.servers[0].app.router().oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let after = response.headers().get(header::RETRY_AFTER);
    let after = after.map(|after| after.to_str().unwrap().parse().expect("whole seconds"));
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("a body");
    (status, after, String::from_utf8(body.to_vec()).expect("text"))
}

async fn a_server_that_stops_takes_no_more_polls(stage: Stage) {
    let world = stage.start().await;
    world.only(0);
    let queue = world.queue().await;
    world.servers[0].app.queues().drain(Duration::ZERO, Duration::ZERO).await;
    let path = format!("/api/v1/events?queue_id={}&last_event_id=-1", queue.id);
    let mut times = HashSet::new();
    for _ in 0..15 {
        let (status, after, body) = poll_by_router(&world, &path, &queue.user.token).await;
        assert!(status == 503 && body.contains("\"DRAINING\""), "{status} {body}");
        let after = after.expect("when to come again");
        assert!((1..=5).contains(&after));
        times.insert(after);
    }
    assert!(times.len() > 1, "so that not all come back together");
    let (status, _, body) = poll_by_router(&world, "/healthz", "").await;
    assert!(status == 503 && body.contains(r#""draining":true"#), "{status} {body}");
}

async fn a_client_goes_on_elsewhere_or_later_with_the_id_it_has(stage: Stage) {
    let mut world = stage.start().await;
    world.only(0);
    let queue = world.queue().await;
    for n in 0..5 {
        assert_eq!(world.send_to(&queue, &json!({"type": "t", "n": n})).await, 1);
    }
    let before = world.poll(&queue, 1).await;
    assert_eq!(before.ids(), [2, 3, 4]);
    world.servers[0].stop();
    let served = timeout(Duration::from_secs(20), &mut world.servers[0].served).await;
    served.expect("an end").expect("no panic").expect("no connection had to be cut");
    match stage {
        Stage::TwoServers => world.only(1),
        _ => world.restart().await,
    }
    assert_eq!(world.poll(&queue, 1).await.events(), before.events());
    world.poll(&queue, 0).await.refused(410, "EVENTS_PRUNED");
    assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 1);
    assert_eq!(world.poll(&queue, 4).await.ids(), [5]);
}

#[tokio::test]
async fn a_store_that_is_closed_is_503() {
    let world = Stage::Embedded.start().await;
    let queue = world.queue().await;
    world.servers[0].app.queues().store().close().await;
    let answer = world.send(&json!({"queues": [queue.id], "event": {"type": "t"}})).await;
    answer.refused(503, "STORE_UNAVAILABLE");
}
