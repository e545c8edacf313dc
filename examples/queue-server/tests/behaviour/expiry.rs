//! Queues that are not polled.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::stage::Stage;

on_every_stage![
    a_queue_that_nobody_polls_expires,
    a_queue_does_not_expire_while_a_poll_is_parked_and_its_idle_time_counts_from_the_end,
    a_client_that_leaves_has_the_idle_time_to_come_back,
    a_send_does_not_keep_a_queue_alive,
];

/// A little less, for clocks that count whole milliseconds.
const ALMOST_A_SECOND: Duration = Duration::from_millis(950);

async fn a_queue_that_nobody_polls_expires(stage: Stage) {
    let world = stage.start().await;
    let start = Instant::now();
    let queue = world.queue_of(&world.user(), &json!({"idle_queue_timeout": 1})).await;
    world.send_to(&queue, &json!({"type": "t"})).await;
    world.until_gone(&queue).await;
    assert!(start.elapsed() >= ALMOST_A_SECOND);
    world.poll(&queue, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
    world.peek(&queue, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
    world.delete(&queue).await.refused(404, "BAD_EVENT_QUEUE_ID");
}

async fn a_queue_does_not_expire_while_a_poll_is_parked_and_its_idle_time_counts_from_the_end(
    stage: Stage,
) {
    let world =
        stage.start_with(|setup| setup.settings.times.park = Duration::from_millis(1500)).await;
    let queue = world.queue_of(&world.user(), &json!({"idle_queue_timeout": 1})).await;
    let poll = world.park(&queue, -1).await;
    assert_eq!(poll.await.expect("an answer").ids(), [0; 0]);
    let end = Instant::now();
    assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 1);
    assert_eq!(world.peek(&queue, -1).await.ids(), [0]);
    world.until_gone(&queue).await;
    assert!(end.elapsed() >= ALMOST_A_SECOND);
}

async fn a_client_that_leaves_has_the_idle_time_to_come_back(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue_of(&world.user(), &json!({"idle_queue_timeout": 1})).await;
    let poll = world.park(&queue, -1).await;
    sleep(Duration::from_millis(1200)).await;
    let left = Instant::now();
    poll.abort();
    world.until_parked(0).await;
    world.until_gone(&queue).await;
    assert!(left.elapsed() >= ALMOST_A_SECOND);
    world.poll(&queue, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
}

async fn a_send_does_not_keep_a_queue_alive(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue_of(&world.user(), &json!({"idle_queue_timeout": 1})).await;
    // Sends all the time.
    world.until_gone(&queue).await;
    assert_eq!(world.send_to(&queue, &json!({"type": "t"})).await, 0);
}
