//! What each path answers.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use tower_lifecycle::{ExchangeHandle, inflight::InFlight};

use crate::rig::{Site, ask, get, local};

const PATHS: [(&str, &str); 9] = [
    ("/", "text/html; charset=utf-8"),
    ("/?asset=page.css", "text/css; charset=utf-8"),
    ("/?asset=page.js", "text/javascript; charset=utf-8"),
    ("/text", "text/plain; charset=utf-8"),
    ("/api/exchanges", "application/json"),
    ("/api/closed", "application/json"),
    ("/api/connections", "application/json"),
    ("/api/counts", "application/json"),
    ("/api/events", "text/event-stream"),
];

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn each_path_answers_in_its_form_and_nothing_of_it_is_kept_framed_or_shared() {
    let site = Site::new();
    for (path, form) in PATHS {
        let reply = site.ask(path).ok();
        assert_eq!(reply.headers["content-type"], form, "{path}");
    }
    let mut refused = local("/");
    refused.headers_mut().insert("origin", HeaderValue::from_static("https://evil.example"));
    let refused = ask(&site.inspector(), refused);
    let replies = PATHS.iter().map(|(path, _)| site.ask(path));
    for reply in replies.chain([site.ask("/nothing"), site.ask("/text?x=1"), refused]) {
        let has = |name: &str, value: &str| assert_eq!(reply.headers[name], value, "{reply:?}");
        let policy = reply.headers["content-security-policy"].to_str().unwrap();
        let rules: Vec<_> = policy.split("; ").collect();
        assert_eq!(
            rules,
            [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "connect-src 'self'",
                "img-src 'self' data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            ]
        );
        has("x-content-type-options", "nosniff");
        has("x-frame-options", "DENY");
        has("referrer-policy", "no-referrer");
        has("cache-control", "no-store");
        has("cross-origin-resource-policy", "same-origin");
        has("cross-origin-opener-policy", "same-origin");
        assert!(!reply.headers.keys().any(|name| name.as_str().starts_with("access-control")));
    }
}

#[test]
fn an_open_exchange_is_a_row_without_its_query() {
    let site = Site::new();
    let _held = site.hold(get("/users/7?secret=1"));
    site.clock.advance(Duration::from_micros(12_345));
    let reply = site.ask("/api/exchanges").ok();
    assert!(!reply.text.contains("secret"));
    let json = reply.json();
    let now = site.clock.time().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0;
    assert!((json["now"].as_f64().unwrap() - now).abs() < 1.0);
    assert_eq!((json["counts"]["open"].as_u64(), json["not_listed"].as_u64()), (Some(1), Some(0)));
    let id = json["exchanges"][0]["id"].as_u64().unwrap();
    let row = json!({
        "id": id, "connection": null, "peer": null,
        "method": "GET", "path": "/users/7", "route": null,
        "age": 12.345, "stage": "handler", "state": "handler", "status": null,
        "request": {"bytes": 0, "frames": 0}, "response": {"bytes": 0, "frames": 0},
        "times": {"request_close": 0.0, "response": null, "response_end": null, "disconnect": null},
        "waits": {"request": {"producer": 0.0, "consumer": 0.0, "last": "consumer"}, "response": null},
        "marks": [], "trace": null,
    });
    assert_eq!(json["exchanges"], json!([row]));
}

#[test]
fn a_closed_exchange_is_told_with_its_verdict() {
    let site = Site::new();
    site.answer(get("/a?secret=1"), 503, ms(20));
    site.clock.advance(ms(1000));
    let json = site.ask("/api/closed").ok().json();
    let id = json["closed"][0]["id"].as_u64().unwrap();
    let row = json!({
        "id": id, "connection": null, "peer": null,
        "method": "GET", "path": "/a", "route": null, "status": 503,
        "duration": 20.0, "ago": 1000.0,
        "class": "failure", "reason": "complete", "stage": "done", "initiator": "local",
        "evidence": "frame", "termination": "--", "request_close": "complete",
        "request": {"bytes": 0, "frames": 0}, "response": {"bytes": 5, "frames": 1},
        "times": {
            "request_data": null, "request_end": 0.0, "request_close": 0.0, "response": 20.0,
            "response_data": 20.0, "response_end": 20.0, "finish": 20.0, "disconnect": null, "close": 20.0,
        },
        "waits": {
            "request": {"producer": 0.0, "consumer": 0.0, "last": "consumer"},
            "response": {"producer": 0.0, "consumer": 0.0, "last": "producer"},
        },
        "marks": [], "trace": null,
    });
    assert_eq!(json["closed"], json!([row]));
}

#[test]
fn closed_ones_are_listed_as_recent_slowest_or_failed() {
    let site = Site::new();
    site.answer(get("/slow"), 200, ms(500));
    site.answer(get("/failed"), 500, ms(5));
    site.answer(get("/last"), 204, ms(1));
    let paths = |query: &str| -> Vec<String> {
        let json = site.ask(&format!("/api/closed{query}")).ok().json();
        let path = |row: &Value| row["path"].as_str().unwrap().to_owned();
        json["closed"].as_array().unwrap().iter().map(path).collect()
    };
    assert_eq!(paths(""), ["/last", "/failed", "/slow"]);
    assert_eq!(paths("?list=recent&limit=2"), ["/last", "/failed"]);
    assert_eq!(paths("?list=slowest"), ["/slow", "/failed", "/last"]);
    assert_eq!(paths("?list=failed"), ["/failed"]);
    assert_eq!(paths("?status=2xx&text=slow"), ["/slow"]);
    assert_eq!(paths("?older_than=5ms"), ["/failed", "/slow"]);
}

#[test]
fn the_story_of_an_exchange_has_marks_and_allowed_headers_alone() {
    let allowed = HeaderName::from_static("x-said");
    let site = Site::with(InFlight::builder().request_headers([allowed]));
    let mut request = get("/story");
    request.headers_mut().insert("x-said", HeaderValue::from_static("hello"));
    request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer secret"));
    let held = site.hold(request);
    let id = site.ask("/api/exchanges").json()["exchanges"][0]["id"].as_u64().unwrap();
    let path = format!("/api/exchanges/{id}");

    let reply = site.ask(&path).ok();
    assert!(!reply.text.contains("secret"));
    let json = reply.json();
    assert_eq!((&json["open"], &json["path"]), (&json!(true), &json!("/story")));
    assert_eq!((&json["version"], &json["marks"]), (&json!("HTTP/1.1"), &json!([])));
    assert_eq!(json["headers"], json!({"request": [["x-said", "hello"]], "response": []}));
    assert_eq!(json["connection_detail"], Value::Null);

    drop(held);
    let json = site.ask(&path).ok().json();
    assert_eq!((&json["open"], &json["reason"]), (&json!(false), &json!("unknown")));
    assert_eq!((&json["class"], &json["termination"]), (&json!("cancelled"), &json!("?H")));
    assert_eq!(json["headers"]["request"], json!([["x-said", "hello"]]));

    assert!(site.ask("/api/exchanges/18446744073709551615").refused(404).contains("forgotten"));
    for wrong in ["0", "-1", "x", "18446744073709551616", "1/2", ""] {
        let sentence = site.ask(&format!("/api/exchanges/{wrong}")).refused(400);
        assert!(sentence.contains("api/exchanges/42"), "{sentence}");
    }
}

#[tokio::test]
async fn marks_of_handles_are_told() {
    use tower::{Layer, ServiceExt, service_fn};
    use tower_lifecycle::{LifecycleLayer, testing::MockBody};

    let inflight = InFlight::new();
    let layer = LifecycleLayer::new(inflight.clone()).with_handle();
    let service = layer.layer(service_fn(async |request: http::Request<_>| {
        request.extensions().get::<ExchangeHandle>().unwrap().mark("db");
        drop(request);
        Ok::<_, std::convert::Infallible>(http::Response::new(MockBody::hangs_after(1)))
    }));
    let response = service.oneshot(get("/")).await.unwrap();
    let id = inflight.snapshot().exchanges[0].id;
    let inspector = tower_lifecycle::inspector::Inspector::new(inflight);
    let story = || ask(&inspector, local(&format!("/api/exchanges/{id}"))).ok().json();
    assert_eq!(story()["marks"][0][0], "db");
    drop(response);
    assert_eq!((&story()["open"], &story()["marks"][0][0]), (&json!(false), &json!("db")));
}

#[test]
fn counts_tell_every_stage_and_state() {
    let site = Site::new();
    let _held = site.hold(get("/"));
    let _streams = site.stream(get("/"));
    site.answer(get("/"), 200, ms(1));
    let mut json = site.ask("/api/counts").ok().json();
    assert!(json["now"].take().as_f64().unwrap() > 1e12);
    let counts = json!({
        "now": null, "open": 2, "not_shown": 0, "opened": 3, "closed": 1,
        "stages": {"request": 0, "handler": 1, "response": 1, "flush": 0},
        "states": {
            "reading": 0, "unread": 0, "handler": 1, "parked": 0, "producer": 0, "client": 0,
            "flushing": 0, "unknown": 1,
        },
        "connections": 0, "idle": 0, "upgraded": 0, "draining": false,
    });
    assert_eq!(json, counts);
    let draining = ask(&site.inspector().ends_when(async || ()), local("/api/counts"));
    assert_eq!(draining.json()["draining"], true);
    let runs = ask(&site.inspector().ends_when(std::future::pending), local("/api/counts"));
    assert_eq!(runs.json()["draining"], false);
}

#[test]
fn text_is_by_route_and_oldest_first() {
    let site = Site::new();
    let _first = site.hold(get("/a/1"));
    site.clock.advance(Duration::from_secs(100));
    let _second = site.stream(get("/a/2"));
    site.clock.advance(Duration::from_secs(2));
    site.answer(get("/gone"), 200, ms(0));
    let text = site.ask("/text").ok().text;
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].ends_with("Z: 2 open, 1 closed; 0 connections, 0 idle, 0 upgraded"), "{text}");
    assert_eq!(lines[1..3], ["", "- (2)"]);
    let fields = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (first, second) = (fields(lines[3]), fields(lines[4]));
    assert_eq!(first[..7], ["h", "102.0s", "handler", "GET", "-", "0", "0"]);
    assert_eq!((&*first[7], &*first[8], &*first[10]), ("-", "-", "/a/1"));
    assert_eq!(second[..7], ["?", "2.0s", "unknown", "GET", "200", "0", "5"]);
    assert_eq!(second[10], "/a/2");
    assert_eq!(lines.len(), 5);
    let text = site.ask("/text?limit=1&path=/a").ok().text;
    assert!(text.contains("/a/1") && !text.contains("/a/2"), "{text}");
    assert!(text.ends_with("\n1 more: ask with a higher `limit`\n"), "{text}");
}

