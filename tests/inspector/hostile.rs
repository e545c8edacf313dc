//! What strangers have written stays text.

use crate::{page::Page, server::HOSTILE};

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_stays_text() {
    let page = Page::open().await;
    let path = "/%3Cscript%3E\"onload='window.pwned=1'{javascript:alert(1)}";
    let agent = "<img src=x onerror=window.pwned=1>";
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nuser-agent: {agent}\r\n\r\n");
    page.server.say(&request).await;
    let row = page.row(path, "handler").await;
    page.click_row(row.id).await;
    let shown = page
        .until("all of it is told", |shown| {
            shown.story.as_ref().is_some_and(|story| story.contains(agent))
        })
        .await;
    // As a route, and as a mark.
    let visible = HOSTILE.trim_end_matches('\u{202e}');
    assert!(shown.story.as_ref().unwrap().matches(visible).count() >= 2, "{shown:#?}");

    let found = page
        .run("return [window.pwned ?? null, document.querySelectorAll('#space script, #story script, #space img, #story img').length]")
        .await;
    assert_eq!(found, serde_json::json!([null, 0]));
    page.was_good().await;
}
