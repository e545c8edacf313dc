//! Queues that get more than they may keep.

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    stage::Stage,
    world::{Queue, World},
};

on_every_stage![
    one_event_too_many_ends_a_queue_loudly_and_once,
    one_byte_too_many_ends_a_queue_loudly_and_once,
    a_queue_keeps_1000_events,
    a_queue_keeps_1_mib,
    what_is_acknowledged_makes_room,
    a_parked_poll_is_told_of_an_overflow,
    nobody_else_takes_the_word_of_an_overflow,
    a_queue_that_has_overflowed_takes_no_more,
    an_overflow_ends_no_other_queue,
];

async fn told_once(world: &World, queue: &Queue) {
    world.poll(queue, -1).await.refused(410, "QUEUE_OVERFLOWED");
    for _ in 0..2 {
        world.poll(queue, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
        world.peek(queue, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
    }
}

async fn one_event_too_many_ends_a_queue_loudly_and_once(stage: Stage) {
    let world = stage.start_with(|setup| setup.limits.events_per_queue = 3).await;
    let queue = world.queue().await;
    for _ in 0..3 {
        assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 1);
    }
    assert_eq!(world.peek(&queue, -1).await.ids(), [0, 1, 2]);
    assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 0);
    told_once(&world, &queue).await;
}

async fn one_byte_too_many_ends_a_queue_loudly_and_once(stage: Stage) {
    // `{"type":"t","x":"…"}` has 19 bytes besides.
    let world = stage.start_with(|setup| setup.limits.bytes_per_queue = 100).await;
    let event = |bytes: usize| json!({"type": "t", "x": "x".repeat(bytes - 19)});
    let queue = world.queue().await;
    for bytes in [40, 60] {
        assert_eq!(event(bytes).to_string().len(), bytes);
        assert_eq!(world.send_to(&queue, &event(bytes)).await, 1);
    }
    assert_eq!(world.peek(&queue, -1).await.ids(), [0, 1]);
    assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 0);
    told_once(&world, &queue).await;

    let queue = world.queue().await;
    assert_eq!(world.send_to(&queue, &event(101)).await, 0);
    told_once(&world, &queue).await;
}

async fn a_queue_keeps_1000_events(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    for _ in 0..20 {
        let event = json!({"type": "t"});
        let sends = (0..50).map(|_| world.send_to(&queue, &event));
        assert_eq!(join_all(sends).await, [1; 50]);
    }
    assert_eq!(world.peek(&queue, -1).await.ids().len(), 100);
    assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 0);
    told_once(&world, &queue).await;
}

async fn a_queue_keeps_1_mib(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let event = json!({"type": "t", "x": "x".repeat(64 * 1024 - 19)});
    for _ in 0..16 {
        assert_eq!(world.send_to(&queue, &event).await, 1);
    }
    assert_eq!(world.peek(&queue, -1).await.ids().len(), 16);
    assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 0);
    told_once(&world, &queue).await;
}

async fn what_is_acknowledged_makes_room(stage: Stage) {
    let world = stage.start_with(|setup| setup.limits.events_per_queue = 3).await;
    let queue = world.queue().await;
    for seen in -1..20 {
        assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 1);
        assert_eq!(world.poll(&queue, seen).await.ids(), [seen + 1]);
    }
}

async fn a_parked_poll_is_told_of_an_overflow(stage: Stage) {
    let world = stage.start_with(|setup| setup.limits.bytes_per_queue = 20).await;
    let queue = world.queue().await;
    let poll = world.park(&queue, -1).await;
    let event = json!({"type": "t", "more": "than the queue may keep"});
    let fields = world.send(&json!({"queues": [queue.id], "event": event})).await.ok();
    assert_eq!(fields["queued"], 0);
    poll.await.expect("an answer").refused(410, "QUEUE_OVERFLOWED");
    world.poll(&queue, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
}

async fn nobody_else_takes_the_word_of_an_overflow(stage: Stage) {
    let world = stage.start_with(|setup| setup.limits.events_per_queue = 0).await;
    let queue = world.queue().await;
    assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 0);
    let foreign = Queue { id: queue.id.clone(), user: world.user() };
    for _ in 0..2 {
        world.poll(&foreign, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
        world.delete(&foreign).await.refused(404, "BAD_EVENT_QUEUE_ID");
    }
    told_once(&world, &queue).await;
}

async fn a_queue_that_has_overflowed_takes_no_more(stage: Stage) {
    let world = stage.start_with(|setup| setup.limits.events_per_queue = 1).await;
    let queue = world.queue().await;
    world.send_to(&queue, &json!({"type": "t"})).await;
    for _ in 0..3 {
        assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 0);
    }
    told_once(&world, &queue).await;
    assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 0);
}

async fn an_overflow_ends_no_other_queue(stage: Stage) {
    let world = stage.start_with(|setup| setup.limits.events_per_queue = 1).await;
    let user = world.user();
    let full = world.queue_of(&user, &json!({})).await;
    world.send_to(&full, &json!({"type": "t"})).await;
    let other = world.queue_of(&user, &json!({})).await;
    let fields = world.send(&json!({"users": [user.name], "event": {"type": "t"}})).await.ok();
    assert_eq!(fields["queued"], 1);
    told_once(&world, &full).await;
    assert_eq!(world.poll(&other, -1).await.ids(), [0]);
}
