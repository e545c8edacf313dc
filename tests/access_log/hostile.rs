//! Whatever a peer writes is a value of one line.

use http::{HeaderName, HeaderValue, Method, Request, Uri};
use proptest::{
    collection::vec,
    prelude::{ProptestConfig, Strategy, any, prop_oneof},
    test_runner::TestRunner,
};
use serde_json::Value;
use tower_lifecycle::{
    LifecycleLayer, access_log::Format, semconv::Conventions, testing::MockBody,
};

use crate::rig::{Lines, dropped, fields};

const HEADER: HeaderName = HeaderName::from_static("x-said");

/// What a peer, or a route of the user's, may say.
#[derive(Clone, Debug)]
struct Said {
    method: Method,
    uri: Uri,
    agent: HeaderValue,
    header: HeaderValue,
    route: String,
}

impl Said {
    /// What of the bytes the types let in that a server makes of them.
    fn of([method, path, query, agent, header, route]: [Vec<u8>; 6]) -> Self {
        let mut target = b"/".to_vec();
        target.extend(path);
        target.push(b'?');
        target.extend(query);
        let target = String::from_utf8_lossy(&target);
        let passes = |text: &str| Uri::try_from(format!("/{text}")).is_ok();
        let allowed = target.chars().filter(|char| passes(char.encode_utf8(&mut [0; 4])));
        let value = |bytes: Vec<u8>| {
            let visible =
                bytes.into_iter().filter(|byte| *byte == b'\t' || (*byte >= 32 && *byte != 127));
            HeaderValue::from_bytes(&visible.collect::<Vec<_>>()).unwrap()
        };
        Self {
            method: Method::from_bytes(&method).unwrap_or(Method::GET),
            uri: Uri::try_from(allowed.collect::<String>()).unwrap_or_default(),
            agent: value(agent),
            header: value(header),
            route: String::from_utf8_lossy(&route).into_owned(),
        }
    }

    fn logged(&self, format: Format) -> String {
        let lines = Lines::default();
        let route = self.route.clone();
        let conventions = Conventions::new()
            .route(move |_| Some(route.clone().into()))
            .sensitive_query_keys(["key"])
            .max_value_length(100_000);
        let log = lines.log(format).conventions(conventions).user_agent().waits();
        let request = Request::builder()
            .method(self.method.clone())
            .uri(self.uri.clone())
            .header("user-agent", self.agent.clone())
            .header(HEADER, self.header.clone())
            .body(MockBody::empty())
            .unwrap();
        dropped(&LifecycleLayer::new(log.request_headers([HEADER])), request);
        lines.only()
    }
}

fn told(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn check(said: &Said) {
    let (text, json) = (said.logged(Format::Text), said.logged(Format::Json));
    for line in [&text, &json] {
        let plain = line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        assert!(plain, "{line:?}");
    }

    let fields = fields(&text);
    assert_eq!(fields.len(), 13 + 3, "{text}");
    assert_eq!(fields[3], said.method.as_str());
    let (path, query) = fields[10].split_once('?').unwrap_or((&fields[10], ""));
    assert_eq!(path, said.uri.path());
    let sent = said.uri.query().unwrap_or_default();
    if !sent.contains("key") && !sent.contains('%') {
        assert_eq!(query, sent);
    }
    assert_eq!(fields[11], if said.route.is_empty() { "-" } else { &said.route });
    assert_eq!(fields[14], told(&said.agent));
    assert_eq!(fields[15], told(&said.header));

    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["method"], said.method.as_str());
    assert_eq!(json["path"], said.uri.path());
    assert_eq!(json.get("query").and_then(Value::as_str).unwrap_or_default(), query);
    assert_eq!(json.get("route").and_then(Value::as_str).unwrap_or_default(), said.route);
    assert_eq!(json["user_agent"], told(&said.agent));
    assert_eq!(json["request_headers"]["x-said"][0], told(&said.header));
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let nasty =
        ["\n", "\r\n", "\"", "\\", "\x1b[31m", "\u{9b}2J", "\u{2028}", "\u{202e}", "\0", " ", "-"];
    let nasty = proptest::sample::select(nasty.map(str::as_bytes).map(<[u8]>::to_vec).to_vec());
    let piece =
        prop_oneof![nasty, vec(any::<u8>(), 0..8), "[a-z%=&]{0,6}".prop_map(String::into_bytes)];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

#[test]
fn whatever_is_sent_is_one_line_that_reads_back() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: cases.map_or(2_000, |cases: u32| cases / 10),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let said = [bytes(), bytes(), bytes(), bytes(), bytes(), bytes()].prop_map(Said::of);
    let outcome = TestRunner::new(config).run(&said, |said| {
        check(&said);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn a_newline_that_a_route_smuggles_in_forges_no_line() {
    let mut said = Said::of(Default::default());
    said.route = "/a\n2026-01-01T00:00:00.000Z -- 200 GET\u{1b}[2J\u{9b}2J\u{2028}".to_owned();
    check(&said);
    let text = said.logged(Format::Text);
    let escaped =
        r"/a\x0A2026-01-01T00:00:00.000Z\x20--\x20200\x20GET\x1B[2J\xC2\x9B2J\xE2\x80\xA8";
    assert!(text.contains(escaped), "{text}");
    let json = said.logged(Format::Json);
    assert!(json.contains(r"GET\u001b[2J\u009b2J\u2028"), "{json}");
}

#[test]
fn a_header_that_is_no_text_and_one_of_many_kilobytes_are_told_as_far_as_they_go() {
    let lines = Lines::default();
    let log = lines.log(Format::Json).user_agent().request_headers([HEADER]);
    let request = Request::builder()
        .method(Method::from_bytes(&[b'M'; 10_000]).unwrap())
        .header("user-agent", HeaderValue::from_bytes(b"a\xffb").unwrap())
        .header(HEADER, HeaderValue::from_bytes(&[b'x'; 10_000]).unwrap())
        .body(MockBody::empty())
        .unwrap();
    dropped(&LifecycleLayer::new(log), request);
    let told: Value = serde_json::from_str(&lines.only()).unwrap();
    assert_eq!(told["user_agent"], "a\u{fffd}b");
    assert_eq!(told["method"], "M".repeat(1024));
    assert_eq!(told["request_headers"]["x-said"][0], "x".repeat(1024));
}
