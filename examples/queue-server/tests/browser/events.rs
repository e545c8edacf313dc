//! Events arrive, are sent, and are text.

use reqwest::Method;
use serde_json::json;

use crate::{
    page::{Page, Shown},
    support::until,
};

#[tokio::test]
async fn a_queue_is_registered_and_events_arrive_as_they_are_sent() {
    let page = Page::open(&[]).await;
    assert_eq!(page.tab.current_url().await.unwrap().fragment(), None, "no token in the address");
    for id in 0..3 {
        assert_eq!(page.api().send(&json!({"type": "hello", "n": id})).await, 1);
        page.until_it_shows(&(0..=id).collect::<Vec<_>>()).await;
    }
    let shown = page.shown().await;
    assert_eq!((shown.gaps, shown.duplicates, shown.reconnects), (0, 0, 0));

    // A reload goes on where it was: what was seen is not there again.
    page.tab.refresh().await.unwrap();
    let again = page.until("it polls", |shown| shown.state == "polling").await;
    assert_eq!(again.queue, shown.queue);
    page.api().send(&json!({"type": "hello"})).await;
    page.until_it_shows(&[3]).await;
    page.was_good().await;
}

#[tokio::test]
async fn a_queue_takes_the_types_and_the_heartbeats_that_the_form_asks_for() {
    let page = Page::open(&["--poll-timeout", "500ms"]).await;
    let first = page.shown().await.queue;
    page.fill("#connect [name=types]", "a, b").await;
    page.click("#connect [name=heartbeat]").await;
    page.click("#connect button").await;
    page.until("another queue", |shown| shown.state == "polling" && shown.queue != first).await;
    for (kind, queues) in [("a", 2), ("c", 1), ("b", 2)] {
        assert_eq!(page.api().send(&json!({"type": kind})).await, queues, "the first takes all");
    }
    page.until("two events, a heartbeat", |shown| shown.events.len() >= 3).await;
    let types = "return [...document.querySelectorAll('.type')].map((type) => type.textContent)";
    let types = page.tab.execute(types, Vec::new()).await.unwrap();
    let has = |kind: &str| types.as_array().unwrap().iter().any(|there| there == kind);
    assert!(has("a") && has("b") && has("heartbeat") && !has("c"), "{types}");
    assert_eq!(page.shown().await.gaps, 0);
    page.was_good().await;
}

#[tokio::test]
async fn the_form_sends_and_says_why_it_did_not() {
    let page = Page::open(&[]).await;
    page.click("#send button").await;
    page.until("sent", |shown| shown.sent.starts_with("Stored in 1 queue,")).await;
    page.until_it_shows(&[0]).await;

    for (event, says) in [
        ("{", "Not sent, this is no JSON"),
        ("[1]", "Not sent: an event is"),
        ("{}", "Not sent: an event is"),
    ] {
        page.fill("#send textarea", event).await;
        page.click("#send button").await;
        page.until(says, |shown| shown.sent.starts_with(says)).await;
    }
    page.fill("#send textarea", r#"{"type": "x", "id": 7}"#).await;
    page.click("#send button").await;
    page.until("the server's code", |shown| {
        shown.sent.starts_with("Not sent: INVALID_PARAM: `event.id`")
    })
    .await;
    page.fill("#send [name=service]", &page.server.token).await;
    page.click("#send button").await;
    page.until("the server's code", |shown| shown.sent.starts_with("Not sent: FORBIDDEN: ")).await;

    page.click("#delete").await;
    page.until("deleted", |shown| shown.status == "Deleted." && shown.queue.is_empty()).await;
    let api = page.api();
    until("nothing is parked", async || api.parked().await == 0).await;
    assert_eq!(api.send(&json!({"type": "hello"})).await, 0, "there is no queue");
    page.was_good().await;
}

#[tokio::test]
async fn what_a_stranger_wrote_is_shown_as_text_and_runs_nothing() {
    let page = Page::open(&[]).await;
    let script = "<script>window.broken = 1</script><img src=x onerror='window.broken = 1'>";
    let deep = (0..100).fold(json!(script), |inner, _| json!([inner]));
    let long = "<b>".repeat(20_000);
    for event in [
        json!({"type": script.get(..100).unwrap_or(script), "text": script}),
        json!({"type": "x", "deep": deep}),
        json!({"type": "x", "long": long}),
        json!({"type": "x", "__proto__": {"className": "broken"}, "constructor": 1, "\u{202e}": "\u{202e}x\u{0}"}),
    ] {
        assert_eq!(page.api().send(&event).await, 1);
    }
    page.until_it_shows(&[0, 1, 2, 3]).await;
    let found = page.tab.execute(
        "const list = document.getElementById('events');
         const root = document.documentElement;
         return {
            ran: 'broken' in window,
            markup: list.querySelectorAll('script, img, b, .broken').length,
            text: list.textContent,
            wide: root.scrollWidth > root.clientWidth,
         }",
        Vec::new(),
    );
    let found = found.await.unwrap();
    assert_eq!(found["ran"], false);
    assert_eq!(found["markup"], 0);
    assert_eq!(found["wide"], false, "it stays in its box");
    let text = found["text"].as_str().unwrap();
    assert!(text.contains("<script>window.broken = 1</script><img src=x") && text.contains(&long));
    page.was_good().await;
}

#[tokio::test]
async fn a_queue_that_expired_is_registered_anew_and_the_page_says_so() {
    let page = Page::open(&[]).await;
    page.fill("#connect [name=idle]", "1").await;
    let first = page.shown().await.queue;
    page.click("#connect button").await;
    let old =
        page.until("another queue", |shown| shown.state == "polling" && shown.queue != first).await;
    page.click("#stop").await;
    let api = page.api();
    let path = format!("/api/v1/events?queue_id={first}");
    assert_eq!(api.request(Method::DELETE, &path).send().await.unwrap().status(), 200);
    // Whoever asks for the queue itself would keep it alive.
    until("it has expired", async || api.metric("queue_server_queues ").await == 0.0).await;

    page.click("#resume").await;
    let polls_another = |shown: &Shown| shown.state == "polling" && shown.queue != old.queue;
    let new = page.until("it polls a new one", polls_another).await;
    assert!(new.status.contains("events may be missed"), "{new:?}");
    assert!(new.notes.concat().contains("BAD_EVENT_QUEUE_ID"), "{new:?}");
    api.send(&json!({"type": "hello"})).await;
    page.until_it_shows(&[0]).await;
    page.was_good().await;
}
