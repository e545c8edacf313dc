//! The whole of one exchange, in the side panel.

use fantoccini::key::Key;

use crate::page::Page;

#[tokio::test(flavor = "multi_thread")]
async fn a_click_opens_the_story_and_escape_closes_it() {
    let page = Page::open().await;
    let request =
        "GET /never HTTP/1.1\r\nhost: test\r\nuser-agent: a test\r\ncookie: secret\r\n\r\n";
    let leaves = page.server.connect(request).await;
    let row = page.row("/never", "handler").await;
    page.click_row(row.id).await;
    let told = |shown: &crate::page::Shown, words: &[&str]| {
        shown.story.as_ref().is_some_and(|story| words.iter().all(|word| story.contains(word)))
    };
    page.until("it is open", |shown| told(shown, &["/never", "handler", "open for"])).await;
    // Only the headers that were allowed.
    let shown = page
        .until("the server has told", |shown| told(shown, &["HTTP/1.1", "user-agent", "a test"]))
        .await;
    assert!(!shown.story.unwrap().contains("cookie"));

    // It follows the exchange to its end.
    drop(leaves);
    let verdict = [
        "disconnected",
        "The client closed the connection",
        "the transport said so",
        "peer",
        "io",
        "CH",
        "client gone",
    ];
    page.until("the verdict and its evidence", |shown| told(shown, &verdict)).await;
    page.press_key(Key::Escape).await;
    page.until("it is closed", |shown| shown.story.is_none()).await;
    page.was_good().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_finds_and_opens_a_story() {
    let page = Page::open().await;
    for path in ["/hello", "/fails", "/hello"] {
        page.server.answer(path).await;
    }
    page.row("/fails", "complete").await;
    page.press("/").await;
    page.press("fails").await;
    page.until("one is left", |shown| shown.rows.iter().all(|row| row.path == "/fails")).await;
    page.press_key(Key::Enter).await;
    page.press("j").await;
    page.press_key(Key::Enter).await;
    let shown = page
        .until("its story", |shown| {
            shown.story.as_ref().is_some_and(|story| story.contains("HTTP/1.1"))
        })
        .await;
    let story = shown.story.unwrap();
    for word in ["/fails", "failure", "500", "complete", "handed over"] {
        assert!(story.contains(word), "{word}: {story}");
    }
    page.press("?").await;
    assert_eq!(page.run("return document.getElementById('help').open").await, true);
    page.press_key(Key::Escape).await;
    assert_eq!(page.run("return document.getElementById('help').open").await, false);
    page.was_good().await;
}
