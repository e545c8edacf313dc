//! A headless Chromium of a test's own, driven by its own driver.

use std::{process::Stdio, time::Duration};

use fantoccini::{Client, ClientBuilder, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

const MISSING: &str =
    "the tests of the page need a browser: `apt-get install chromium chromium-driver` on Debian";

pub(crate) struct Chromium {
    pub(crate) tab: Client,
    driver: Driver,
    /// Of this test alone. Removed after the browser has gone.
    _profile: TempDir,
}

impl Chromium {
    pub(crate) async fn start() -> Self {
        let driver = Driver::start().await;
        let profile = tempfile::tempdir().expect("a temporary directory");
        let profile_dir = format!("--user-data-dir={}", profile.path().display());
        let capabilities = json!({
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {"args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
                "--no-first-run", "--disable-background-networking", "--disable-component-update",
                "--disable-sync", profile_dir,
            ]},
        });
        let capabilities: Capabilities = serde_json::from_value(capabilities).expect("an object");
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let tab = builder.capabilities(capabilities).connect(&driver.url).await;
        let tab = tab.unwrap_or_else(|error| panic!("{MISSING}; it says: {error}"));
        Self { tab, driver, _profile: profile }
    }

    /// What the driver answers to one of its commands that fantoccini has no name for.
    async fn ask(&self, command: &str, with: &Value) -> Value {
        let session = self.tab.session_id().await.expect("a session").expect("a session");
        let url = format!("{}/session/{session}/{command}", self.driver.url);
        let asked = reqwest::Client::builder().no_proxy().build().expect("a client").post(url);
        let answer = asked.json(with).send().await.expect("an answer");
        let mut answer: Value = answer.json().await.expect("an answer in JSON");
        answer["value"].take()
    }

    /// One command of the browser's own protocol.
    pub(crate) async fn command(&self, name: &str, params: Value) -> Value {
        self.ask("goog/cdp/execute", &json!({"cmd": name, "params": params})).await
    }

    /// What is in the log of this kind since it was last asked for.
    async fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.ask("se/log", &json!({"type": kind})).await;
        serde_json::from_value(log).expect("a list")
    }

    /// What the browser has to say of the page: broken rules, and errors that nobody caught. That a server could not be reached
    /// is none.
    pub(crate) async fn complaints(&self) -> Vec<Value> {
        let mut log = self.log("browser").await;
        log.retain(|entry| entry["source"] != "network");
        log
    }

    /// The addresses of all that pages of a server asked for. The browser has pages of its own, as an empty tab.
    pub(crate) async fn asked_for(&self) -> Vec<String> {
        let mut asked_for = Vec::new();
        for entry in self.log("performance").await {
            let text = entry["message"].as_str().expect("text");
            let event: Value = serde_json::from_str(text).expect("JSON");
            let (method, of) = (&event["message"]["method"], &event["message"]["params"]);
            let page = of["documentURL"].as_str().unwrap_or_default();
            if method == "Network.requestWillBeSent" && page.starts_with("http") {
                asked_for.push(of["request"]["url"].as_str().expect("an address").to_owned());
            }
        }
        asked_for
    }
}

/// The driver and the browsers that it starts are a process group: they end together.
struct Driver {
    group: Pid,
    url: String,
    _child: Child,
    /// Not to be closed: the driver would fail when it writes.
    _output: BufReader<ChildStdout>,
}

impl Driver {
    async fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{MISSING}; chromedriver: {error}"));
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let port = timeout(Duration::from_secs(30), port(&mut output)).await;
        let url = format!("http://127.0.0.1:{}", port.expect("it starts in time"));
        Self { group: id.expect("it runs"), url, _child: child, _output: output }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}

async fn port(output: &mut BufReader<ChildStdout>) -> u16 {
    let mut lines = output.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return port.trim_end_matches('.').parse().expect("a port");
        }
    }
    panic!("chromedriver ended")
}
