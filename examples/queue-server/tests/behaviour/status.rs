//! `GET /healthz` and `GET /metrics`.

use serde_json::{Value, json};

use crate::{
    answer::Answer,
    stage::Stage,
    world::{World, answer, until},
};

on_every_stage![
    it_is_healthy_while_it_takes_polls,
    metrics_count_what_happens,
    neither_health_nor_metrics_name_a_queue_or_a_user,
    a_client_cannot_make_metrics_grow,
];

async fn get(world: &World, path: &str) -> Answer {
    answer(world.request("GET", path)).await
}

/// The value of a line of `/metrics`; 0 if there is none.
async fn metric(world: &World, name: &str) -> f64 {
    let text = get(world, "/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

async fn it_is_healthy_while_it_takes_polls(stage: Stage) {
    let world = stage.start().await;
    world.only(0);
    let queue = world.queue().await;
    let health =
        |parked: u64| json!({"success": true, "store": "ok", "draining": false, "parked": parked});
    let answer = get(&world, "/healthz").await;
    assert_eq!((answer.status, Value::Object(answer.fields())), (200, health(0)));
    let poll = world.park(&queue, -1).await;
    let answer = get(&world, "/healthz").await;
    assert_eq!((answer.status, Value::Object(answer.fields())), (200, health(1)));
    poll.abort();
}

async fn metrics_count_what_happens(stage: Stage) {
    let world = stage.start().await;
    world.only(0);
    let answer = get(&world, "/metrics").await;
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").expect("a type");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(answer.text.ends_with("# EOF\n"), "as OpenMetrics says");

    let user = world.user();
    let (one, other) =
        (world.queue_of(&user, &json!({})).await, world.queue_of(&user, &json!({})).await);
    let poll = world.park(&one, -1).await;
    let left = world.park(&other, -1).await;
    assert!((metric(&world, "queue_server_parked_polls").await - 2.0).abs() < 0.1);
    left.abort();
    world.until_parked(1).await;
    world.send(&json!({"users": [user.name], "event": {"type": "t"}})).await.ok();
    assert_eq!(poll.await.expect("an answer").ids(), [0]);
    world.poll(&one, 7).await.refused(400, "UNKNOWN_EVENT_ID");
    world.until_parked(0).await;
    // An exchange is over a little after its answer.
    let mut expected = vec![
        ("queue_server_parked_polls", 0.0),
        ("queue_server_sent_events_total", 1.0),
        ("queue_server_queued_events_total", 2.0),
        (r#"queue_server_park_seconds_count{outcome="woken"}"#, 1.0),
        (r#"queue_server_refused_polls_total{reason="full"}"#, 0.0),
        (
            r#"queue_server_exchanges_total{route="/api/v1/events",status="200",close="complete"}"#,
            1.0,
        ),
        (
            r#"queue_server_exchanges_total{route="/api/v1/events",status="400",close="complete"}"#,
            1.0,
        ),
        (
            r#"queue_server_exchanges_total{route="/api/v1/events",status="0",close="disconnected"}"#,
            1.0,
        ),
        (
            r#"queue_server_exchanges_total{route="/api/v1/register",status="200",close="complete"}"#,
            2.0,
        ),
        (
            r#"queue_server_exchanges_total{route="/api/v1/send",status="200",close="complete"}"#,
            1.0,
        ),
    ];
    if stage == Stage::Embedded {
        expected.push(("queue_server_queues", 2.0));
    }
    for (name, value) in expected {
        let mut got = metric(&world, name).await;
        for _ in 0..100 {
            if (got - value).abs() < 0.1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            got = metric(&world, name).await;
        }
        assert!(
            (got - value).abs() < 0.1,
            "{name} is {got}, not {value}:\n{}",
            get(&world, "/metrics").await.text
        );
    }
}

async fn neither_health_nor_metrics_name_a_queue_or_a_user(stage: Stage) {
    let world = stage.start().await;
    let mut secrets = Vec::new();
    let mut polls = Vec::new();
    for _ in 0..4 {
        let queue = world.queue().await;
        polls.push(world.park(&queue, -1).await);
        world.call("GET", &format!("/{}", queue.id), &queue.user.token, "").await;
        secrets.extend([queue.id, queue.user.name, queue.user.token]);
    }
    for path in ["/healthz", "/metrics", "/healthz", "/metrics"] {
        let text = get(&world, path).await.text;
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
    }
    polls.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn a_client_cannot_make_metrics_grow(stage: Stage) {
    let world = stage.start().await;
    world.only(0);
    let lines = async || {
        let name = r#"queue_server_exchanges_total{route="other""#;
        get(&world, "/metrics").await.text.lines().filter(|line| line.starts_with(name)).count()
    };
    for n in 0..20 {
        world.call("GET", &format!("/{n}"), "", "").await.refused(404, "NOT_FOUND");
    }
    until("all are parked no more", || world.parked() == 0).await;
    assert!(lines().await <= 1);
}
