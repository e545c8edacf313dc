//! The client role: hyper-util's client against a server that does as it is told.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use axum::{Router, routing::get};
use http::{Request, Version};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry::trace::{SpanKind, Status};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Semaphore,
};
use tower::{Layer, ServiceExt};
use tower_lifecycle::{LifecycleLayer, otel::Otel, semconv::Conventions, testing::MockBody};

use crate::support::{
    facts::FACTS,
    show::{ANY, Attributes, expected, told},
    stand::{Stand, attribute, duration},
    until, within,
};

/// What the server answers, what the caller does, and what is told of it.
#[derive(Clone, Copy, Debug)]
struct Row {
    what: &'static str,
    /// `None` where nobody listens.
    answer: Option<&'static str>,
    /// The server closes behind its answer.
    closes: bool,
    version: &'static str,
    leaves: Option<Phase>,
    status: Option<i64>,
    error: Option<&'static str>,
    termination: &'static str,
}

/// Where the caller loses interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Body,
}

const fn row(what: &'static str, answer: &'static str) -> Row {
    let answer = Some(answer);
    let (leaves, status, error) = (None, None, None);
    Row { what, answer, closes: false, version: "1.1", leaves, status, error, termination: "--" }
}

impl Row {
    const fn status(self, status: i64) -> Self {
        Self { status: Some(status), ..self }
    }

    const fn closes(self) -> Self {
        Self { closes: true, ..self }
    }

    const fn version(self, version: &'static str) -> Self {
        Self { version, ..self }
    }

    const fn leaves(self, phase: Phase, termination: &'static str) -> Self {
        Self { leaves: Some(phase), termination, ..self }
    }

    const fn ends(self, error: &'static str, termination: &'static str) -> Self {
        Self { error: Some(error), termination, ..self }
    }

    const fn nobody_listens(self) -> Self {
        Self { answer: None, ..self }
    }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("ok", "200 OK\r\ncontent-length: 5\r\n\r\nhello").status(200),
    row("an old server", "200 OK\r\ncontent-length: 5\r\n\r\nhello").version("1.0").status(200),
    row("no content", "204 No Content\r\n\r\n").status(204),
    row("redirected", "302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n").status(302),
    row("not found", "404 Not Found\r\ncontent-length: 0\r\n\r\n").status(404).ends("404", "--"),
    row("fails", "500 Internal Server Error\r\ncontent-length: 0\r\n\r\n").status(500).ends("500", "--"),
    row("the caller leaves before the head", "").leaves(Phase::Head, "CH"),
    row("the caller leaves within the body", "200 OK\r\ncontent-length: 10\r\n\r\nhello").status(200).leaves(Phase::Body, "CD"),
    row("the caller leaves within the body of an error", "500 Oh\r\ncontent-length: 10\r\n\r\nhello").status(500).leaves(Phase::Body, "CD"),
    row("nobody listens", "").nobody_listens().ends("service_failed", "SH"),
    row("the server breaks the body off", "200 OK\r\ncontent-length: 10\r\n\r\nhello").status(200).closes().ends("disconnected", "SD"),
    row("the server sends a malformed body", "200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").status(200).ends("response_failed", "BD"),
];

/// Answers one request on one connection.
async fn serve(listener: TcpListener, row: Row, asked: Arc<Semaphore>, heads: Arc<Semaphore>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the head comes");
    }
    let head = String::from_utf8(request).unwrap();
    if head.contains("traceparent: 00-") {
        heads.add_permits(1);
    }
    asked.add_permits(1);
    if let Some(answer) = row.answer.filter(|answer| !answer.is_empty()) {
        stream.write_all(format!("HTTP/{} {answer}", row.version).as_bytes()).await.unwrap();
    }
    if row.closes {
        return;
    }
    // Until the client leaves.
    let _ = stream.read_buf(&mut Vec::new()).await;
}

async fn play(row: Row, otel: &Otel) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (asked, traced) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let server = match row.answer {
        None => {
            drop(listener);
            None
        }
        Some(_) => {
            Some(tokio::spawn(serve(listener, row, Arc::clone(&asked), Arc::clone(&traced))))
        }
    };
    let client = Client::builder(TokioExecutor::new()).build::<_, _>(HttpConnector::new());
    let layer = LifecycleLayer::new(otel.clone()).client().hyper_errors().known_error::<Error>();
    let service = layer.layer(otel.inject().layer(client));
    let request = Request::get(format!("http://user:s3cret@{addr}/users/7?sig=s3cret&a=1"));
    let request = request.header("user-agent", "conformance/1").body(MockBody::empty()).unwrap();
    let response = service.oneshot(request);
    match row.leaves {
        Some(Phase::Head) => tokio::select! {
            _ = response => panic!("there is no answer"),
            _ = asked.acquire() => {}
        },
        Some(Phase::Body) => {
            let mut body = response.await.unwrap().into_body();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
        }
        None => {
            // It may fail, as told.
            if let Ok(response) = response.await {
                let _ = response.into_body().collect().await;
            }
        }
    }
    if let Some(server) = server {
        if row.leaves.is_none() {
            server.abort();
        }
        assert_eq!(traced.available_permits(), 1, "{}: the server is told of the trace", row.what);
    }
    addr
}

