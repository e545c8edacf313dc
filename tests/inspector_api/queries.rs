//! Filters, and what is no filter.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use crate::rig::{Site, get};

#[test]
fn each_filter_leaves_what_it_says() {
    let site = Site::new();
    let _first = site.hold(get("/orders/1"));
    site.clock.advance(Duration::from_secs(10));
    let mut post = get("/users/2");
    *post.method_mut() = Method::POST;
    let _second = site.hold(post);
    let _third = site.stream(get("/users/3"));
    let paths = |query: &str| -> Vec<String> {
        let json = site.ask(&format!("/api/exchanges?{query}")).ok().json();
        let path = |row: &Value| row["path"].as_str().unwrap().to_owned();
        json["exchanges"].as_array().unwrap().iter().map(path).collect()
    };
    assert_eq!(paths(""), ["/orders/1", "/users/2", "/users/3"]);
    assert_eq!(paths("method=POST"), ["/users/2"]);
    assert_eq!(paths("path=%2Fusers"), ["/users/2", "/users/3"]);
    assert_eq!(paths("route=x"), [""; 0]);
    assert_eq!(paths("stage=response"), ["/users/3"]);
    assert_eq!(paths("state=handler"), ["/orders/1", "/users/2"]);
    assert_eq!(paths("status=200"), ["/users/3"]);
    assert_eq!(paths("status=2xx"), ["/users/3"]);
    assert_eq!(paths("status=404"), [""; 0]);
    assert_eq!(paths("connection=1"), [""; 0]);
    assert_eq!(paths("older_than=5s"), ["/orders/1"]);
    assert_eq!(paths("text=ORDERS"), ["/orders/1"]);
    assert_eq!(paths("limit=1"), ["/orders/1"]);
    assert_eq!(paths("state=handler&method=GET&older_than=9s&path=1"), ["/orders/1"]);
    assert_eq!(site.ask("/api/exchanges?limit=1").json()["not_listed"], 2);
}

#[test]
fn what_is_not_known_is_named_and_so_is_what_is() {
    let site = Site::new();
    for path in ["/api/exchanges", "/api/closed", "/api/events", "/text"] {
        let sentence = site.ask(&format!("{path}?methd=GET")).refused(400);
        assert!(sentence.contains("`methd` is not known here"), "{sentence}");
        let known =
            ["method, path, route, stage, state, status, connection, older_than, text, limit"];
        assert!(known.iter().all(|name| sentence.contains(name)), "{sentence}");
    }
    assert!(site.ask("/api/closed?a").refused(400).contains("limit, list."));
    assert!(site.ask("/api/events?a").refused(400).contains("limit, interval."));
    assert!(site.ask("/api/exchanges?list=recent").refused(400).contains("`list`"));
    assert!(site.ask("/text?interval=1s").refused(400).contains("`interval`"));
    for path in ["/api/counts", "/api/connections", "/api/exchanges/1"] {
        let sentence = site.ask(&format!("{path}?limit=1")).refused(400);
        assert!(sentence.contains("known are none"), "{sentence}");
    }
}

#[test]
fn what_does_not_parse_is_named_with_what_would() {
    let site = Site::new();
    let wrong = [
        ("method=G%20T", "`method` cannot be `G T`: say a method, such as `GET`"),
        ("method=", "`method` cannot be ``"),
        ("stage=done", "one of request, handler, response, flush"),
        ("state=waiting", "one of reading, unread, handler, parked, producer, client, flushing"),
        ("status=6xx", "such as `200` or `5xx`"),
        ("status=20", "such as `200` or `5xx`"),
        ("status=xx", "such as `200` or `5xx`"),
        ("status=%2B2xx", "such as `200` or `5xx`"),
        ("connection=a", "the number of a connection"),
        ("older_than=5", "such as `100ms` or `5s`"),
        ("older_than=-5s", "such as `100ms` or `5s`"),
        ("older_than=99999999999999999999y", "such as `100ms` or `5s`"),
        ("limit=100001", "at most 100000"),
        ("limit=-1", "at most 100000"),
        ("limit=1e3", "at most 100000"),
        ("limit=1&limit=2", "`limit` is said twice"),
        ("path=a&path=a", "`path` is said twice"),
    ];
    for (query, expected) in wrong {
        let sentence = site.ask(&format!("/api/exchanges?{query}")).refused(400);
        assert!(sentence.contains(expected), "{query}: {sentence}");
    }
    assert!(site.ask("/api/closed?list=all").refused(400).contains("recent, slowest, failed"));
    for interval in ["99ms", "61s", "0s", "500", "1"] {
        let sentence = site.ask(&format!("/api/events?interval={interval}")).refused(400);
        assert!(sentence.contains("a time between `100ms` and `60s`"), "{sentence}");
    }
    for interval in ["100ms", "60s", "1m", "1500ms"] {
        site.ask(&format!("/api/events?interval={interval}")).ok();
    }
}

#[test]
fn what_is_wrong_is_said_again_in_part_and_as_plain_text() {
    let site = Site::new();
    let reply = site.ask(&format!("/text?{}=1", "%3Cscript%3E%0D%0A%E2%80%AE".repeat(500)));
    let sentence = reply.refused(400);
    assert!(sentence.starts_with("`<script>\r\n\u{202e}") && sentence.len() < 300, "{sentence}");
    let long = format!("/text?state={}", "x".repeat(10_000));
    assert!(site.ask(&long).refused(400).len() < 300);
}
