//! `POST /api/v1/send`.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{stage::Stage, world::World};

on_every_stage![
    an_event_goes_to_all_queues_of_users,
    an_event_goes_to_the_queues_that_are_named,
    who_is_named_twice_gets_it_once,
    nobody_is_no_error,
    it_says_how_many_polls_it_woke,
    only_a_service_may_send,
    a_service_has_queues_like_anybody,
    a_name_of_a_user_is_not_read_as_anything_else,
];

async fn queued(world: &World, body: Value) -> Value {
    let mut fields = world.send(&body).await.ok();
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["queued", "woken"]);
    fields.shift_remove("queued").expect("it is there")
}

async fn an_event_goes_to_all_queues_of_users(stage: Stage) {
    let world = stage.start().await;
    let (one, other, third) = (world.user(), world.user(), world.user());
    let mut queues = Vec::new();
    for user in [&one, &one, &other, &third] {
        queues.push(world.queue_of(user, &json!({})).await);
    }
    let picky = world.queue_of(&one, &json!({"event_types": ["x"]})).await;
    let body = json!({"users": [one.name, other.name], "event": {"type": "t"}});
    assert_eq!(queued(&world, body).await, 3);
    for queue in &queues[..3] {
        assert_eq!(world.poll(queue, -1).await.ids(), [0]);
    }
    for queue in [&queues[3], &picky] {
        assert_eq!(world.peek(queue, -1).await.ids(), [0; 0]);
    }
}

async fn an_event_goes_to_the_queues_that_are_named(stage: Stage) {
    let world = stage.start().await;
    let (one, other, third) = (world.queue().await, world.queue().await, world.queue().await);
    let unknown = Uuid::new_v4().to_string();
    let targets = json!([one.id, unknown, "no id", "", other.id, other.id.to_uppercase()]);
    assert_eq!(queued(&world, json!({"queues": targets, "event": {"type": "t"}})).await, 2);
    assert_eq!(world.poll(&one, -1).await.ids(), [0]);
    assert_eq!(world.poll(&other, -1).await.ids(), [0]);
    assert_eq!(world.peek(&third, -1).await.ids(), [0; 0]);
}

async fn who_is_named_twice_gets_it_once(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let (id, name) = (&queue.id, &queue.user.name);
    assert_eq!(queued(&world, json!({"queues": [id, id, id], "event": {"type": "t"}})).await, 1);
    assert_eq!(queued(&world, json!({"users": [name, name], "event": {"type": "t"}})).await, 1);
    assert_eq!(world.poll(&queue, -1).await.ids(), [0, 1]);
}

async fn nobody_is_no_error(stage: Stage) {
    let world = stage.start().await;
    let nobody = world.user().name;
    for body in [
        json!({"users": [nobody], "event": {"type": "t"}}),
        json!({"queues": ["no id"], "event": {"type": "t"}}),
        json!({"queues": [Uuid::new_v4().to_string()], "event": {"type": "t"}}),
    ] {
        let expected = r#"{"success":true,"queued":0,"woken":0}"#;
        assert_eq!(world.send(&body).await.text, expected);
    }
}

async fn it_says_how_many_polls_it_woke(stage: Stage) {
    let world = stage.start().await;
    // It knows of the polls that are parked on the server that is asked.
    world.only(0);
    let user = world.user();
    let (one, other) =
        (world.queue_of(&user, &json!({})).await, world.queue_of(&user, &json!({})).await);
    let polls = [world.park(&one, -1).await, world.park(&other, -1).await];
    let third = world.queue_of(&user, &json!({})).await;
    let fields = world.send(&json!({"users": [user.name], "event": {"type": "t"}})).await.ok();
    assert_eq!((&fields["queued"], &fields["woken"]), (&json!(3), &json!(2)));
    for poll in polls {
        assert_eq!(poll.await.expect("an answer").ids(), [0]);
    }
    assert_eq!(world.poll(&third, -1).await.ids(), [0]);
}

async fn only_a_service_may_send(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let body = json!({"queues": [queue.id], "event": {"type": "t"}}).to_string();
    let answer = world.call("POST", "/api/v1/send", &queue.user.token, body.clone()).await;
    answer.refused(403, "FORBIDDEN");
    world.call("POST", "/api/v1/send", "no token", body).await.refused(401, "UNAUTHORIZED");
    // Nor is told whether what it would send is right.
    let answer = world.call("POST", "/api/v1/send", &queue.user.token, "{").await;
    answer.refused(403, "FORBIDDEN");
    assert_eq!(world.peek(&queue, -1).await.ids(), [0; 0]);
}

async fn a_service_has_queues_like_anybody(stage: Stage) {
    let world = stage.start().await;
    let mut service = world.user();
    service.token = world.token(&service.name, true);
    let queue = world.queue_of(&service, &json!({})).await;
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(world.poll(&queue, -1).await.ids(), [0]);
    // Its right is to send, not to read what others get.
    let mut other = world.queue().await;
    other.user = service;
    world.poll(&other, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
    world.delete(&other).await.refused(404, "BAD_EVENT_QUEUE_ID");
}

async fn a_name_of_a_user_is_not_read_as_anything_else(stage: Stage) {
    let world = stage.start().await;
    let plain = world.user();
    let mut queues = vec![world.queue_of(&plain, &json!({})).await];
    for end in ["*", "?", " ", ":", "}", "\u{0}", "\r\n", "é", "🙂", "\\", "%2a", "/../x"] {
        let mut user = plain.clone();
        user.name = format!("{}{end}", plain.name);
        user.token = world.token(&user.name, false);
        queues.push(world.queue_of(&user, &json!({})).await);
    }
    for queue in &queues {
        let body = json!({"users": [queue.user.name], "event": {"type": "t"}});
        assert_eq!(queued(&world, body).await, 1, "{:?}", queue.user.name);
        assert_eq!(world.poll(queue, -1).await.ids(), [0]);
    }
}
