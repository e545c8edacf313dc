//! `DELETE /api/v1/events`.

use serde_json::json;

use crate::{stage::Stage, world::Queue};

on_every_stage![
    a_queue_that_is_deleted_is_gone_with_its_events,
    a_parked_poll_is_answered_empty_before_its_queue_goes,
    a_foreign_delete_disturbs_nothing,
    a_queue_that_has_overflowed_can_be_deleted,
];

async fn a_queue_that_is_deleted_is_gone_with_its_events(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    world.send_to(&queue, &json!({"type": "t"})).await;
    let answer = world.delete(&queue).await;
    assert_eq!(answer.text, r#"{"success":true,"message":"success"}"#);
    answer.ok();
    world.poll(&queue, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
    world.poll(&queue, 0).await.refused(404, "BAD_EVENT_QUEUE_ID");
    world.delete(&queue).await.refused(404, "BAD_EVENT_QUEUE_ID");
    assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 0);
}

async fn a_parked_poll_is_answered_empty_before_its_queue_goes(stage: Stage) {
    let world = stage.start().await;
    for _ in 0..4 {
        let queue = world.queue().await;
        let poll = world.park(&queue, -1).await;
        world.delete(&queue).await.ok();
        let answer = poll.await.expect("an answer");
        assert_eq!(answer.ids(), [0; 0]);
        assert_eq!(answer.ok()["queue_id"], queue.id.as_str());
        world.until_parked(0).await;
        world.poll(&queue, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
    }
}

async fn a_foreign_delete_disturbs_nothing(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let poll = world.park(&queue, -1).await;
    let foreign = Queue { id: queue.id.clone(), user: world.user() };
    for _ in 0..2 {
        world.delete(&foreign).await.refused(404, "BAD_EVENT_QUEUE_ID");
    }
    assert!(!poll.is_finished());
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(poll.await.expect("an answer").ids(), [0]);
}

async fn a_queue_that_has_overflowed_can_be_deleted(stage: Stage) {
    let world = stage.start_with(|setup| setup.limits.events_per_queue = 0).await;
    let queue = world.queue().await;
    world.send_to(&queue, &json!({"type": "t"})).await;
    world.delete(&queue).await.ok();
    world.poll(&queue, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
}
