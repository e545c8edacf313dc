//! The stream breaks and comes back, and who may not look is told so.

use fantoccini::Locator;

use crate::page::Page;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_is_told_and_comes_back() {
    let page = Page::open().await;
    page.server.get("/never").await;
    page.grows("/never", "handler").await;
    page.server.stop().await;
    let lost = page.until("it is lost", |shown| shown.link == "lost").await;
    assert_eq!(lost.said, "Connection lost, retrying");
    // Nothing grows that is not known to be open.
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    let still = page.shown().await;
    assert_eq!((still.rows.len(), still.rows[0].width), (lost.rows.len(), lost.rows[0].width));

    let accepts = page.server.restart().await;
    page.until("it is live", |shown| shown.link == "live" && shown.said == "Live").await;
    page.row("/never", "shutdown").await;
    page.server.get("/park").await;
    page.row("/park", "parked").await;
    accepts.abort();
    page.was_good().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_viewer_too_many_is_told_why() {
    let page = Page::begin(|inspector| inspector.max_streams(0)).await;
    let url = format!("http://{}/inspector/", page.server.addr);
    page.tab.goto(&url).await.unwrap();
    let shown = page.until("it is told", |shown| shown.said.contains("streams of events")).await;
    assert_eq!(shown.link, "lost");
    page.was_good().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_address_lets_a_browser_in() {
    const TOKEN: &str = "a-token-of-a-test";
    let page = Page::begin(|inspector| inspector.token(TOKEN).unwrap()).await;
    let addr = page.server.addr;
    page.tab.goto(&format!("http://{addr}/inspector")).await.ok();
    assert!(page.tab.find(Locator::Id("list")).await.is_err(), "it is shown to anybody");

    page.tab.goto(&format!("http://user:{TOKEN}@{addr}/inspector/")).await.unwrap();
    page.until("it is live", |shown| shown.link == "live").await;
    page.server.get("/park").await;
    let row = page.row("/park", "parked").await;
    page.click_row(row.id).await;
    page.until("its story", |shown| {
        shown.story.as_ref().is_some_and(|story| story.contains("HTTP/1.1"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_is_told_with_what_it_waits_for() {
    // Each stream ends after its first event.
    let page = Page::begin(|inspector| inspector.ends_when(async || {})).await;
    page.server.get("/never").await;
    page.go("/inspector").await;
    page.row("/never", "handler").await;
    let banner = page.tab.find(Locator::Id("draining")).await.unwrap();
    let said = banner.text().await.unwrap();
    assert!(said.starts_with("Draining") && said.contains("open exchange"), "{said}");
    // It is asked again and again, which is no loss.
    page.server.get("/park").await;
    page.row("/park", "parked").await;
    assert_eq!(page.shown().await.link, "live");
    page.was_good().await;
}
