//! Where a server may stand: behind TLS, on a Unix socket, and what is told of the network.

use axum::{Router, routing::get};
use http::Request;
use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};
use tower_lifecycle::{
    LifecycleLayer, Server,
    seam::TlsListener,
    testing::{Client, MockBody},
};

use crate::support::{
    certificate::Certificate,
    facts::FACTS,
    show::{ANY, expected, told},
    site::{Seam, Site},
    stand::{Stand, attribute},
    until, within,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_of_the_network_is_told_where_it_is_asked_for() {
    const MORE: [&str; 4] =
        ["client.port", "network.local.address", "network.local.port", "network.transport"];
    let stand = Stand::new();
    let site = Site::serve(Seam::Server, stand.builder().network().build()).await;
    let mut client = Client::connect(site.addr).await.unwrap();
    client.send("GET /users/7 HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    client.read_until("hello").await.unwrap();
    let (span, sample) = stand.only().await;
    FACTS.check_span(&span, &MORE);
    FACTS.check_point(&sample, &[]);
    let attributes = told(&span.attributes);
    let port = i64::from(client.local_addr().unwrap().port());
    let expected: [Value; 4] =
        [port.into(), "127.0.0.1".into(), i64::from(site.addr.port()).into(), "tcp".into()];
    for (name, value) in MORE.into_iter().zip(expected) {
        assert_eq!(attributes[name], value, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_the_scheme_is_https() {
    for protocol in ["http/1.1", "h2"] {
        let stand = Stand::new();
        let certificate = Certificate::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let lifecycle = LifecycleLayer::new(stand.otel());
        let listener = TlsListener::new(listener, certificate.acceptor.clone(), &lifecycle);
        let app: Router = Router::new().route("/", get(async || "hello"));
        let server = tokio::spawn(Server::new(listener, lifecycle).serve(app));

        let stream = TcpStream::connect(addr).await.unwrap();
        let connector = certificate.connector(protocol);
        let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let request = Request::get("https://localhost/").header("host", "localhost");
        let request = request.body(MockBody::empty()).unwrap();
        let response = if protocol == "h2" {
            let io = TokioIo::new(stream);
            let (mut send, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            send.send_request(request).await
        } else {
            let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            send.send_request(request).await
        };
        assert_eq!(response.unwrap().into_body().collect().await.unwrap().to_bytes(), "hello");

        let (span, sample) = within(protocol, stand.only()).await;
        FACTS.check_span(&span, &[]);
        let version = if protocol == "h2" { "2" } else { "1.1" };
        for attributes in [&span.attributes, &sample.attributes] {
            assert_eq!(attribute(attributes, "url.scheme").as_deref(), Some("https"));
            assert_eq!(attribute(attributes, "network.protocol.version").as_deref(), Some(version));
        }
        server.abort();
    }
}

#[tokio::test]
async fn over_a_unix_socket_there_are_no_addresses() {
    let stand = Stand::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let lifecycle = LifecycleLayer::new(stand.builder().connections().build());
    let app: Router = Router::new().route("/", get(async || "hello"));
    let server = tokio::spawn(Server::new(listener, lifecycle).serve(app));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    within("the response", stream.read_to_string(&mut response)).await.unwrap();
    assert!(response.ends_with("hello"), "{response}");

    let (span, sample) = stand.only().await;
    let common = expected([
        ("http.request.method", "GET".into()),
        ("http.response.status_code", 200.into()),
        ("network.protocol.version", "1.1".into()),
        ("url.scheme", "http".into()),
    ]);
    let mut of_span = expected([
        ("server.address", "localhost".into()),
        ("tower_lifecycle.response.head.duration", ANY.into()),
        ("tower_lifecycle.termination", "--".into()),
        ("url.path", "/".into()),
    ]);
    of_span.extend(common.clone());
    assert_eq!(told(&span.attributes), of_span);
    assert_eq!(told(&sample.attributes), common);
    let durations = || stand.of("tower_lifecycle.server.connection.duration");
    until("the end of the connection", || durations().len() == 1).await;
    let durations = durations();
    FACTS.check_point(&durations[0], &[]);
    assert_eq!(told(&durations[0].attributes), expected([("network.transport", "unix".into())]));
    server.abort();
}
