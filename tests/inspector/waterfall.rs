//! Bars appear, grow and close, and say what is waited for.

use crate::page::Page;

const UPLOAD: &str = "POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\nhalf";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_says_what_it_waits_for_and_grows() {
    let page = Page::open().await;
    page.choose("#window", "10000").await;
    for path in ["/never", "/park", "/stalls", "/flood"] {
        page.server.get(path).await;
    }
    page.server.say(UPLOAD).await;
    let waits = [
        ("/upload", "reading"),
        ("/never", "handler"),
        ("/park", "parked"),
        ("/stalls", "producer"),
        ("/flood", "client"),
    ];
    for (path, state) in waits {
        page.grows(path, state).await;
        let row = page.row(path, state).await;
        // The phase that it is in stands last.
        assert_eq!(row.phases.last().map(String::as_str), Some(state), "{row:#?}");
        assert_eq!(row.class, "");
    }
    // What has passed is told while it is open.
    assert_eq!(page.row("/upload", "reading").await.bytes, "4 B");
    assert_eq!(page.row("/stalls", "producer").await.bytes, "66 kB");
    let counted = page.run("return [...document.querySelectorAll('#states button')].map((button) => [button.dataset.state, button.querySelector('.count').textContent]);").await;
    for (_, state) in waits {
        let at_least_one =
            counted.as_array().unwrap().iter().any(|of| of[0] == state && of[1] != "0");
        assert!(at_least_one, "{state}: {counted}");
    }
    page.was_good().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_closed_stands_with_its_verdict() {
    let page = Page::open().await;
    for path in ["/hello", "/fails", "/breaks"] {
        page.server.answer(path).await;
    }
    let leaves = page.server.connect("GET /never HTTP/1.1\r\nhost: test\r\n\r\n").await;
    page.row("/never", "handler").await;
    drop(leaves);
    let verdicts = [
        ("/hello", "complete", "success", "200"),
        ("/fails", "complete", "failure", "500"),
        ("/breaks", "response_failed", "failure", "200"),
        ("/never", "disconnected", "cancelled", "–"),
    ];
    for (path, reason, class, status) in verdicts {
        let row = page.row(path, reason).await;
        assert_eq!((&*row.class, &*row.status), (class, status), "{row:#?}");
        assert!(row.width > 0.0, "{row:#?}");
    }
    page.was_good().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_poll_was_parked_also_when_it_is_over() {
    let page = Page::open().await;
    page.server.get("/park").await;
    let parked = page.row("/park", "parked").await;
    page.server.lot.close(&parked.id);
    let over = page.row("/park", "complete").await;
    assert_eq!((over.id, &*over.status), (parked.id, "204"));
    assert!(over.phases.contains(&"parked".to_owned()), "{over:#?}");
    page.was_good().await;
}
