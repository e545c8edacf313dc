//! Polls that wait.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::stage::Stage;

on_every_stage![
    a_parked_poll_is_answered_by_the_event_it_waits_for,
    an_empty_poll_is_answered_empty_when_it_has_waited,
    an_event_that_comes_between_two_polls_is_there_at_once,
    no_wake_is_lost_when_polls_and_sends_race,
    an_event_of_another_type_does_not_answer_a_poll,
    a_poll_that_does_not_block_never_parks,
    a_poll_that_does_not_block_leaves_a_parked_poll_where_it_is,
    a_poll_that_does_not_block_acknowledges,
    one_send_answers_all_queues_of_a_user,
];

async fn a_parked_poll_is_answered_by_the_event_it_waits_for(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    for n in 0..5 {
        let poll = world.park(&queue, n - 1).await;
        assert_eq!(world.send_to(&queue, &json!({"type": "t", "n": n})).await, 1);
        let answer = poll.await.expect("an answer");
        assert_eq!(answer.events(), [json!({"id": n, "type": "t", "n": n})]);
        assert_eq!(answer.ok()["queue_id"], queue.id.as_str());
        world.until_parked(0).await;
    }
}

async fn an_empty_poll_is_answered_empty_when_it_has_waited(stage: Stage) {
    let world = stage.start_with(|setup| setup.settings.times.park /= 250).await;
    let queue = world.queue().await;
    let answer = world.poll(&queue, -1).await;
    let expected = json!({"success": true, "data": [], "queue_id": queue.id});
    assert_eq!(answer.text, expected.to_string());
    assert_eq!(world.poll(&queue, -1).await.ids(), [0; 0]);
    world.until_parked(0).await;
}

async fn an_event_that_comes_between_two_polls_is_there_at_once(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let poll = world.park(&queue, -1).await;
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(poll.await.expect("an answer").ids(), [0]);
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(world.poll(&queue, 0).await.ids(), [1]);
}

async fn no_wake_is_lost_when_polls_and_sends_race(stage: Stage) {
    // A wake that is lost makes an empty answer.
    let world = stage.start_with(|setup| setup.settings.times.park /= 5).await;
    let races = join_all((0..8).map(async |_| {
        let (queue, mut seen) = (world.queue().await, -1);
        for n in 0..15 {
            let event = json!({"type": "t", "n": n});
            let (answer, queued) =
                tokio::join!(world.poll(&queue, seen), world.send_to(&queue, &event));
            assert_eq!((answer.ids().as_slice(), queued), ([n].as_slice(), 1));
            seen = n;
        }
    }));
    races.await;
}

async fn an_event_of_another_type_does_not_answer_a_poll(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue_of(&world.user(), &json!({"event_types": ["a"]})).await;
    let poll = world.park(&queue, -1).await;
    assert_eq!(world.send_to(&queue, &json!({"type": "b"})).await, 0);
    assert!(!poll.is_finished());
    assert_eq!(world.send_to(&queue, &json!({"type": "a"})).await, 1);
    assert_eq!(poll.await.expect("an answer").events()[0]["type"], "a");
}

async fn a_poll_that_does_not_block_never_parks(stage: Stage) {
    let world = stage.start_with(|setup| setup.settings.max_parked = 0).await;
    let queue = world.queue().await;
    assert_eq!(world.peek(&queue, -1).await.ids(), [0; 0]);
    world.poll(&queue, -1).await.refused(503, "PARK_FULL");
    let path = format!("/api/v1/events?dont_block=false&queue_id={}&last_event_id=-1", queue.id);
    world.call("GET", &path, &queue.user.token, "").await.refused(503, "PARK_FULL");
}

async fn a_poll_that_does_not_block_leaves_a_parked_poll_where_it_is(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let poll = world.park(&queue, -1).await;
    for _ in 0..4 {
        assert_eq!(world.peek(&queue, -1).await.ids(), [0; 0]);
    }
    assert!(!poll.is_finished());
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(poll.await.expect("an answer").ids(), [0]);
}

async fn a_poll_that_does_not_block_acknowledges(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    for _ in 0..3 {
        world.send_to(&queue, &json!({"type": "t"})).await;
    }
    assert_eq!(world.peek(&queue, 0).await.ids(), [1, 2]);
    world.peek(&queue, -1).await.refused(410, "EVENTS_PRUNED");
}

async fn one_send_answers_all_queues_of_a_user(stage: Stage) {
    let world = stage.start().await;
    let user = world.user();
    let mut polls = Vec::new();
    for _ in 0..6 {
        let queue = world.queue_of(&user, &json!({})).await;
        polls.push(world.park(&queue, -1).await);
    }
    let fields = world.send(&json!({"users": [user.name], "event": {"type": "t"}})).await.ok();
    assert_eq!(fields["queued"], 6);
    for poll in polls {
        assert_eq!(poll.await.expect("an answer").ids(), [0]);
    }
    tokio::time::timeout(Duration::from_secs(10), world.until_parked(0)).await.expect("all left");
}
