//! `GET /api/v1/events`, as far as it does not wait.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    stage::Stage,
    world::{Queue, World},
};

on_every_stage![
    ids_count_from_0_in_each_queue_and_increase_strictly,
    an_event_comes_again_until_it_is_acknowledged,
    an_acknowledgement_removes_all_events_up_to_it,
    an_answer_has_100_events_at_most_the_oldest_first,
    an_id_below_what_was_acknowledged_is_410,
    an_id_that_was_never_given_is_400,
    a_poll_that_is_refused_acknowledges_nothing,
    an_answer_that_was_sent_is_not_acknowledged_by_that,
    an_event_comes_as_it_was_sent,
    events_sent_at_the_same_time_are_all_there_once,
    an_id_may_be_percent_encoded,
];

async fn send(world: &World, queue: &Queue, events: usize) {
    for n in 0..events {
        assert_eq!(world.send_to(queue, &json!({"type": "t", "n": n})).await, 1);
    }
}

async fn ids_count_from_0_in_each_queue_and_increase_strictly(stage: Stage) {
    let world = stage.start().await;
    let user = world.user();
    let (one, other) =
        (world.queue_of(&user, &json!({})).await, world.queue_of(&user, &json!({})).await);
    send(&world, &one, 3).await;
    send(&world, &other, 2).await;
    assert_eq!(world.poll(&one, -1).await.ids(), [0, 1, 2]);
    assert_eq!(world.poll(&other, -1).await.ids(), [0, 1]);
    // Not anew when the queue is empty.
    assert_eq!(world.peek(&one, 2).await.ids(), [0; 0]);
    send(&world, &one, 1).await;
    let ids = world.poll(&one, 2).await.ids();
    assert!(ids.len() == 1 && ids[0] > 2, "{ids:?}");
}

async fn an_event_comes_again_until_it_is_acknowledged(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    send(&world, &queue, 2).await;
    let first = world.poll(&queue, -1).await;
    assert_eq!(first.ids(), [0, 1]);
    for _ in 0..3 {
        assert_eq!(world.poll(&queue, -1).await.events(), first.events());
        assert_eq!(world.peek(&queue, -1).await.events(), first.events());
    }
    send(&world, &queue, 1).await;
    assert_eq!(world.poll(&queue, -1).await.ids(), [0, 1, 2]);
}

async fn an_acknowledgement_removes_all_events_up_to_it(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    send(&world, &queue, 4).await;
    assert_eq!(world.poll(&queue, 1).await.ids(), [2, 3]);
    assert_eq!(world.poll(&queue, 1).await.ids(), [2, 3]);
    assert_eq!(world.peek(&queue, 2).await.ids(), [3]);
    world.poll(&queue, 1).await.refused(410, "EVENTS_PRUNED");
    assert_eq!(world.peek(&queue, 3).await.ids(), [0; 0]);
}

async fn an_answer_has_100_events_at_most_the_oldest_first(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    send(&world, &queue, 203).await;
    let ids = |from: i64, to: i64| (from..to).collect::<Vec<_>>();
    assert_eq!(world.poll(&queue, -1).await.ids(), ids(0, 100));
    assert_eq!(world.poll(&queue, 99).await.ids(), ids(100, 200));
    assert_eq!(world.poll(&queue, 150).await.ids(), ids(151, 203));
}

async fn an_id_below_what_was_acknowledged_is_410(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    send(&world, &queue, 3).await;
    assert_eq!(world.poll(&queue, 1).await.ids(), [2]);
    for seen in [-1, 0] {
        world.poll(&queue, seen).await.refused(410, "EVENTS_PRUNED");
        world.peek(&queue, seen).await.refused(410, "EVENTS_PRUNED");
    }
    assert_eq!(world.poll(&queue, 1).await.ids(), [2]);
}

async fn an_id_that_was_never_given_is_400(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    world.poll(&queue, 0).await.refused(400, "UNKNOWN_EVENT_ID");
    send(&world, &queue, 2).await;
    for seen in [2, 3, 1 << 53, i64::MAX - 1, i64::MAX] {
        world.poll(&queue, seen).await.refused(400, "UNKNOWN_EVENT_ID");
        world.peek(&queue, seen).await.refused(400, "UNKNOWN_EVENT_ID");
    }
    assert_eq!(world.poll(&queue, -1).await.ids(), [0, 1]);
}

async fn a_poll_that_is_refused_acknowledges_nothing(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    send(&world, &queue, 2).await;
    let other = world.user();
    let path = format!("/api/v1/events?queue_id={}&last_event_id=1", queue.id);
    world.call("GET", &path, &other.token, "").await.refused(404, "BAD_EVENT_QUEUE_ID");
    world.call("GET", &path, "no token", "").await.refused(401, "UNAUTHORIZED");
    let wrong = format!("{path}&dont_block=maybe");
    world.call("GET", &wrong, &queue.user.token, "").await.refused(400, "INVALID_PARAM");
    assert_eq!(world.poll(&queue, -1).await.ids(), [0, 1]);
}

async fn an_answer_that_was_sent_is_not_acknowledged_by_that(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let poll = world.park(&queue, -1).await;
    send(&world, &queue, 1).await;
    assert_eq!(poll.await.expect("an answer").ids(), [0]);
    assert_eq!(world.poll(&queue, -1).await.ids(), [0]);
}

async fn an_event_comes_as_it_was_sent(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let event = json!({
        "z": null, "type": "t", "a": [1, -1, 1.5, 0.1, 1e300, u64::MAX, i64::MIN, true, []],
        "text": "quote \" slash \\ / line \n nul \u{0} tab \t é 漢 🙂 \u{2028} </script>",
        "": {"type": {"id": 5}}, "ID": 1, "data": {"queue_id": "x"},
    });
    assert_eq!(world.send_to(&queue, &event).await, 1);
    let answer = world.poll(&queue, -1).await;
    let got = answer.events().remove(0);
    let mut expected = event.clone();
    expected["id"] = json!(0);
    assert_eq!(got, expected);
    let names = |event: &Value| event.as_object().expect("one").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&got)[1..], names(&event), "in the order in which it was sent");
}

async fn events_sent_at_the_same_time_are_all_there_once(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let sends =
        (0..60).map(|n| world.send(&json!({"queues": [queue.id], "event": {"type": "t", "n": n}})));
    for sent in join_all(sends.map(tokio::spawn)).await {
        assert_eq!(sent.expect("an answer").ok()["queued"], 1);
    }
    let answer = world.poll(&queue, -1).await;
    assert!(answer.ids().is_sorted_by(|one, next| one < next), "{:?}", answer.ids());
    let mut sent: Vec<_> = answer.events().iter().map(|event| event["n"].as_u64()).collect();
    sent.sort_unstable();
    assert_eq!(sent, (0..60).map(Some).collect::<Vec<_>>());
}

async fn an_id_may_be_percent_encoded(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    send(&world, &queue, 1).await;
    let encoded = queue.id.replace('-', "%2D").replace('4', "%34");
    let path = format!("/api/v1/events?%71ueue_id={encoded}&last_event_id=%2D1");
    assert_eq!(world.call("GET", &path, &queue.user.token, "").await.ids(), [0]);
}
