//! What the page shows, and what is done on it.

use std::sync::Arc;

use fantoccini::{Client, Locator, key::Key};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant, sleep},
};
use tower_lifecycle::inspector::Inspector;

use crate::{chromium::Chromium, server::Server};

/// What a user sees.
#[derive(Debug, Deserialize)]
pub(crate) struct Shown {
    /// `connecting`, `live` or `lost`.
    pub(crate) link: String,
    pub(crate) said: String,
    pub(crate) pause: String,
    /// Those in view, from top to bottom.
    pub(crate) rows: Vec<Row>,
    pub(crate) open: String,
    /// The text of the side panel, while it is open.
    pub(crate) story: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: u64,
    /// Of an open one its state, of a closed one its reason.
    pub(crate) word: String,
    pub(crate) class: String,
    pub(crate) path: String,
    pub(crate) status: String,
    pub(crate) bytes: String,
    pub(crate) phases: Vec<String>,
    /// Of the bar, in pixels.
    pub(crate) width: f64,
}

const SHOWN: &str = r##"
    const $ = (id) => document.getElementById(id);
    const rows = [...document.querySelectorAll("#space .row")].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex);
    return {
        link: document.body.dataset.link,
        said: $("link").textContent,
        pause: $("pause").textContent,
        open: $("total-open").textContent,
        story: $("story").hidden ? null : $("story").innerText,
        rows: rows.map((row) => {
            const pieces = [...row.querySelectorAll(".pieces i")];
            return {
                id: Number(row.dataset.id),
                word: row.querySelector(".word").textContent,
                class: row.dataset.class ?? "",
                path: row.querySelector(".path").textContent,
                status: row.querySelector(".status").textContent,
                bytes: row.querySelector(".bytes").textContent,
                phases: pieces.map((piece) => piece.dataset.phase),
                width: pieces.reduce((sum, piece) => sum + piece.getBoundingClientRect().width, 0),
            };
        }),
    };
"##;

/// Who measures does it alone.
static QUIET: RwLock<()> = RwLock::const_new(());

/// A server and a browser that has its inspector open.
pub(crate) struct Page {
    pub(crate) server: Arc<Server>,
    pub(crate) browser: Chromium,
    pub(crate) tab: Client,
    _turn: Turn,
}

#[expect(dead_code, reason = "held, not read")]
enum Turn {
    Among(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Page {
    /// As somebody opens it on the machine itself.
    pub(crate) async fn open() -> Self {
        let page = Self::begin(|inspector| inspector).await;
        page.go("/inspector").await;
        page
    }

    /// The same, and no other test runs meanwhile.
    pub(crate) async fn open_alone() -> Self {
        let turn = Turn::Alone(QUIET.write().await);
        let page = Self::with(turn, |inspector| inspector).await;
        page.go("/inspector").await;
        page
    }

    /// A browser that has nothing open yet.
    pub(crate) async fn begin(guard: impl FnOnce(Inspector) -> Inspector) -> Self {
        Self::with(Turn::Among(QUIET.read().await), guard).await
    }

    async fn with(turn: Turn, guard: impl FnOnce(Inspector) -> Inspector) -> Self {
        let (server, browser) = tokio::join!(Server::start(guard), Chromium::start());
        let tab = browser.tab.clone();
        tab.set_window_size(1280, 860).await.expect("a window");
        Self { server, browser, tab, _turn: turn }
    }

    pub(crate) async fn go(&self, path: &str) {
        let url = format!("http://{}{path}", self.server.addr);
        self.tab.goto(&url).await.expect("the page");
        self.until("it is live", |shown| shown.link == "live").await;
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        self.tab.execute(script, Vec::new()).await.expect("a script that runs")
    }

    pub(crate) async fn shown(&self) -> Shown {
        serde_json::from_value(self.run(SHOWN).await).expect("what the script says")
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

    /// The row of this path, once it says this.
    pub(crate) async fn row(&self, path: &str, word: &str) -> Row {
        let what = format!("{path} is {word}");
        let is = |row: &&Row| row.path == path && row.word == word;
        let shown = self.until(&what, |shown| shown.rows.iter().any(|row| is(&row))).await;
        shown.rows.iter().find(is).cloned().expect("it was there")
    }

    /// The bar of this path is longer than it was.
    pub(crate) async fn grows(&self, path: &str, word: &str) {
        let before = self.row(path, word).await;
        let grown = |row: &Row| row.id == before.id && row.width > before.width + 2.0;
        self.until(&format!("{path} grows"), |shown| shown.rows.iter().any(grown)).await;
    }

    pub(crate) async fn click(&self, css: &str) {
        let found = self.tab.find(Locator::Css(css)).await.expect(css);
        found.click().await.expect(css);
    }

    /// Opens a row's story, by a click of the mouse on it.
    pub(crate) async fn click_row(&self, id: u64) {
        self.click(&format!("#row-{id} .path")).await;
    }

    /// Strokes of the keyboard, wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let at = self.tab.active_element().await.expect("a focus");
        at.send_keys(keys).await.expect(keys);
    }

    pub(crate) async fn press_key(&self, key: Key) {
        self.press(&key.to_string()).await;
    }

    pub(crate) async fn choose(&self, css: &str, value: &str) {
        let found = self.tab.find(Locator::Css(css)).await.expect(css);
        found.select_by_value(value).await.expect(value);
    }

    /// How the browser is set up: its theme, and its size.
    pub(crate) async fn looks(&self, theme: &str, width: u32, height: u32) {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        self.browser.command("Emulation.setEmulatedMedia", media).await;
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.browser.command("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Nothing broke a rule of the browser's, and nothing was asked of anybody but the server.
    pub(crate) async fn was_good(&self) {
        assert_eq!(self.browser.complaints().await, Vec::<Value>::new());
        let own = format!("http://{}/inspector", self.server.addr);
        for url in self.browser.asked_for().await {
            assert!(url.starts_with(&own) || url == "data:,", "it asked for {url}");
        }
    }
}
