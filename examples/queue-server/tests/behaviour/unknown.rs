//! Queues that do not exist, and queues of others: nobody can tell one from the other.

use serde_json::json;
use uuid::Uuid;

use crate::{stage::Stage, world::Queue};

on_every_stage![
    a_queue_that_is_unknown_expired_removed_or_foreign_is_answered_alike,
    a_foreign_queue_is_answered_alike_whatever_is_asked_for,
];

async fn a_queue_that_is_unknown_expired_removed_or_foreign_is_answered_alike(stage: Stage) {
    let world = stage.start().await;
    let user = world.user();
    let expired = world.queue_of(&user, &json!({"idle_queue_timeout": 1})).await;
    world.until_gone(&expired).await;
    let removed = world.queue_of(&user, &json!({})).await;
    world.delete(&removed).await.ok();
    let foreign = world.queue().await;
    world.send_to(&foreign, &json!({"type": "t"})).await;
    let polled = world.queue().await;
    let parked = world.park(&polled, -1).await;
    let mut ids = vec![expired.id, removed.id, foreign.id.clone(), polled.id.clone()];
    ids.push(Uuid::new_v4().to_string());
    // No ids at all.
    ids.push(foreign.id.to_uppercase());
    ids.push(foreign.id.replace('-', ""));
    ids.push(format!("%7B{}%7D", foreign.id));
    ids.push(format!("urn:uuid:{}", foreign.id));
    ids.push(format!("%20{}", foreign.id));
    ids.push(format!("{}%00", foreign.id));
    ids.extend(
        ["", "0", "-1", "null", "%FF%FE", "*", "..%2F..", "a:b", "%F0%9F%99%82"].map(Into::into),
    );
    ids.push("x".repeat(4000));

    for (method, more) in
        [("GET", "&last_event_id=-1"), ("GET", "&last_event_id=-1&dont_block=true"), ("DELETE", "")]
    {
        let mut answers = Vec::new();
        for id in &ids {
            let path = format!("/api/v1/events?queue_id={id}{more}");
            let answer = world.call(method, &path, &user.token, "").await;
            answer.refused(404, "BAD_EVENT_QUEUE_ID");
            answers.push(answer.all_but_date());
        }
        for (answer, id) in answers.iter().zip(&ids) {
            assert_eq!(answer, &answers[0], "{method} {id}");
        }
    }
    assert!(!parked.is_finished());
    assert_eq!(world.poll(&foreign, -1).await.ids(), [0]);
}

async fn a_foreign_queue_is_answered_alike_whatever_is_asked_for(stage: Stage) {
    let world = stage.start_with(|setup| setup.limits.events_per_queue = 2).await;
    let (user, queue) = (world.user(), world.queue().await);
    let unknown = Queue { id: Uuid::new_v4().to_string(), user: user.clone() };
    let foreign = Queue { id: queue.id.clone(), user };
    world.send_to(&queue, &json!({"type": "t"})).await;
    world.send_to(&queue, &json!({"type": "t"})).await;
    world.peek(&queue, 0).await.ok();
    // Pruned, known, next, far off.
    for seen in [-1, 0, 1, 2, i64::MAX] {
        let answers = [world.poll(&unknown, seen).await, world.poll(&foreign, seen).await];
        assert_eq!(answers[0].all_but_date(), answers[1].all_but_date());
        answers[0].refused(404, "BAD_EVENT_QUEUE_ID");
    }
    // More often than one may poll without progress: who guesses is not told more by that.
    for _ in 0..25 {
        world.peek(&foreign, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
        world.peek(&unknown, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
    }
    // Nor is its owner slowed down by it.
    assert_eq!(world.poll(&queue, 0).await.ids(), [1]);
}
