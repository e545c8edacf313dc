//! Who ended it and in which phase, as real servers see it.

use std::{future::pending, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::StatusCode, routing::any};
use serde_json::Value;
use tokio::sync::Semaphore;
use tower_http::timeout::TimeoutLayer;
use tower_lifecycle::{
    LifecycleLayer,
    access_log::{AccessLog, Format},
    testing::{Client, Http2Frame, LeakCheck, Leaver, MockBody, Phase, Way},
};

use crate::{
    rig::{Lines, fields},
    support::{
        panics,
        seams::{Seam, Serving, app, builder, within},
    },
};

/// A server that logs, both ways.
struct Site {
    text: Lines,
    json: Lines,
    leaks: LeakCheck,
    serving: Serving,
}

type Logs = (AccessLog, AccessLog, LeakCheck);

impl Site {
    async fn start(seam: Seam) -> Self {
        Self::with(seam, |layer, app| (layer, app)).await
    }

    async fn with(
        seam: Seam,
        set: impl FnOnce(LifecycleLayer<Logs>, Router) -> (LifecycleLayer<Logs>, Router),
    ) -> Self {
        panics::quiet();
        let (text, json, leaks) = (Lines::default(), Lines::default(), LeakCheck::new());
        let logs = (text.log(Format::Text), json.log(Format::Json), leaks.clone());
        let layer = LifecycleLayer::new(logs).known_error::<axum::Error>().hyper_errors();
        let app = app(&Arc::new(Semaphore::new(0)))
            .route("/breaks", any(async || Body::new(MockBody::fails_after(1))))
            .route("/short", any(async || Body::new(MockBody::declares(15, 1))));
        let (layer, app) = set(layer, app);
        let serving = seam.serve(builder(), &layer, app).await;
        Self { text, json, leaks, serving }
    }

    /// The code of the only exchange, by both forms, and its status.
    async fn told(&self) -> (String, String, Value) {
        within("the close", self.leaks.settled()).await;
        let fields = fields(&self.text.only());
        let json: Value = serde_json::from_str(&self.json.only()).unwrap();
        assert_eq!(json["termination"], fields[1]);
        assert_eq!(json.get("status").map_or("-".to_owned(), Value::to_string), fields[2]);
        (fields[1].clone(), fields[2].clone(), json)
    }

    async fn assert_code(&self, code: &str, status: &str, of: &dyn std::fmt::Display) -> Value {
        let (told, with, json) = self.told().await;
        assert_eq!((&*told, &*with), (code, status), "{of}: {}", self.text.only());
        json
    }