impl Row {
    /// The version is the response's: a request does not say which it got.
    fn common(&self, addr: SocketAddr) -> Attributes {
        let mut attributes = expected([
            ("http.request.method", "GET".into()),
            ("server.address", "127.0.0.1".into()),
            ("server.port", i64::from(addr.port()).into()),
        ]);
        if let Some(status) = self.status {
            attributes.extend(expected([
                ("http.response.status_code", status.into()),
                ("network.protocol.version", self.version.into()),
            ]));
        }
        attributes.extend(self.error.map(|error| ("error.type".to_owned(), error.into())));
        attributes
    }

    fn span(&self, addr: SocketAddr) -> Attributes {
        let mut attributes = self.common(addr);
        let url = format!("http://REDACTED:REDACTED@{addr}/users/7?sig=REDACTED&a=1");
        attributes.extend(expected([
            ("tower_lifecycle.termination", self.termination.into()),
            ("url.full", url.into()),
        ]));
        if self.status.is_some() {
            attributes.insert("tower_lifecycle.response.head.duration".to_owned(), ANY.into());
        }
        if self.leaves.is_some() {
            attributes.insert("tower_lifecycle.outcome".to_owned(), "cancelled".into());
        }
        attributes
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_situation_of_a_client_is_told_as_the_conventions_have_it() {
    for row in ROWS {
        let what = row.what;
        let stand = Stand::new();
        let addr = within(what, play(*row, &stand.otel())).await;
        let (span, sample) = within(what, stand.only()).await;

        assert_eq!(span.name, "GET", "{what}");
        assert_eq!(span.span_kind, SpanKind::Client, "{what}");
        let status = row.error.map_or(Status::Unset, |_| Status::error(""));
        assert_eq!(span.status, status, "{what}");
        assert_eq!(told(&span.attributes), row.span(addr), "{what}");
        FACTS.check_span(&span, &[]);

        let metrics: Vec<_> =
            stand.points().iter().map(|point| (point.metric.clone(), point.count)).collect();
        assert_eq!(metrics, [("http.client.request.duration".to_owned(), 1)], "{what}");
        assert_eq!(told(&sample.attributes), row.common(addr), "{what}");
        assert_eq!(sample.value.to_bits(), duration(&span).as_secs_f64().to_bits(), "{what}");
        FACTS.check_point(&sample, &[]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_situation_of_a_client_is_told_by_all_metrics_too() {
    for row in ROWS {
        let what = row.what;
        let stand = Stand::new();
        let addr = within(what, play(*row, &stand.builder().all_metrics().build())).await;
        let (span, sample) = within(what, stand.only()).await;
        FACTS.check_span(&span, &["http.request.body.size", "http.response.body.size"]);
        assert_eq!(told(&sample.attributes), row.common(addr), "{what}");
        until(what, || {
            let active = stand.of("http.client.active_requests");
            active.len() == 1 && active[0].value == 0.0
        })
        .await;
        let points = stand.points();
        for point in &points {
            FACTS.check_point(point, &[]);
        }
        let metrics: BTreeSet<_> = points.iter().map(|point| &*point.metric).collect();
        assert!(metrics.contains("http.client.request.body.size"), "{what}: {metrics:?}");
        let has_size = metrics.contains("http.client.response.body.size");
        assert_eq!(has_size, row.status.is_some(), "{what}: {metrics:?}");
        assert!(metrics.iter().all(|metric| !metric.contains("server")), "{what}: {metrics:?}");
    }
}

#[tokio::test]
async fn the_version_is_the_one_that_was_spoken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = Router::new().route("/", get(async || "hello"));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    for (http2, version) in [(false, "1.1"), (true, "2")] {
        let stand = Stand::new();
        let client = Client::builder(TokioExecutor::new())
            .http2_only(http2)
            .build::<_, _>(HttpConnector::new());
        let service = LifecycleLayer::new(stand.otel()).client().layer(client);
        let request = Request::get(format!("http://{addr}/")).body(MockBody::empty()).unwrap();
        assert_eq!(request.version(), Version::HTTP_11);
        let response = within(version, service.oneshot(request)).await.unwrap();
        response.into_body().collect().await.unwrap();
        let (span, sample) = within(version, stand.only()).await;
        for attributes in [&span.attributes, &sample.attributes] {
            assert_eq!(attribute(attributes, "network.protocol.version").as_deref(), Some(version));
        }
    }
    server.abort();
}

#[tokio::test]
async fn a_users_word_for_an_error_is_its_type() {
    let stand = Stand::new();
    let conventions = Conventions::new().errors(|error| {
        error.downcast_ref::<Error>().is_some_and(Error::is_connect).then_some("connect_error")
    });
    let row = row("nobody listens", "").nobody_listens();
    play(row, &stand.builder().conventions(conventions).build()).await;
    let (span, sample) = stand.only().await;
    for attributes in [&span.attributes, &sample.attributes] {
        assert_eq!(attribute(attributes, "error.type").as_deref(), Some("connect_error"));
    }
    assert_eq!(span.status, Status::error(""));
}

#[tokio::test]
async fn a_template_is_told_where_a_user_has_one() {
    let stand = Stand::new();
    let conventions = Conventions::new().route(|_| Some("/users/{id}".into()));
    let row = row("ok", "200 OK\r\ncontent-length: 5\r\n\r\nhello");
    play(row, &stand.builder().conventions(conventions).build()).await;
    let (span, sample) = stand.only().await;
    assert_eq!(span.name, "GET /users/{id}");
    for attributes in [&span.attributes, &sample.attributes] {
        assert_eq!(attribute(attributes, "url.template").as_deref(), Some("/users/{id}"));
    }
    FACTS.check_span(&span, &["url.template"]);
    FACTS.check_point(&sample, &["url.template"]);
}
