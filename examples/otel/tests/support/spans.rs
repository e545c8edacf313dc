//! The spans of one round of visits.

use std::collections::HashMap;

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};

use super::{
    expected::{of_kind, seconds},
    told::{Told, double, int, text},
};

/// Name, status, `error.type`, and how it ended: the termination at the server, the outcome at the client.
type Exchange<'a> = (&'a str, Option<i64>, Option<&'a str>, &'a str);

const SERVER: [Exchange<'_>; 11] = [
    ("GET", Some(404), None, "--"),
    ("GET /events", Some(200), None, "--"),
    ("GET /fail", Some(500), Some("500"), "--"),
    ("GET /slow", Some(200), None, "--"),
    ("GET /stream", Some(200), None, "--"),
    ("GET /stream", Some(200), Some("disconnected"), "CD"),
    ("GET /users/{id}", Some(200), None, "--"),
    ("GET /users/{id}", Some(200), None, "--"),
    ("HTTP /users/{id}", Some(405), None, "--"),
    ("POST /upload", Some(200), None, "--"),
    // The handler has answered, to nobody.
    ("POST /upload", Some(400), Some("disconnected"), "CR"),
];

const CLIENT: [Exchange<'_>; 12] = [
    ("GET", Some(404), Some("404"), ""),
    ("GET /events", Some(200), None, ""),
    ("GET /fail", Some(500), Some("500"), ""),
    ("GET /slow", Some(200), None, ""),
    ("GET /stream", Some(200), None, ""),
    ("GET /stream", Some(200), None, "cancelled"),
    ("GET /users/{id}", None, Some("connect_error"), ""),
    ("GET /users/{id}", Some(200), None, ""),
    ("GET /users/{id}", Some(200), None, ""),
    ("HTTP /users/{id}", Some(405), Some("405"), ""),
    ("POST /upload", None, None, "cancelled"),
    ("POST /upload", Some(200), None, ""),
];

pub(crate) fn check(told: &Told) {
    exchanges(told, SpanKind::Server, &SERVER);
    exchanges(told, SpanKind::Client, &CLIENT);
    parents(told);
    attributes(told);
}

fn exchanges(told: &Told, kind: SpanKind, expected: &[Exchange<'_>]) {
    let spans = of_kind(told, kind);
    let mut exchanges: Vec<_> = spans.iter().map(|span| exchange(span)).collect();
    exchanges.sort();
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, status, error, end)| {
            (name.to_string(), *status, error.map(str::to_owned), end.to_string())
        })
        .collect();
    assert_eq!(exchanges, expected);
    for span in spans {
        let error = text(&span.attributes, "error.type").is_some();
        let (code, message) =
            span.status.as_ref().map_or((0, ""), |status| (status.code, &*status.message));
        assert_eq!(
            code,
            if error { StatusCode::Error } else { StatusCode::Unset } as i32,
            "{span:?}"
        );
        assert_eq!(message, "");
        assert_eq!(
            span.dropped_attributes_count + span.dropped_events_count + span.dropped_links_count,
            0
        );
    }
}

fn exchange(span: &Span) -> (String, Option<i64>, Option<String>, String) {
    let end = match span.kind() {
        SpanKind::Server => text(&span.attributes, "tower_lifecycle.termination"),
        _ => text(&span.attributes, "tower_lifecycle.outcome"),
    };
    let status = int(&span.attributes, "http.response.status_code");
    let error = text(&span.attributes, "error.type");
    (span.name.clone(), status, error, end.unwrap_or_default())
}

fn parents(told: &Told) {
    let clients: HashMap<_, _> =
        of_kind(told, SpanKind::Client).into_iter().map(|span| (&*span.span_id, span)).collect();
    assert!(clients.values().all(|client| client.parent_span_id.is_empty()));
    let servers = of_kind(told, SpanKind::Server);
    for server in &servers {
        let client = clients.get(&*server.parent_span_id).expect("its parent is the client's span");
        assert_eq!(server.trace_id, client.trace_id);
        assert_eq!(server.name, client.name);
        assert!(client.start_time_unix_nano <= server.start_time_unix_nano);
    }
    let spans = told.all_spans();
    let found: Vec<_> = spans.iter().filter(|(_, span)| span.name == "find_user").collect();
    assert_eq!(found.len(), 2);
    for ((_, scope, _), child) in found {
        assert_eq!(scope.name, "tower-lifecycle-example-otel");
        assert_eq!(child.kind(), SpanKind::Internal);
        let parent = servers.iter().find(|server| server.span_id == child.parent_span_id);
        let parent = parent.expect("its parent is the server's span");
        assert_eq!((&*parent.name, &parent.trace_id), ("GET /users/{id}", &child.trace_id));
        assert!(parent.start_time_unix_nano <= child.start_time_unix_nano);
        assert!(child.end_time_unix_nano <= parent.end_time_unix_nano);
    }
    assert_eq!(spans.len(), SERVER.len() + CLIENT.len() + 2);
}

fn attributes(told: &Told) {
    for span in of_kind(told, SpanKind::Server) {
        let of = &span.attributes;
        let is = |name: &str, expected: &str| {
            assert_eq!(text(of, name).as_deref(), Some(expected), "{name}");
        };
        is("url.scheme", "http");
        is("network.protocol.version", "1.1");
        is("network.peer.address", "127.0.0.1");
        is("client.address", "127.0.0.1");
        is("server.address", "127.0.0.1");
        is("user_agent.original", "tower-lifecycle-example-otel");
        assert!(int(of, "network.peer.port").is_some() && int(of, "server.port").is_some());
        let route = span.name.split_once(' ').map(|(_, route)| route);
        assert_eq!(text(of, "http.route").as_deref(), route);
        let answered = int(of, "http.response.status_code").is_some();
        assert_eq!(
            double(of, "tower_lifecycle.response.head.duration").is_some(),
            answered,
            "{span:?}"
        );
        assert!(text(of, "url.full").is_none() && text(of, "network.protocol.name").is_none());
    }
    for span in of_kind(told, SpanKind::Client) {
        let of = &span.attributes;
        assert!(text(of, "url.full").is_some_and(|url| url.starts_with("http://127.0.0.1:")));
        assert_eq!(text(of, "server.address").as_deref(), Some("127.0.0.1"));
        assert!(int(of, "server.port").is_some());
        assert_eq!(text(of, "http.route"), None);
    }
    let servers = of_kind(told, SpanKind::Server);
    let by_name = |name| servers.iter().filter(move |span| span.name == name);
    for brew in by_name("HTTP /users/{id}") {
        let [method, original] = ["http.request.method", "http.request.method_original"]
            .map(|name| text(&brew.attributes, name));
        assert_eq!((method.as_deref(), original.as_deref()), (Some("_OTHER"), Some("BREW")));
    }
    let queries: Vec<_> =
        by_name("GET /users/{id}").filter_map(|span| text(&span.attributes, "url.query")).collect();
    assert_eq!(queries, ["sig=REDACTED"]);
    // Ten chunks, and a tenth of a second before each.
    for stream in
        by_name("GET /stream").filter(|span| text(&span.attributes, "error.type").is_none())
    {
        assert!(seconds(stream) >= 1.0, "{}", seconds(stream));
        assert!(double(&stream.attributes, "tower_lifecycle.response.head.duration") < Some(1.0));
    }
}
