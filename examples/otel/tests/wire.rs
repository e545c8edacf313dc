//! Through the wire: what real collectors are told by the real program.

mod support;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use support::{
    collector::Collector,
    expected::{self, ENVIRONMENT, ROUND},
    program::{Ended, Program},
    python::Receiver,
    told::text,
};

async fn round(endpoint: &str, protocol: &str) -> Ended {
    let exporter =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)];
    Program::start(&["--requests", ROUND], &[&exporter[..], &ENVIRONMENT].concat()).ended().await
}

#[tokio::test]
async fn a_collector_is_told_everything_over_grpc() {
    let collector = Collector::grpc().await;
    let ended = round(&collector.endpoint(), "grpc").await;
    assert_eq!(ended.stderr, "");
    expected::check(&collector.told());
}

#[tokio::test]
async fn a_collector_is_told_everything_over_http() {
    let collector = Collector::http().await;
    let ended = round(&collector.endpoint(), "http/protobuf").await;
    assert_eq!(ended.stderr, "");
    expected::check(&collector.told());
}

#[tokio::test]
async fn a_collector_in_another_language_is_told_the_same() {
    let receiver = Receiver::start().await;
    let ended = round(&receiver.endpoint(), "http/protobuf").await;
    assert_eq!(ended.stderr, "");
    expected::check(&receiver.told().await);
}

#[tokio::test]
async fn who_terminates_the_server_loses_nothing() {
    let collector = Collector::http().await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint())];
    let mut program = Program::start(&["--no-client"], &environment);
    let mut client = TcpStream::connect(program.address().await).await.expect("it listens");
    client.write_all(b"GET /users/1 HTTP/1.1\r\nhost: shop\r\n\r\n").await.expect("it reads");
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.expect("it answers");
    assert_eq!(answer, *b"HTTP/1.1 200");
    program.terminate().await;
    let ended = program.ended().await;
    assert_eq!(
        (ended.stdout.last().map(|line| &**line), &*ended.stderr),
        (Some("SIGTERM: ending"), "")
    );
    let told = collector.told();
    let names: Vec<_> = told.spans().iter().map(|(_, span)| span.name.clone()).collect();
    assert_eq!(names, ["GET /users/{id}"]);
    assert_eq!(told.histogram("http.server.request.duration").len(), 1);
    assert_eq!(told.histogram("tower_lifecycle.server.connection.duration").len(), 1);
}

#[tokio::test]
async fn only_the_methods_that_the_environment_lists_are_known() {
    let collector = Collector::http().await;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint()),
        ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "BREW,POST"),
    ];
    Program::start(&["--requests", ROUND], &environment).ended().await;
    let told = collector.told();
    let spans = told.spans();
    let mut methods: Vec<_> = spans
        .iter()
        .filter_map(|(_, span)| text(&span.attributes, "http.request.method"))
        .collect();
    methods.sort();
    methods.dedup();
    assert_eq!(methods, ["BREW", "POST", "_OTHER"]);
}

#[tokio::test]
async fn without_a_collector_spans_and_metrics_are_readable_lines() {
    let Ended { stdout, stderr } = Program::start(&["--requests", ROUND], &[]).ended().await;
    assert_eq!(stderr, "");
    let has =
        |parts: &[&str]| stdout.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["OTEL_EXPORTER_OTLP_ENDPOINT"]), "{stdout:#?}");
    assert!(has(&["server", "GET /users/{id}", "200"]), "{stdout:#?}");
    assert!(
        has(&["server", "GET /stream", "200", "error.type=disconnected", "termination=CD"]),
        "{stdout:#?}"
    );
    assert!(has(&["client", "GET /stream", "200", "outcome=cancelled"]), "{stdout:#?}");
    assert!(has(&["http.server.request.duration", "10 samples"]), "{stdout:#?}");
    assert!(has(&["http.server.active_requests", " 0 now"]), "{stdout:#?}");
}

/// Nobody listens there.
#[tokio::test]
async fn a_collector_that_is_away_is_told_of_once_and_waited_for_not_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    for protocol in ["grpc", "http/protobuf"] {
        let ended = round(&endpoint, protocol).await;
        warned(&ended);
    }
}

/// Somebody accepts, and says nothing.
#[tokio::test]
async fn a_collector_that_hangs_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    for protocol in ["grpc", "http/protobuf"] {
        let ended = round(&endpoint, protocol).await;
        warned(&ended);
    }
}

/// A few lines that say what to do, and not one for each export.
fn warned(ended: &Ended) {
    let lines = ended.stderr.lines().count();
    assert!(ended.stderr.contains("warning: ") && (1..=3).contains(&lines), "{}", ended.stderr);
}
