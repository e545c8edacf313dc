//! Filter, search, order, views and pause.

use crate::page::{Page, Shown};

fn paths(shown: &Shown) -> Vec<&str> {
    shown.rows.iter().map(|row| &*row.path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_search_leave_what_matches() {
    let page = Page::open().await;
    page.server.get("/never").await;
    page.server.get("/park").await;
    page.server.say("POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\nhalf").await;
    page.server.answer("/hello").await;
    page.until("all are there", |shown| shown.rows.len() == 4).await;

    page.choose("#method", "POST").await;
    page.until("by method", |shown| paths(shown) == ["/upload"]).await;
    page.click("#clear").await;
    page.choose("#stage", "handler").await;
    page.until("by stage", |shown| paths(shown) == ["/never", "/park"]).await;
    page.click("#clear").await;
    page.click("#states [data-state=parked]").await;
    page.until("by state", |shown| paths(shown) == ["/park"]).await;
    page.click("#clear").await;
    page.choose("#least", "1000").await;
    page.until("by age", |shown| !paths(shown).contains(&"/hello")).await;
    page.click("#clear").await;
    page.press("/").await;
    page.press("NEV").await;
    page.until("by text", |shown| paths(shown) == ["/never"]).await;
    page.press("\u{e003}\u{e003}\u{e003}").await;

    page.click("#view-open").await;
    page.until("what is open, oldest first", |shown| {
        paths(shown) == ["/never", "/park", "/upload"]
    })
    .await;
    page.choose("#sort", "newest").await;
    page.until("newest first", |shown| paths(shown) == ["/upload", "/park", "/never"]).await;
    page.click("#view-closed").await;
    page.until("what has closed", |shown| paths(shown) == ["/hello"]).await;
    page.click("#view-slowest").await;
    page.until("the slowest", |shown| paths(shown).contains(&"/hello")).await;
    page.server.answer("/fails").await;
    page.click("#view-failed").await;
    page.until("what failed", |shown| paths(shown) == ["/fails"]).await;
    page.click("#view-connections").await;
    let shown = page.until("connections", |shown| shown.rows.len() >= 3).await;
    assert!(shown.rows.iter().all(|row| row.path.starts_with("127.0.0.1:")), "{shown:#?}");
    page.was_good().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_the_view_and_a_resume_catches_up() {
    let page = Page::open().await;
    page.server.get("/never").await;
    page.row("/never", "handler").await;
    page.press("p").await;
    let before = page.until("it is paused", |shown| shown.said == "Paused").await;
    page.server.answer("/hello").await;
    let held =
        page.until("something is held back", |shown| shown.pause.contains("held back")).await;
    assert_eq!(paths(&held), ["/never"]);
    assert!((held.rows[0].width - before.rows[0].width).abs() < 1.0, "{held:#?}");
    // A view that stands can still be searched.
    page.press("/").await;
    page.press("none").await;
    page.until("nothing matches", |shown| shown.rows.is_empty()).await;
    page.click("#clear").await;
    page.click("#pause").await;
    page.row("/hello", "complete").await;
    page.was_good().await;
}
