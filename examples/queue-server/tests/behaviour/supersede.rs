//! Two polls on one queue.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    stage::Stage,
    world::{Queue, World, until},
};

on_every_stage![
    the_newest_poll_wins_and_the_old_one_is_told,
    a_poll_that_is_superseded_again_is_held_back,
    two_naive_tabs_do_not_chase_each_other,
    the_end_of_an_old_poll_does_not_remove_the_new_one,
    polls_of_different_queues_do_not_meet,
    a_poll_that_is_refused_supersedes_nobody,
    a_poll_that_is_slowed_down_supersedes_nobody,
    a_poll_that_comes_when_all_places_are_taken_is_not_lost,
];

async fn the_newest_poll_wins_and_the_old_one_is_told(stage: Stage) {
    // The first time it is told at once.
    let rivalry = Duration::from_secs(3600);
    let world = stage.start_with(|setup| setup.settings.times.rivalry = rivalry).await;
    let queue = world.queue().await;
    let old = world.park(&queue, -1).await;
    let new = tokio::spawn(world.poll(&queue, -1));
    let answer = old.await.expect("an answer");
    answer.refused(409, "POLL_SUPERSEDED");
    assert_eq!(answer.retry_after(), 3);
    world.until_parked(1).await;
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(new.await.expect("an answer").ids(), [0]);
}

async fn a_poll_that_is_superseded_again_is_held_back(stage: Stage) {
    let rivalry = Duration::from_secs(2);
    let world = stage.start_with(|setup| setup.settings.times.rivalry = rivalry).await;
    world.only(0);
    let queue = world.queue().await;
    let first = world.park(&queue, -1).await;
    let second = tokio::spawn(world.poll(&queue, -1));
    first.await.expect("an answer").refused(409, "POLL_SUPERSEDED");
    world.until_parked(1).await;
    let again = Instant::now();
    let third = tokio::spawn(world.poll(&queue, -1));
    second.await.expect("an answer").refused(409, "POLL_SUPERSEDED");
    assert!(again.elapsed() >= rivalry);
    // Who is held back is not in the way of who has the queue.
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(third.await.expect("an answer").ids(), [0]);
}

/// A tab that asks again at once, whatever it is told.
async fn naive_tab(world: Arc<World>, queue: Queue, asked: Arc<AtomicUsize>) {
    loop {
        asked.fetch_add(1, Ordering::Relaxed);
        world.poll(&queue, -1).await;
    }
}

async fn two_naive_tabs_do_not_chase_each_other(stage: Stage) {
    let rivalry = Duration::from_millis(300);
    let world = stage.start_with(|setup| setup.settings.times.rivalry = rivalry).await;
    let world = Arc::new(world);
    let queue = world.queue().await;
    let tabs = [Arc::default(), Arc::default()].map(|asked: Arc<AtomicUsize>| {
        let tab = naive_tab(Arc::clone(&world), queue.clone(), Arc::clone(&asked));
        (tokio::spawn(tab), asked)
    });
    sleep(rivalry).await;
    let before = tabs.each_ref().map(|(_, asked)| asked.load(Ordering::Relaxed));
    let measured = 4;
    sleep(measured * rivalry).await;
    for ((tab, asked), before) in tabs.iter().zip(before) {
        let asked = asked.load(Ordering::Relaxed) - before;
        // With 3 s instead: less than one a second.
        assert!(asked < 3 * measured as usize, "{asked} requests");
        tab.abort();
    }
}

async fn the_end_of_an_old_poll_does_not_remove_the_new_one(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    // The old client leaves at the moment at which the new one comes.
    for _ in 0..5 {
        let old = world.park(&queue, -1).await;
        let new = tokio::spawn(world.poll(&queue, -1));
        old.abort();
        let left = old.await.map(|answer| answer.code()).unwrap_or_default();
        assert!(left.is_empty() || left == "POLL_SUPERSEDED", "{left}");
        until("the new one is parked alone", || world.parked() == 1 && !new.is_finished()).await;
        new.abort();
        world.until_parked(0).await;
    }
    let last = world.park(&queue, -1).await;
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(last.await.expect("an answer").ids(), [0]);
}

async fn polls_of_different_queues_do_not_meet(stage: Stage) {
    let world = stage.start().await;
    let user = world.user();
    let (one, other) =
        (world.queue_of(&user, &json!({})).await, world.queue_of(&user, &json!({})).await);
    let (first, second) = (world.park(&one, -1).await, world.park(&other, -1).await);
    world.send_to(&other, &json!({"type": "t"})).await;
    assert_eq!(second.await.expect("an answer").ids(), [0]);
    assert!(!first.is_finished());
    world.send_to(&one, &json!({"type": "t"})).await;
    assert_eq!(first.await.expect("an answer").ids(), [0]);
}

async fn a_poll_that_is_refused_supersedes_nobody(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let poll = world.park(&queue, -1).await;
    let foreign = Queue { id: queue.id.clone(), user: world.user() };
    for _ in 0..2 {
        world.poll(&foreign, -1).await.refused(404, "BAD_EVENT_QUEUE_ID");
        world.poll(&queue, 7).await.refused(400, "UNKNOWN_EVENT_ID");
    }
    assert!(!poll.is_finished());
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(poll.await.expect("an answer").ids(), [0]);
}

async fn a_poll_that_is_slowed_down_supersedes_nobody(stage: Stage) {
    let world = stage.start().await;
    let queue = world.queue().await;
    let mut parked = world.park(&queue, -1).await;
    loop {
        // By peeks, which supersede nobody, until the next is too many for each server.
        let peeks = (0..40).map(|_| tokio::spawn(world.peek(&queue, -1)));
        join_all(peeks).await;
        let poll = tokio::spawn(world.poll(&queue, -1));
        let done = || poll.is_finished() || parked.is_finished();
        until("the one or the other is answered", done).await;
        if poll.is_finished() {
            poll.await.expect("an answer").refused(429, "SLOW_DOWN");
            break;
        }
        // It came in time, so it has the queue now.
        parked = poll;
    }
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(parked.await.expect("an answer").ids(), [0]);
}

async fn a_poll_that_comes_when_all_places_are_taken_is_not_lost(stage: Stage) {
    let world = stage.start_with(|setup| setup.settings.max_parked = 1).await;
    world.only(0);
    let queue = world.queue().await;
    let parked = world.park(&queue, -1).await;
    let newer = tokio::spawn(world.poll(&queue, -1));
    until("the one or the other is answered", || newer.is_finished() || parked.is_finished()).await;
    // Either it takes the place, or the other keeps it.
    let (answered, waits) = if newer.is_finished() { (newer, parked) } else { (parked, newer) };
    let answered = answered.await.expect("an answer");
    assert!(["PARK_FULL", "POLL_SUPERSEDED"].contains(&answered.code().as_str()), "{answered:?}");
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(waits.await.expect("an answer").ids(), [0]);
}

#[tokio::test]
async fn a_poll_that_finds_no_place_on_another_server_supersedes_nobody() {
    let world = Stage::TwoServers.start_with(|setup| setup.settings.max_parked = 1).await;
    let (queue, other) = (world.queue().await, world.queue().await);
    world.only(0);
    let parked = world.park(&queue, -1).await;
    world.only(1);
    let _full = world.park(&other, -1).await;
    world.poll(&queue, -1).await.refused(503, "PARK_FULL");
    world.send_to(&queue, &json!({"type": "t"})).await;
    assert_eq!(parked.await.expect("an answer").ids(), [0]);
}
