//! Two tabs on one queue.

use std::time::Duration;

use fantoccini::wd::WindowHandle;
use serde_json::json;
use tokio::time::sleep;

use crate::{page::Page, support::until};

/// A second tab on the queue of the first, and in front. The older is returned, then the newer.
async fn two_tabs(page: &Page) -> (WindowHandle, WindowHandle) {
    let queue = page.shown().await.queue;
    let older = page.tab.window().await.unwrap();
    page.click("#share").await;
    until("two tabs", async || page.tab.windows().await.unwrap().len() == 2).await;
    let tabs = page.tab.windows().await.unwrap();
    let newer = tabs.into_iter().find(|tab| *tab != older).unwrap();
    page.tab.switch_to_window(newer.clone()).await.unwrap();
    page.until("the same queue", |shown| shown.state == "polling" && shown.queue == queue).await;
    page.tab.switch_to_window(older.clone()).await.unwrap();
    page.until("superseded", |shown| shown.state == "superseded").await;
    page.tab.switch_to_window(newer.clone()).await.unwrap();
    (older, newer)
}

#[tokio::test]
async fn the_newest_of_two_tabs_polls_and_the_other_does_not_fight() {
    let page = Page::open(&[]).await;
    let (older, newer) = two_tabs(&page).await;

    let polls = "queue_server_exchanges_total{route=\"/api/v1/events\"";
    let before = page.api().metric(polls).await;
    // What is measured is that nothing happens for so long.
    sleep(Duration::from_secs(3)).await;
    let asked = page.api().metric(polls).await - before;
    assert!(asked < 3.0, "{asked} polls in 3 s");

    page.api().send(&json!({"type": "hello"})).await;
    page.until_it_shows(&[0]).await;
    page.tab.switch_to_window(older).await.unwrap();
    let shown = page.shown().await;
    assert_eq!((shown.state.as_str(), shown.events.len()), ("superseded", 0));

    // It takes the queue back when it is told to, and knows from the other how far that was.
    page.click("#resume").await;
    let shown = page.until("it polls", |shown| shown.state == "polling").await;
    assert_eq!((shown.gaps, shown.notes.len()), (1, 1), "{shown:?}");
    page.api().send(&json!({"type": "hello"})).await;
    page.until_it_shows(&[1]).await;
    page.tab.switch_to_window(newer).await.unwrap();
    page.until("superseded", |shown| shown.state == "superseded" && shown.events == [0]).await;
    page.was_good().await;
}

#[tokio::test]
async fn the_poll_of_a_closed_tab_is_gone_at_once_and_its_events_are_the_other_tabs() {
    let page = Page::open(&[]).await;
    let (older, _) = two_tabs(&page).await;
    let api = page.api();
    until("one poll is parked", async || api.parked().await == 1).await;
    page.tab.close_window().await.unwrap();
    until("none is", async || api.parked().await == 0).await;
    let gone = "queue_server_exchanges_total{route=\"/api/v1/events\",status=\"0\"";
    assert!(api.metric(gone).await >= 1.0, "unparked as its client left, not by its time");

    assert_eq!(api.send(&json!({"type": "hello"})).await, 1, "the queue is there");
    page.tab.switch_to_window(older).await.unwrap();
    page.click("#resume").await;
    page.until_it_shows(&[0]).await;
    page.was_good().await;
}

#[tokio::test]
async fn a_page_that_is_left_polls_no_more_and_goes_on_when_it_is_shown_again() {
    let page = Page::open(&[]).await;
    let api = page.api();
    until("it is parked", async || api.parked().await == 1).await;
    page.tab.goto("about:blank").await.unwrap();
    until("it is not", async || api.parked().await == 0).await;
    api.send(&json!({"type": "hello"})).await;
    page.tab.back().await.unwrap();
    page.until_it_shows(&[0]).await;
    until("it is parked again", async || api.parked().await == 1).await;
}

#[tokio::test]
async fn a_queue_can_be_polled_by_its_id_and_a_place_that_is_gone_is_told() {
    let page = Page::open(&[]).await;
    let api = page.api();
    let queue = api.register().await;
    for _ in 0..3 {
        api.send_to(&json!({"queues": [queue], "event": {"type": "hello"}})).await;
    }
    assert_eq!(api.peek(&queue, 0).await, [1, 2], "0 is acknowledged");
    page.click("summary").await;
    page.fill("#join [name=queue]", &queue).await;
    page.click("#join button").await;
    let shown = page.until("behind", |shown| shown.state == "behind").await;
    assert!(shown.events.is_empty(), "{shown:?}");
    page.fill("#join [name=seen]", "0").await;
    page.click("#join button").await;
    page.until_it_shows(&[1, 2]).await;
    page.was_good().await;
}