    async fn send(&self, request: &str) -> Client {
        let mut client = Client::connect(self.serving.addr).await.unwrap();
        client.send(request).await.unwrap();
        client
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn what_runs_to_its_end_is_told_with_its_connection() {
    for seam in Seam::ALL {
        let site = Site::start(seam).await;
        let mut client = site.send(&get("/size/1000?a=1")).await;
        client.read_to_end().await.unwrap();
        let json = site.assert_code("--", "200", &"HTTP/1").await;
        assert_eq!(json["client_address"], "127.0.0.1");
        assert_eq!(json["client_port"], client.local_addr().unwrap().port());
        assert_eq!((&json["version"], &json["ordinal"]), (&"1.1".into(), &1.into()));
        assert_eq!((&json["response_bytes"], &json["query"]), (&1000.into(), &"a=1".into()));
        assert!(json["flush_ms"].is_f64(), "{json}");
    }
}

#[tokio::test]
async fn http2_and_a_status_that_says_no_are_ends_too() {
    let site = Site::start(Seam::Serve).await;
    let mut client = Client::connect(site.serving.addr).await.unwrap();
    client.request(1, "GET", "/nowhere", [], true).await.unwrap();
    client.read_frames_until(Http2Frame::ends_stream).await.unwrap();
    let json = site.assert_code("--", "404", &"HTTP/2").await;
    assert_eq!(json["version"], "2");
}

#[tokio::test]
async fn a_client_that_leaves_is_c_and_the_phase() {
    let rows = [
        (Phase::Upload, "/echo", "CR", "400"),
        (Phase::Handler, "/park", "CH", "-"),
        (Phase::Response, "/hang", "CD", "200"),
    ];
    for (phase, path, code, status) in rows {
        for leaver in [
            Leaver::http1(phase, Way::Fin),
            Leaver::http1(phase, Way::Reset),
            Leaver::http2(phase, Way::Fin),
            Leaver::http2(phase, Way::StreamReset(Http2Frame::CANCEL)),
        ] {
            let site = Site::start(Seam::Axum).await;
            let leaver = leaver.path(path);
            let begun = site.leaks.until_begun(1);
            let _connection = leaver.leave_when(site.serving.addr, begun).await.unwrap();
            within("the close", site.leaks.settled()).await;
            let (told, with, json) = site.told().await;
            assert_eq!(told, code, "{leaver}: {json}");
            // Over HTTP/2 a handler is dropped with its stream.
            assert!(with == status || (code == "CR" && with == "-"), "{leaver}: {with}");
        }
    }
}

#[tokio::test]
async fn a_handler_that_panics_is_s() {
    let site = Site::start(Seam::Serve).await;
    let mut client = site.send(&get("/panic")).await;
    let _ = client.read_to_end().await;
    site.assert_code("SH", "-", &"a panic").await;
}

#[tokio::test]
async fn a_response_that_breaks_or_is_too_short_is_upper_case_b() {
    for path in ["/breaks", "/short"] {
        let site = Site::start(Seam::Axum).await;
        let mut client = site.send(&get(path)).await;
        let _ = client.read_to_end().await;
        site.assert_code("BD", "200", &path).await;
    }
}

#[tokio::test]
async fn a_request_that_is_malformed_is_lower_case_b() {
    let site = Site::start(Seam::Axum).await;
    let head = "POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut client = site.send(&format!("{head}5\r\nhello\r\nzz\r\n")).await;
    let _ = client.read_to_end().await;
    site.assert_code("bR", "400", &"a chunk without a size").await;
}

#[tokio::test]
async fn a_timeout_around_the_layer_is_t() {
    let (lines, leaks) = (Lines::default(), LeakCheck::new());
    let logs = (lines.log(Format::Text), leaks.clone());
    let soon = Duration::from_millis(20);
    let app = Router::new()
        .fallback(any(async || pending::<()>().await))
        .layer(LifecycleLayer::new(logs).standalone())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, soon));
    let outer = LifecycleLayer::new(()).with_connection();
    let serving = Seam::Axum.serve(builder(), &outer, app).await;
    let mut client = Client::connect(serving.addr).await.unwrap();
    client.send(get("/")).await.unwrap();
    client.read_until("504").await.unwrap();
    within("the close", leaks.settled()).await;
    assert_eq!(fields(&lines.only())[1..3], ["TH", "-"]);
}

#[tokio::test]
async fn a_server_that_stops_is_l() {
    for (path, code, status) in [("/park", "LH", "-"), ("/hang", "LD", "200")] {
        let Site { text, leaks, serving, .. } = Site::start(Seam::Serve).await;
        let mut client = Client::connect(serving.addr).await.unwrap();
        client.send(get(path)).await.unwrap();
        if path == "/hang" {
            client.read_until("\r\n\r\n").await.unwrap();
        }
        within("the begin", leaks.until_begun(1)).await;
        drop(serving);
        within("the close", leaks.settled()).await;
        assert_eq!(fields(&text.only())[1..3], [code, status]);
    }
}

#[tokio::test]
async fn a_route_is_told_where_the_router_tells_it() {
    let site = Site::with(Seam::Axum, |layer, app| {
        (layer.with_handle(), app.layer(tower_lifecycle::RouteLayer::new()))
    })
    .await;
    let mut client = site.send(&get("/full/7")).await;
    client.read_to_end().await.unwrap();
    let json = site.assert_code("--", "200", &"a route").await;
    assert_eq!((&json["route"], &json["path"]), (&"/full/{n}".into(), &"/full/7".into()));
}
