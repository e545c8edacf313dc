//! Five thousand open exchanges, and a hundred thousand that have closed.

use std::{convert::Infallible, future::pending, time::Duration};

use axum::body::Body;
use fantoccini::Locator;
use futures_util::FutureExt as _;
use http::{Request, Response};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tower::{Layer as _, Service as _, service_fn};
use tower_lifecycle::{LifecycleLayer, RequestBody, inflight::InFlight};

use crate::page::{Page, Row};

type Asked = Request<RequestBody<Body>>;

/// The times from an event to the next frame after it, in milliseconds.
const MEASURE: &str = "
    window.measured = [];
    for (const kind of ['input', 'click', 'change', 'keydown']) {
        addEventListener(kind, (event) => {
            const { timeStamp } = event;
            requestAnimationFrame(() => {
                const { port1, port2 } = new MessageChannel();
                port1.onmessage = () => measured.push([kind, performance.now() - timeStamp]);
                port2.postMessage(null);
            });
        }, { capture: true });
    }
";

#[tokio::test(flavor = "multi_thread")]
async fn with_5000_open_a_hand_is_answered_within_100_ms() {
    let page = Page::open_alone().await;
    let layer = LifecycleLayer::new(page.server.inflight.clone());
    let mut service =
        layer.layer(service_fn(|_: Asked| pending::<Result<Response<Body>, Infallible>>()));
    let mut open = Vec::new();
    for number in 0..5000 {
        let path = format!("/orders/{number}/items?secret");
        let mut call = Box::pin(service.call(Request::get(path).body(Body::empty()).unwrap()));
        assert!(call.as_mut().now_or_never().is_none());
        open.push(call);
    }
    page.until("all are told", |shown| shown.open.starts_with("5,00")).await;
    // Not all 5,000 are elements.
    let drawn = page.run("return document.querySelectorAll('*').length").await;
    assert!(drawn.as_u64().unwrap() < 2500, "{drawn} elements");

    page.run(MEASURE).await;
    for round in 0..5 {
        page.press("/").await;
        page.press(&format!("{round}99")).await;
        // In the path, or the id.
        let found = |row: &Row| row.path.contains("99") || row.id.to_string().contains("99");
        page.until("it is searched", |shown| shown.rows.iter().all(found)).await;
        page.click("#clear").await;
        page.choose("#sort", "newest").await;
        page.choose("#sort", "slowest").await;
        let shown = page.until("all are back", |shown| shown.rows.len() > 10).await;
        page.click_row(shown.rows[round].id).await;
        page.press("j").await;
        page.choose("#sort", "open").await;
        page.click("#story-close").await;
    }
    let measured = page.run("return measured").await;
    let measured: Vec<(String, f64)> = serde_json::from_value(measured).unwrap();
    for kind in ["input", "click", "change", "keydown"] {
        let mut times: Vec<f64> =
            measured.iter().filter(|(of, _)| of == kind).map(|(_, time)| *time).collect();
        times.sort_by(f64::total_cmp);
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{kind}: median {median:.1} ms, most {most:.1} ms, of {}", times.len());
        // The median, because the machine has other things to do.
        assert!(median < 100.0, "{kind}: {times:?}");
    }
    drop(open);
    page.was_good().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_100_000_closes_the_heap_is_what_it_was() {
    let page = Page::open_alone().await;
    // As often as the server lets it, so that each close is told and not only counted.
    let script = "const Real = EventSource; window.EventSource = class extends Real { constructor(url) { super(url.replace('500ms', '100ms')); } };";
    page.browser.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
    page.go("/inspector").await;
    // Until what runs often is compiled.
    close(&page.server.inflight, 20_000, 190).await;
    let before = heap(&page).await;
    close(&page.server.inflight, 100_000, 190).await;
    let after = heap(&page).await;
    println!("heap: {before:.0} bytes after a warm-up, {after:.0} bytes after 100,000 closes");
    assert!((after / before - 1.0).abs() < 0.1, "{before} and {after}");
    page.was_good().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_view_does_not_tell_is_counted() {
    let page = Page::open().await;
    close(&page.server.inflight, 1_000, 1_000).await;
    let notice = page.tab.find(Locator::Id("honest")).await.unwrap();
    timeout(Duration::from_secs(30), async {
        while !notice.text().await.unwrap().contains("closes not told one by one") {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it is told");
    page.was_good().await;
}

async fn close(inflight: &InFlight, count: usize, at_once: usize) {
    let layer = LifecycleLayer::new(inflight.clone());
    let answer = async |_: Asked| Ok::<_, Infallible>(Response::new(Body::empty()));
    let mut service = layer.layer(service_fn(answer));
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    for number in 0..count {
        if number % at_once == 0 {
            pace.tick().await;
        }
        let request = Request::get(format!("/orders/{number}")).body(Body::empty()).unwrap();
        drop(service.call(request).await);
    }
}

/// Bytes that are in use once all garbage is gone. The last event is still held by the browser, so that is to be a short one.
async fn heap(page: &Page) -> f64 {
    // More at once than an event tells would be counted alone, so it may take another.
    let told = timeout(Duration::from_secs(30), async {
        while !page.shown().await.rows.iter().any(|row| row.path == "/hello") {
            page.server.answer("/hello").await;
            sleep(Duration::from_millis(300)).await;
        }
    });
    told.await.expect("it is told");
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        page.browser.command("HeapProfiler.collectGarbage", json!({})).await;
        let usage = page.browser.command("Runtime.getHeapUsage", json!({})).await;
        least = least.min(usage["usedSize"].as_f64().expect("a number"));
    }
    least
}
