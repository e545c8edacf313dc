//! Limits of users and of the server.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::json;

use crate::stage::Stage;

on_every_stage![
    a_user_has_32_queues_and_no_more,
    a_queue_that_is_gone_makes_room_for_another,
    polls_without_progress_are_slowed_down_after_20_at_once,
    polls_with_progress_are_never_slowed_down,
    a_poll_is_refused_when_as_many_are_parked_as_may_be,
];

async fn a_user_has_32_queues_and_no_more(stage: Stage) {
    let world = stage.start().await;
    let user = world.user();
    for _ in 0..32 {
        world.register(&user, &json!({})).await.ok();
    }
    for _ in 0..2 {
        world.register(&user, &json!({})).await.refused(429, "TOO_MANY_QUEUES");
    }
    world.queue().await;
}

async fn a_queue_that_is_gone_makes_room_for_another(stage: Stage) {
    let world = stage.start_with(|setup| setup.limits.queues_per_user = 2).await;
    let user = world.user();
    let short = world.queue_of(&user, &json!({"idle_queue_timeout": 1})).await;
    let long = world.queue_of(&user, &json!({})).await;
    world.register(&user, &json!({})).await.refused(429, "TOO_MANY_QUEUES");
    world.until_gone(&short).await;
    world.queue_of(&user, &json!({})).await;
    world.register(&user, &json!({})).await.refused(429, "TOO_MANY_QUEUES");
    world.delete(&long).await.ok();
    world.queue_of(&user, &json!({})).await;
}

async fn polls_without_progress_are_slowed_down_after_20_at_once(stage: Stage) {
    let world = stage.start().await;
    // Each server counts for itself.
    world.only(0);
    let queue = world.queue().await;
    world.send_to(&queue, &json!({"type": "t"})).await;
    for _ in 0..20 {
        assert_eq!(world.peek(&queue, -1).await.ids(), [0]);
    }
    let more = join_all((0..60).map(|_| tokio::spawn(world.peek(&queue, -1)))).await;
    let mut more = more.into_iter().map(|answer| answer.expect("an answer"));
    let refused = more.find(|answer| answer.status != 200).expect("too many");
    refused.refused(429, "SLOW_DOWN");
    assert_eq!(refused.retry_after(), 1);
    // Of another queue nothing is held against it, and who gets on is let through.
    assert_eq!(world.peek(&world.queue().await, -1).await.ids(), [0; 0]);
    assert_eq!(world.peek(&queue, 0).await.ids(), [0; 0]);
}

async fn polls_with_progress_are_never_slowed_down(stage: Stage) {
    let world = stage.start().await;
    world.only(0);
    let queue = world.queue().await;
    for _ in 0..80 {
        world.send_to(&queue, &json!({"type": "t"})).await;
    }
    for seen in 0..80 {
        assert_eq!(world.peek(&queue, seen).await.status, 200);
    }
}

async fn a_poll_is_refused_when_as_many_are_parked_as_may_be(stage: Stage) {
    let world = stage.start_with(|setup| setup.settings.max_parked = 2).await;
    world.only(0);
    let (one, other, third) = (world.queue().await, world.queue().await, world.queue().await);
    let polls = [world.park(&one, -1).await, world.park(&other, -1).await];
    let mut times = HashSet::new();
    for _ in 0..15 {
        let answer = world.poll(&third, -1).await;
        answer.refused(503, "PARK_FULL");
        assert!((1..=5).contains(&answer.retry_after()), "{answer:?}");
        times.insert(answer.retry_after());
    }
    assert!(times.len() > 1, "so that not all come back together");
    // Whoever need not wait is served.
    world.send_to(&third, &json!({"type": "t"})).await;
    assert_eq!(world.peek(&third, -1).await.ids(), [0]);
    for (queue, poll) in [one, other].iter().zip(polls) {
        assert!(!poll.is_finished());
        world.send_to(queue, &json!({"type": "t"})).await;
        assert_eq!(poll.await.expect("an answer").ids(), [0]);
    }
    world.until_parked(0).await;
    let poll = world.park(&third, 0).await;
    world.send_to(&third, &json!({"type": "t"})).await;
    assert_eq!(poll.await.expect("an answer").ids(), [1]);
}