#[test]
fn head_has_what_get_has_but_for_the_body() {
    let site = Site::new();
    for path in PATHS.iter().map(|(path, _)| path).chain(&["/none", "/text?x=1"]) {
        let mut request = local(path);
        *request.method_mut() = Method::HEAD;
        let (head, get) = (ask(&site.inspector(), request), site.ask(path));
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.text, "");
        assert_eq!(head.headers["content-type"], get.headers["content-type"]);
        let length = head.headers.get("content-length").map(|length| length.to_str().unwrap());
        let expected = Some(get.text.len().to_string()).filter(|_| !get.text.is_empty());
        // The time of day is in what is JSON, with as many digits as it takes.
        if path.starts_with("/api/") {
            assert_eq!(length.is_some(), *path != "/api/events", "{path}");
        } else {
            assert_eq!(length, expected.as_deref(), "{path}");
        }
    }
}

#[test]
fn what_is_not_there_is_a_404_and_what_is_no_question_a_405() {
    let site = Site::new();
    for path in [
        "/nothing",
        "/api",
        "/api/",
        "/api/exchange",
        "/text/",
        "/api/exchanges2",
        "//",
        "/../api/counts",
    ] {
        assert!(site.ask(path).refused(404).contains("api/exchanges"), "{path}");
    }
    assert!(site.ask("/?asset=other.js").refused(404).contains("no such file"));
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "PURGE"] {
        let mut request = local("/api/counts");
        *request.method_mut() = method.parse().unwrap();
        let reply = ask(&site.inspector(), request);
        assert!(reply.refused(405).contains("GET or HEAD"));
        assert_eq!(reply.headers["allow"], "GET, HEAD");
    }
}

#[test]
fn what_the_registry_had_no_room_for_is_counted() {
    let site = Site::with(InFlight::builder().max_open(1));
    let _held = [site.hold(get("/1")), site.hold(get("/2"))];
    let json = site.ask("/api/exchanges").ok().json();
    assert_eq!(
        (json["counts"]["open"].as_u64(), json["counts"]["not_shown"].as_u64()),
        (Some(2), Some(1))
    );
    assert!(site.ask("/text").text.ends_with("\n1 more that the registry had no room for\n"));
}
