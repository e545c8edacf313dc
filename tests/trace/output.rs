//! How the summary reads in plain output.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Uri;
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};

use tower_lifecycle::{
    LifecycleLayer,
    semconv::Conventions,
    testing::{BoxError, ManualClock, MockBody},
    trace::Trace,
};
use tracing::{info, level_filters::LevelFilter};

use super::capture::{Capture, Incoming, exchange, get, reply, text};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written of three exchanges: one that is well, one whose stream fails, and one without a response.
async fn written(trace: Trace) -> Vec<String> {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .without_time()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let clock = ManualClock::new();
    let layer = LifecycleLayer::new(trace).with_clock(clock.clone());
    for (uri, body) in [
        ("/users/42?page=2", Some(MockBody::stream(3))),
        ("/users/43", Some(MockBody::fails_after(1))),
        ("/users/44", None),
    ] {
        let service = layer.layer(service_fn(async |_: Incoming| {
            clock.advance(Duration::from_micros(12_345));
            info!("looked up");
            body.clone().map(|body| reply(200, body)).ok_or(BoxError::from("no more beds"))
        }));
        if let Ok(response) = service.oneshot(get(uri)).await {
            let _ = response.into_body().collect().await;
        }
    }
    let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    written.lines().map(str::to_owned).collect()
}

fn routed() -> Trace {
    let conventions = Conventions::new().route(|_| Some("/users/{id}".into()));
    Trace::new().conventions(conventions)
}

#[tokio::test]
async fn the_summary_is_a_line_that_reads_well() {
    let lines = [
        " INFO trace::output: looked up",
        " INFO tower_lifecycle: GET /users/42 200 in 12.3ms, complete method=\"GET\" path=/users/42 \
         route=\"/users/{id}\" status=200 termination=\"--\" request_bytes=0 response_bytes=15 \
         duration_ms=12.345",
        " INFO trace::output: looked up",
        "ERROR tower_lifecycle: GET /users/43 200 in 12.3ms, response_failed in response \
         method=\"GET\" path=/users/43 route=\"/users/{id}\" status=200 \
         error_type=\"response_failed\" termination=\"BD\" request_bytes=0 response_bytes=5 \
         duration_ms=12.345",
        " INFO trace::output: looked up",
        "ERROR tower_lifecycle: GET /users/44 - in 12.3ms, service_failed in handler method=\"GET\" \
         path=/users/44 route=\"/users/{id}\" error_type=\"service_failed\" termination=\"SH\" \
         request_bytes=0 response_bytes=0 duration_ms=12.345",
    ];
    assert_eq!(written(routed().level(LevelFilter::OFF)).await, lines);
}

#[tokio::test]
async fn a_brief_span_leaves_room_for_what_is_said_inside() {
    let span = "HTTP request{http.request.method=\"GET\" url.path=\"/users/42\" \
                http.route=\"/users/{id}\"}";
    let lines = [
        format!(" INFO {span}: trace::output: looked up"),
        format!(
            " INFO {span}: tower_lifecycle: GET /users/42 200 in 12.3ms, complete status=200 \
             termination=\"--\" request_bytes=0 response_bytes=15 duration_ms=12.345"
        ),
    ];
    assert_eq!(written(routed().brief()).await[..2], lines);
}

#[tokio::test]
async fn the_summary_does_not_repeat_its_span() {
    let line = " INFO HTTP request{otel.name=\"GET /users/{id}\" otel.kind=\"server\" \
                http.request.method=\"GET\" url.scheme=\"http\" url.path=\"/users/42\" \
                url.query=\"page=2\" http.route=\"/users/{id}\" network.protocol.version=\"1.1\" \
                http.response.status_code=200}: tower_lifecycle: GET /users/42 200 in 12.3ms, \
                complete status=200 termination=\"--\" request_bytes=0 response_bytes=15 \
                duration_ms=12.345";
    assert_eq!(written(routed()).await[1], line);
}

#[tokio::test]
async fn a_path_brings_no_characters_that_a_terminal_obeys() {
    let (capture, _guard) = Capture::start();
    let mut request = get("/");
    *request.uri_mut() = Uri::try_from("/a\u{9b}31m\u{202e}b".as_bytes()).unwrap();
    exchange(LifecycleLayer::new(Trace::new()), request, reply(200, MockBody::empty())).await;
    let told = "/a%C2%9B31m%E2%80%AEb";
    assert_eq!(text(&capture.event("lifecycle.begin").values, "path"), told);
    let close = capture.event("lifecycle.close").values;
    assert!(text(&close, "message").starts_with(&format!("GET {told} 200 in ")), "{close:?}");
}
