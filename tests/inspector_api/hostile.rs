//! Whatever a peer writes, or a route of the user's, is a value in JSON, in events and in text.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use proptest::{
    collection::vec,
    prelude::{ProptestConfig, Strategy, any, prop_oneof},
    test_runner::TestRunner,
};
use serde_json::Value;
use tower_lifecycle::{inflight::InFlight, testing::MockBody};

use crate::{
    polls::{now, poll_body},
    rig::{Held, Reply, Site, event, get, is_plain, local, send},
};

const HEADER: HeaderName = HeaderName::from_static("x-said");

fn site() -> Site {
    Site::with(InFlight::builder().request_headers([HEADER]))
}

/// What a server would make of these bytes.
fn request(method: &[u8], path: &str, header: &[u8]) -> Request<MockBody> {
    let passes = |text: &str| Uri::try_from(format!("/{text}")).is_ok();
    let allowed = path.chars().filter(|char| passes(char.encode_utf8(&mut [0; 4])));
    let mut request =
        get(Uri::try_from(format!("/{}", allowed.collect::<String>())).unwrap_or_default());
    *request.method_mut() = Method::from_bytes(method).unwrap_or(Method::GET);
    let visible =
        header.iter().copied().filter(|byte| *byte == b'\t' || (*byte >= 32 && *byte != 127));
    let value = HeaderValue::from_bytes(&visible.collect::<Vec<_>>()).unwrap();
    request.headers_mut().insert(HEADER, value);
    request
}

/// What is told of the one that is open, in every form.
fn check(request: Request<MockBody>) {
    let site = site();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let header = String::from_utf8_lossy(request.headers()[HEADER].as_bytes()).into_owned();
    let held: Held = site.hold(request);
    let reply: Reply = site.ask("/api/exchanges").ok();
    let row = &reply.json()["exchanges"][0];
    assert_eq!(
        (row["method"].as_str(), row["path"].as_str()),
        (Some(method.as_str()), Some(&*path))
    );

    let story = || site.ask(&format!("/api/exchanges/{}", row["id"])).ok().json();
    let said = |story: &Value| story["headers"]["request"][0][1].as_str().unwrap().to_owned();
    assert_eq!(said(&story()), header);

    let mut events = send(&site.inspector(), local("/api/events")).into_body();
    let frame: Bytes = runtime().block_on(async { crate::rig::next(&mut events).await.unwrap() });
    assert_eq!(event(&frame).unwrap().data["exchanges"][0]["path"], &*path);

    let text = site.ask("/text").ok().text;
    assert!(text.lines().all(is_printable), "{text:?}");
    let row: Vec<_> = text.lines().nth(3).unwrap().split_whitespace().collect();
    assert_eq!(row.len(), 11, "{text}");
    assert_eq!(unescaped(row[10]), path);

    drop(held);
    assert_eq!(said(&story()), header);
    let closed = site.ask("/api/closed").ok().json();
    assert_eq!(closed["closed"][0]["path"], &*path);
}

fn is_printable(line: &str) -> bool {
    line.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn unescaped(field: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((plain, escape)) = rest.split_once("\\x") {
        bytes.extend_from_slice(plain.as_bytes());
        bytes.push(u8::from_str_radix(&escape[..2], 16).unwrap());
        rest = &escape[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn known_tricks_are_values() {
    let tricks = [
        "</script><script>alert(1)</script>",
        "\"};alert(1);//",
        "'\"><img src=x onerror=alert(1)>",
        "%0d%0aevent:%20snapshot%0d%0adata:%20{}",
        "a\\u003c/script\\u003e",
        "\u{202e}gnp.exe",
        "\u{2028}alert(1)\u{2029}",
        "\u{9b}2J\u{1b}[2J",
        "\u{e4}\u{4e16}\u{1f980}",
        "%ff%00",
    ];
    for trick in tricks {
        check(request(b"GET", trick, trick.as_bytes()));
    }
    check(request(b"M'E`T|H", "/", b"a\xff\xfe\x9b\tb"));
}

#[test]
fn whatever_is_sent_is_a_value() {
    let nasty = [
        "</", "<!--", "\"", "\\", "\u{9b}2J", "\u{2028}", "\u{202e}", "data:", "\t", "&lt;", "'",
        "{}",
    ];
    let nasty = proptest::sample::select(nasty.map(str::as_bytes).map(<[u8]>::to_vec).to_vec());
    let piece =
        prop_oneof![nasty, vec(any::<u8>(), 0..8), "[a-z%/]{0,6}".prop_map(String::into_bytes)];
    let bytes = || vec(piece.clone(), 0..8).prop_map(|pieces| pieces.concat());
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: cases.map_or(300, |cases: u32| cases / 50),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome =
        TestRunner::new(config).run(&[bytes(), bytes(), bytes()], |[method, path, header]| {
            check(request(
                &method[..method.len().min(32)],
                &String::from_utf8_lossy(&path),
                &header,
            ));
            Ok(())
        });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn what_is_very_long_is_told_in_part() {
    let site = site();
    let long = "x".repeat(10_000);
    let _held = site.hold(request(long.as_bytes(), &long, long.as_bytes()));
    for path in ["/api/exchanges", "/text"] {
        let text = site.ask(path).ok().text;
        assert!(text.len() < 4_000, "{}", text.len());
    }
    let row = &site.ask("/api/exchanges").json()["exchanges"][0];
    assert_eq!(row["method"], "_OTHER");
    let story = site.ask(&format!("/api/exchanges/{}", row["id"]));
    assert!(story.text.len() < 4_000, "{}", story.text.len());
}

#[test]
fn what_is_asked_for_is_never_a_part_of_the_page() {
    let site = site();
    let page = site.ask("/").ok().text;
    assert_eq!(site.ask("/?x=%3Cscript%3Ealert(1)%3C/script%3E").ok().text, page);
    assert!(is_plain(&site.ask("/%3Cscript%3E").text));
    assert!(is_plain(&site.ask("/?asset=%3Cscript%3E").text));
}

#[test]
fn a_body_that_was_taken_is_at_its_end() {
    let mut body = send(&site().inspector(), local("/api/counts")).into_body();
    assert!(poll_body(&mut body).is_ready());
    assert!(http_body::Body::is_end_stream(&body));
    assert!(now(http_body_util::BodyExt::frame(&mut body)).is_none());
}
