//! How it looks: pictures for people, and what can be checked without them.

use std::{fs, path::Path};

use serde_json::json;

use crate::page::Page;

/// In each theme and each width, with something of everything.
#[tokio::test(flavor = "multi_thread")]
async fn it_fits_in_both_themes_and_on_a_narrow_screen() {
    let page = Page::open().await;
    for path in ["/never", "/park", "/park", "/stalls", "/flood"] {
        page.server.get(path).await;
    }
    page.server.say("POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\nhalf").await;
    for path in ["/hello", "/fails", "/breaks"] {
        page.server.answer(path).await;
    }
    let parked = page.row("/park", "parked").await;
    page.grows("/flood", "client").await;
    page.row("/breaks", "response_failed").await;

    for (theme, width, height) in
        [("light", 1280, 800), ("dark", 1280, 800), ("light", 360, 740), ("dark", 360, 740)]
    {
        page.looks(theme, width, height).await;
        picture(&page, &format!("{theme}-{width}")).await;
        page.click_row(parked.id).await;
        page.until("its story", |shown| {
            shown.story.as_ref().is_some_and(|story| story.contains("HTTP/1.1"))
        })
        .await;
        picture(&page, &format!("{theme}-{width}-story")).await;
        // Nothing sticks out, and the panel covers a narrow screen.
        let fits = page
            .run("return [document.documentElement.scrollWidth <= innerWidth, document.getElementById('story').offsetWidth]")
            .await;
        assert_eq!(fits[0], true, "{theme} {width}");
        assert_eq!(fits[1] == width, width == 360, "{theme} {width}: {fits}");
        page.click("#story-close").await;
    }
    page.was_good().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_stillness_gets_it() {
    let page = Page::open().await;
    let features = json!({"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]});
    page.browser.command("Emulation.setEmulatedMedia", features).await;
    page.server.get("/never").await;
    page.grows("/never", "handler").await;
    page.was_good().await;
}

async fn picture(page: &Page, name: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("inspector");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.png")), page.tab.screenshot().await.unwrap()).unwrap();
}
