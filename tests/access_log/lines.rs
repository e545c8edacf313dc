//! Whole lines, to the letter, by a clock that the tests advance.

use http::{Method, Request, Version, header};
use serde_json::{Value, json};
use tower_lifecycle::{
    Interest, LifecycleLayer, Observer, RequestHead, TraceIds,
    access_log::{AccessLog, Format},
    semconv::{Conventions, ForwardedPolicy},
    testing::{ManualClock, MockBody},
};

use crate::{
    rig::{Lines, dropped, exchange, fields, get, shown},
    support::panics,
};

/// Says by what a trace knows the exchange.
struct Tracer;

impl Observer for Tracer {
    type State = tower_lifecycle::observe::HooksState;

    fn interest(&self) -> Interest {
        Interest::CLOSE
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<Self::State> {
        let trace_id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
        let span_id = 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes();
        head.set_trace(TraceIds { trace_id, span_id, sampled: true });
        None
    }
}

fn conventions() -> Conventions {
    Conventions::new()
        .forwarded(ForwardedPolicy::TrustAll)
        .route(|head| head.uri.path().starts_with("/users/").then_some("/users/{id}".into()))
}

fn request() -> Request<MockBody> {
    Request::post("/users/7?page=2&sig=secret")
        .header("x-forwarded-for", "203.0.113.9")
        .header("user-agent", "curl/8.5.0 \"quoted\"")
        .header("x-request-id", "a")
        .header("x-request-id", "b")
        .body(MockBody::stream(3))
        .unwrap()
}

fn asked_for(format: Format, lines: &Lines) -> AccessLog {
    let names = [header::HeaderName::from_static("x-request-id"), header::REFERER];
    let log = lines.log(format).conventions(conventions());
    log.waits().user_agent().request_headers(names)
}

#[test]
fn a_line_of_text_has_all_its_columns() {
    let (lines, clock) = (Lines::default(), ManualClock::new());
    let log = lines.log(Format::Text).conventions(conventions());
    let begin = shown(&clock);
    exchange(LifecycleLayer::new((Tracer, log)), &clock, request(), Some(&MockBody::stream(2)));
    assert_eq!(
        lines.only(),
        begin
            + " -- 200 POST   2.0/12.0/20.0/0.0/32.0       15       10 203.0.113.9     -      HTTP/1.1 \
               /users/7?page=2&sig=REDACTED /users/{id} 4bf92f3577b34da6a3ce929d0e0e4736"
    );
}

#[test]
fn what_is_asked_for_stands_behind_it() {
    let (lines, clock) = (Lines::default(), ManualClock::new());
    let log = asked_for(Format::Text, &lines);
    exchange(LifecycleLayer::new(log), &clock, request(), Some(&MockBody::stream(2)));
    let line = lines.only();
    assert!(
        line.ends_with(r#" /users/{id} - 0.0/2.0/0.0/20.0 "curl/8.5.0 \x22quoted\x22" "a, b" -"#),
        "{line}"
    );
}

#[test]
fn a_line_of_json_is_one_object_with_numbers_for_numbers() {
    let (lines, clock) = (Lines::default(), ManualClock::new());
    let begin = shown(&clock);
    let layer = LifecycleLayer::new((Tracer, asked_for(Format::Json, &lines)));
    exchange(layer, &clock, request(), Some(&MockBody::stream(2)));
    let told: Value = serde_json::from_str(&lines.only()).unwrap();
    assert_eq!(
        told,
        json!({
            "time": begin,
            "role": "server",
            "termination": "--",
            "reason": "complete",
            "initiator": "local",
            "evidence": "frame",
            "status": 200,
            "method": "POST",
            "version": "1.1",
            "scheme": "http",
            "path": "/users/7",
            "query": "page=2&sig=REDACTED",
            "route": "/users/{id}",
            "client_address": "203.0.113.9",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "span_id": "00f067aa0ba902b7",
            "request_bytes": 15,
            "response_bytes": 10,
            "request_ms": 2.05,
            "head_ms": 12.05,
            "first_byte_ms": 32.05,
            "body_ms": 20.0,
            "flush_ms": 0.0,
            "total_ms": 32.05,
            "request_producer_ms": 0.0,
            "request_consumer_ms": 2.05,
            "response_producer_ms": 0.0,
            "response_consumer_ms": 20.0,
            "user_agent": "curl/8.5.0 \"quoted\"",
            "request_headers": { "x-request-id": ["a", "b"] },
        })
    );
}

#[test]
fn what_was_not_reached_is_a_dash_or_left_out() {
    let (lines, clock) = (Lines::default(), ManualClock::new());
    let text = LifecycleLayer::new(lines.log(Format::Text)).with_clock(clock.clone());
    dropped(&text, Request::put("/").body(MockBody::stream(1)).unwrap());
    assert_eq!(
        lines.at(&clock),
        "?R -   PUT    -/-/-/-/0.0                   0        0 -               -      HTTP/1.1 / - -"
    );

    let lines = Lines::default();
    let json = LifecycleLayer::new(lines.log(Format::Json)).with_clock(clock.clone());
    dropped(&json, Request::put("/").body(MockBody::stream(1)).unwrap());
    let told: Value = serde_json::from_str(&lines.only()).unwrap();
    let absent = ["status", "head_ms", "body_ms", "flush_ms", "request_ms", "route", "trace_id"];
    assert!(absent.iter().all(|key| told.get(key).is_none()), "{told}");
    assert_eq!(told["termination"], "?R");
    assert_eq!(told["stage"], "request");
    assert_eq!(told["total_ms"], 0.0);
}

#[test]
fn a_client_tells_of_the_whole_url_without_its_credentials() {
    let url = "https://me:secret@example.com/a?sig=secret&b=1";
    let request = || Request::get(url).version(Version::HTTP_2).body(MockBody::empty()).unwrap();
    let (lines, clock) = (Lines::default(), ManualClock::new());
    let layer = LifecycleLayer::new(lines.log(Format::Text)).client();
    exchange(layer, &clock, request(), None);
    let line = lines.only();
    assert!(
        line.ends_with(" HTTP/2   https://REDACTED:REDACTED@example.com/a?sig=REDACTED&b=1 - -"),
        "{line}"
    );
    assert!(line.contains(" SH -   GET "), "{line}");

    let lines = Lines::default();
    let layer = LifecycleLayer::new(lines.log(Format::Json)).client();
    exchange(layer, &clock, request(), Some(&MockBody::stream(1)));
    let told: Value = serde_json::from_str(&lines.only()).unwrap();
    assert_eq!(told["role"], "client");
    assert_eq!(told["version"], "1.1", "what was spoken, and not what was asked for");
    assert_eq!(told["url"], "https://REDACTED:REDACTED@example.com/a?sig=REDACTED&b=1");
    assert_eq!((told.get("path"), told.get("flush_ms")), (None, None));
}

#[test]
fn a_connect_has_the_authority_for_its_target() {
    let (lines, clock) = (Lines::default(), ManualClock::new());
    let request = Request::builder().method(Method::CONNECT).uri("example.com:443");
    let request = request.body(MockBody::empty()).unwrap();
    exchange(
        LifecycleLayer::new(lines.log(Format::Text)),
        &clock,
        request,
        Some(&MockBody::empty()),
    );
    assert_eq!(fields(&lines.only())[10], "http://example.com:443");
}

#[test]
fn a_user_agent_and_headers_are_told_only_to_who_asks() {
    for format in [Format::Text, Format::Json] {
        let (lines, clock) = (Lines::default(), ManualClock::new());
        // Those that spans may tell are not the log's.
        let listed = Conventions::new().request_headers([header::USER_AGENT]);
        let log = lines.log(format).conventions(listed);
        exchange(LifecycleLayer::new(log), &clock, request(), Some(&MockBody::empty()));
        assert!(!lines.only().contains("curl"), "{}", lines.only());
    }
}

#[test]
fn who_has_no_headers_to_tell_of_has_its_columns_nevertheless() {
    let (lines, clock) = (Lines::default(), ManualClock::new());
    let layer = LifecycleLayer::new(asked_for(Format::Text, &lines)).with_clock(clock);
    dropped(&layer, Request::get("/").body(MockBody::empty()).unwrap());
    assert_eq!(fields(&lines.only()).len(), 13 + 4);
}

#[test]
fn a_long_value_is_cut() {
    let (lines, clock) = (Lines::default(), ManualClock::new());
    let value = "x".repeat(20_000);
    let request = Request::get(format!("/{value}?{value}"))
        .header("user-agent", &value)
        .body(MockBody::empty())
        .unwrap();
    let conventions = Conventions::new().max_value_length(100);
    let log = lines.log(Format::Text).conventions(conventions).user_agent();
    exchange(LifecycleLayer::new(log), &clock, request, Some(&MockBody::empty()));
    let told = fields(&lines.only());
    assert_eq!((told[10].len(), told[13].len()), (100 + 1 + 100, 100));
}

#[test]
fn a_sink_that_panics_costs_its_line_alone() {
    panics::quiet();
    let lines = Lines::default();
    let kept = lines.clone();
    let log = AccessLog::new(Format::Text, move |line| {
        if line.contains("/bad") {
            panics::boom();
        }
        kept.keep(line);
    });
    let layer = LifecycleLayer::new(log);
    get(&layer, "/bad");
    get(&layer, "/good");
    assert_eq!(layer.observer_panics(), 1);
    assert_eq!(fields(&lines.only())[10], "/good");
}

#[test]
fn a_sink_may_have_exchanges_of_its_own() {
    let lines = Lines::default();
    let (inner, outer) = (LifecycleLayer::new(lines.log(Format::Text)), lines.clone());
    let log = AccessLog::new(Format::Text, move |line| {
        get(&inner, "/shipped");
        outer.keep(line);
    });
    get(&LifecycleLayer::new(log), "/first");
    let told = lines.all().iter().map(|line| fields(line).swap_remove(10)).collect::<Vec<_>>();
    assert_eq!(told, ["/shipped", "/first"]);
}
