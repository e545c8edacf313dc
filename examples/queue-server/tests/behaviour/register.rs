//! `POST /api/v1/register`.

use std::collections::HashSet;

use serde_json::{Value, json};
use uuid::{Uuid, Variant};

use crate::stage::Stage;

on_every_stage![
    a_queue_is_registered_without_a_body,
    a_queue_lives_as_long_as_is_asked_for,
    a_queue_takes_the_types_of_events_it_asks_for_and_no_others,
    an_id_has_122_random_bits_and_is_never_given_twice,
    an_empty_answer_is_a_numbered_event_where_heartbeats_are_asked_for,
];

async fn a_queue_is_registered_without_a_body(stage: Stage) {
    let world = stage.start().await;
    for body in ["", "{}"] {
        let answer = world.call("POST", "/api/v1/register", &world.user().token, body).await;
        let mut fields = answer.fields();
        let id = fields.shift_remove("queue_id").expect("an id");
        assert!(id.is_string());
        let expected = json!({
            "success": true,
            "message": "success",
            "last_event_id": -1,
            "event_queue_longpoll_timeout_seconds": 50,
            "idle_queue_timeout_secs": 600,
        });
        assert_eq!((answer.status, Value::Object(fields)), (200, expected));
    }
}

async fn a_queue_lives_as_long_as_is_asked_for(stage: Stage) {
    let world = stage.start().await;
    for seconds in [1_u64, 604_800] {
        let fields = world.register(&world.user(), &json!({"idle_queue_timeout": seconds})).await;
        assert_eq!(fields.ok()["idle_queue_timeout_secs"], seconds);
    }
    for wrong in ["0", "604801", "-1", "1.5", "1e3", "1.0", "+1", "01", "null1", "\"600\"", "NaN"] {
        let body = format!(r#"{{"idle_queue_timeout":{wrong}}}"#);
        let answer = world.call("POST", "/api/v1/register", &world.user().token, body).await;
        answer.refused(400, "INVALID_PARAM");
    }
}

async fn a_queue_takes_the_types_of_events_it_asks_for_and_no_others(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue_of(&world.user(), &json!({"event_types": ["a", "b c", "ä"]})).await;
    for (kind, queued) in [("a", 1), ("A", 0), ("b", 0), ("b c", 1), ("ä", 1), ("heartbeat", 0)] {
        assert_eq!(world.send_to(&queue, &json!({"type": kind})).await, queued, "{kind}");
    }
    let events = world.poll(&queue, -1).await.events();
    let types: Vec<_> = events.iter().map(|event| event["type"].clone()).collect();
    assert_eq!(types, ["a", "b c", "ä"]);
}

async fn an_id_has_122_random_bits_and_is_never_given_twice(stage: Stage) {
    let world = stage.start().await;
    let (mut ids, mut ones) = (HashSet::new(), [0_u32; 128]);
    for _ in 0..100 {
        let id: Uuid = world.queue().await.id.parse().expect("a UUID");
        assert_eq!((id.get_version_num(), id.get_variant()), (4, Variant::RFC4122));
        for (bit, ones) in ones.iter_mut().enumerate() {
            *ones += u32::from(id.as_u128() >> bit & 1 == 1);
        }
        assert!(ids.insert(id));
    }
    // By chance less than once in 10^20 times.
    let varied = ones.iter().filter(|ones| (4..=96).contains(*ones)).count();
    assert_eq!(varied, 122);
}

async fn an_empty_answer_is_a_numbered_event_where_heartbeats_are_asked_for(stage: Stage) {
    let world = stage.start_with(|setup| setup.settings.times.park /= 500).await;
    let types = json!({"heartbeat": true, "event_types": ["a"]});
    let queue = world.queue_of(&world.user(), &types).await;
    assert_eq!(world.poll(&queue, -1).await.events(), [json!({"id": 0, "type": "heartbeat"})]);
    assert_eq!(world.poll(&queue, 0).await.ids(), [1]);
    assert_eq!(world.send_to(&queue, &json!({"type": "a"})).await, 1);
    assert_eq!(world.poll(&queue, 1).await.events(), [json!({"id": 2, "type": "a"})]);
    // A heartbeat is an event: it is kept until it is acknowledged.
    assert_eq!(world.peek(&queue, 2).await.ids(), [0; 0]);
}
