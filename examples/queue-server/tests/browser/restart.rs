//! The server stops, crashes and comes back while the page is open.

use serde_json::json;

use crate::page::Page;

/// It does not wait long for the page, which is not there to be waited for.
const QUICK: [&str; 2] = ["--drain-window", "300ms"];

#[tokio::test]
async fn a_restart_loses_nothing_and_shows_nothing_twice() {
    let mut page = Page::open(&QUICK).await;
    page.api().send(&json!({"type": "before"})).await;
    let shown = page.until_it_shows(&[0]).await;

    assert!(page.server.terminate().await.success());
    page.until("it reconnects", |shown| shown.state == "waiting").await;
    page.server.start_again().await;
    for _ in 0..3 {
        assert_eq!(page.api().send(&json!({"type": "meanwhile"})).await, 1);
    }
    let again = page.until_it_shows(&[0, 1, 2, 3]).await;
    assert_eq!(again.queue, shown.queue);
    let again = page.until("it polls", |shown| shown.state == "polling").await;
    assert_eq!((again.gaps, again.duplicates, again.reconnects), (0, 0, 1), "{again:?}");
    page.api().send(&json!({"type": "after"})).await;
    page.until_it_shows(&[0, 1, 2, 3, 4]).await;
    page.was_good().await;
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_stored() {
    let mut page = Page::open(&QUICK).await;
    page.api().send(&json!({"type": "before"})).await;
    page.until_it_shows(&[0]).await;
    page.click("#stop").await;
    page.until("stopped", |shown| shown.state == "stopped").await;
    page.api().send(&json!({"type": "stored"})).await;

    page.server.kill().await;
    page.click("#resume").await;
    let shown = page.until("it reconnects", |shown| shown.state == "waiting").await;
    assert!(shown.status.starts_with("No answer"), "{shown:?}");
    page.server.start_again().await;
    page.until_it_shows(&[0, 1]).await;

    page.server.kill().await;
    page.until("it reconnects", |shown| shown.state == "waiting").await;
    page.server.start_again().await;
    page.api().send(&json!({"type": "meanwhile"})).await;
    let shown = page.until_it_shows(&[0, 1, 2]).await;
    assert_eq!((shown.gaps, shown.reconnects), (0, 2), "{shown:?}");
    page.was_good().await;
}
