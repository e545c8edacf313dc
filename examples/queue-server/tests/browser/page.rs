//! What the page shows, and what is done on it.

use fantoccini::{Client, Locator};
use serde::Deserialize;
use tokio::time::{Duration, Instant, sleep};

use crate::{
    chromium::Chromium,
    support::{client::Client as Api, server::Running},
};

/// What a user sees.
#[derive(Debug, Deserialize)]
pub(crate) struct Shown {
    pub(crate) state: String,
    pub(crate) status: String,
    /// Ids, the oldest first.
    pub(crate) events: Vec<i64>,
    /// Lines that are not events, the oldest first.
    pub(crate) notes: Vec<String>,
    pub(crate) queue: String,
    pub(crate) sent: String,
    pub(crate) gaps: u64,
    pub(crate) duplicates: u64,
    pub(crate) reconnects: u64,
}

const SHOWN: &str = r#"
    const $ = (id) => document.getElementById(id);
    const lines = (kind) => [...document.querySelectorAll(`ol .${kind}`)].reverse();
    const count = (id) => Number($(`count-${id}`).textContent);
    return {
        state: document.body.dataset.state,
        status: $("status").textContent,
        events: lines("event").map((line) => Number(line.dataset.id)),
        notes: lines("gap").map((line) => line.textContent),
        queue: $("queue").value,
        sent: $("sent").textContent,
        gaps: count("gap"),
        duplicates: count("duplicate"),
        reconnects: count("reconnected"),
    };
"#;

/// A server and a browser that has its page open.
pub(crate) struct Page {
    pub(crate) server: Running,
    pub(crate) browser: Chromium,
    pub(crate) tab: Client,
}

impl Page {
    /// As somebody opens it who pastes the address that the server prints.
    pub(crate) async fn open(args: &[&str]) -> Self {
        let (server, browser) = tokio::join!(Running::start(args), Chromium::start());
        let tab = browser.tab.clone();
        tab.goto(&server.page).await.expect("the page");
        let page = Self { server, browser, tab };
        page.until("it polls", |shown| shown.state == "polling").await;
        page
    }

    pub(crate) fn api(&self) -> Api {
        self.server.client()
    }

    pub(crate) async fn shown(&self) -> Shown {
        let shown = self.tab.execute(SHOWN, Vec::new()).await.expect("a script that runs");
        serde_json::from_value(shown).expect("what the script says")
    }

    /// Waits until the page shows it, and not for ever.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Shown) -> bool) -> Shown {
        let before = Instant::now();
        loop {
            let shown = self.shown().await;
            if holds(&shown) {
                return shown;
            }
            assert!(before.elapsed() < Duration::from_secs(30), "not: {what}, but {shown:#?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn until_it_shows(&self, events: &[i64]) -> Shown {
        self.until(&format!("it shows {events:?}"), |shown| shown.events == events).await
    }

    pub(crate) async fn click(&self, css: &str) {
        let found = self.tab.find(Locator::Css(css)).await.expect(css);
        found.click().await.expect(css);
    }

    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let found = self.tab.find(Locator::Css(css)).await.expect(css);
        found.clear().await.expect(css);
        found.send_keys(text).await.expect(css);
    }

    /// Nothing broke a rule of the browser's, and nothing was asked of anybody but the server.
    pub(crate) async fn was_good(self) {
        assert_eq!(self.browser.complaints().await, Vec::<serde_json::Value>::new());
        let own = format!("http://{}/", self.server.addr);
        for url in self.browser.asked_for().await {
            assert!(url.starts_with(&own), "it asked for {url}");
        }
    }
}
