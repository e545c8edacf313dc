//! Over connections: through a seam, without one, over hyper alone, HTTP/2, IPv6 and Unix sockets.

use std::{future::pending, net::SocketAddr, time::Duration};

use axum::{Router, extract::Path, routing::any};
use bytes::Bytes;
use http::{HeaderName, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tower_lifecycle::{
    LifecycleLayer, RouteLayer, Server, inflight::InFlight, inspector::Inspector, testing::Client,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Anything below `/wait` is not answered.
fn app(inspector: Inspector) -> Router {
    let waits = any(async |Path(_): Path<String>| pending::<()>().await);
    let routes = Router::new().route("/wait/{*name}", waits).layer(RouteLayer::new());
    routes.nest_service("/inspector", inspector)
}

async fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// With everything that the layer is told here.
async fn site(
    tell: impl FnOnce(LifecycleLayer<InFlight>) -> LifecycleLayer<InFlight>,
    inspector: impl FnOnce(Inspector) -> Inspector,
) -> (SocketAddr, InFlight) {
    let (listener, addr) = bound().await;
    let inflight = InFlight::builder().request_headers([HeaderName::from_static("x-said")]).build();
    let app = app(inspector(Inspector::new(inflight.clone())));
    let lifecycle = tell(LifecycleLayer::new(inflight.clone()));
    let listener = lifecycle.listener(listener);
    tokio::spawn(async move { axum::serve(listener, lifecycle.make_service(app)).await });
    (addr, inflight)
}

/// Status and body.
async fn ask(addr: SocketAddr, path: &str) -> (u16, String) {
    let mut client = Client::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    client.send(request).await.unwrap();
    let answer = client.read_to_end().await.unwrap();
    let answer = std::str::from_utf8(&answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

async fn json(addr: SocketAddr, path: &str) -> Value {
    let (status, body) = ask(addr, path).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

async fn waits_at(addr: SocketAddr, inflight: &InFlight, head: impl AsRef<[u8]>) -> Client {
    let begun = inflight.counts().opened;
    let mut client = Client::connect(addr).await.unwrap();
    client.send(head).await.unwrap();
    until(|| inflight.counts().opened > begun).await;
    client
}

async fn until(is: impl Fn() -> bool) {
    let polls = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, polls).await.expect("it comes to be");
}

#[tokio::test]
async fn nested_in_axum_with_a_seam_it_shows_connections_and_itself() {
    let (addr, inflight) = site(LifecycleLayer::with_handle, |it| it).await;
    let head = "GET /wait/one?secret=1 HTTP/1.1\r\nhost: x\r\n\r\n";
    let client = waits_at(addr, &inflight, head).await;
    let peer = client.local_addr().unwrap().to_string();
    for path in ["/inspector", "/inspector/", "/inspector?asset=page.js", "/inspector/text"] {
        assert_eq!(ask(addr, path).await.0, 200, "{path}");
    }
    let all = json(addr, "/inspector/api/exchanges").await;
    let rows = all["exchanges"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "itself, too");
    assert_eq!(rows[1]["path"], "/inspector/api/exchanges");
    assert_eq!((&rows[0]["peer"], &rows[0]["route"]), (&json!(peer), &json!("/wait/{*name}")));
    assert_eq!(all["counts"]["connections"], 2);

    let story = json(addr, &format!("/inspector/api/exchanges/{}", rows[0]["id"])).await;
    let detail = &story["connection_detail"];
    assert_eq!((&detail["id"], &detail["peer"]), (&rows[0]["connection"], &json!(peer)));
    assert_eq!((&detail["local"], &detail["tls"]), (&json!(addr.to_string()), &Value::Null));
    assert_eq!((&detail["state"], &detail["upgraded"]), (&json!("busy"), &Value::Null));
    assert_eq!((&detail["exchanges"], &detail["open_exchanges"]), (&json!(1), &json!(1)));
    assert_eq!((&detail["received"], &detail["sent"]), (&json!(head.len()), &json!(0)));

    let connections = json(addr, "/inspector/api/connections").await;
    assert_eq!(connections["connections"][0]["id"], rows[0]["connection"]);
    let only =
        json(addr, &format!("/inspector/api/exchanges?connection={}", rows[0]["connection"])).await;
    assert_eq!(only["exchanges"].as_array().unwrap().len(), 1);
    let (_, text) = ask(addr, "/inspector/text?route=wait").await;
    assert!(text.contains("\n/wait/{*name} (1)\n") && text.contains(&peer), "{text}");

    // Gone, and what is known of it stays.
    drop(client);
    until(|| inflight.recent().iter().any(|closed| closed.path() == "/wait/one")).await;
    until(|| inflight.counts().connections == 0).await;
    let story = json(addr, &format!("/inspector/api/exchanges/{}", rows[0]["id"])).await;
    assert_eq!((&story["reason"], &story["termination"]), (&json!("disconnected"), &json!("CH")));
    let detail = &story["connection_detail"];
    assert_eq!((&detail["peer"], &detail["state"]), (&json!(peer), &Value::Null));
}

#[tokio::test]
async fn events_are_sent_as_they_come_and_the_place_is_given_back_when_the_reader_leaves() {
    let (addr, inflight) = site(LifecycleLayer::with_handle, |it| it.max_streams(1)).await;
    let mut reader = Client::connect(addr).await.unwrap();
    let path = "/inspector/api/events?interval=100ms&path=/wait";
    reader.send(format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n\r\n")).await.unwrap();
    let head = reader.read_until("event: snapshot\ndata: ").await.unwrap();
    let head = std::str::from_utf8(&head).unwrap().to_lowercase();
    assert!(head.contains("\r\ncontent-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("\r\nx-accel-buffering: no\r\n"), "{head}");
    let client = waits_at(addr, &inflight, "GET /wait/one HTTP/1.1\r\nhost: x\r\n\r\n").await;
    reader.read_until("\"opened\":[{\"id\":").await.unwrap();
    drop(client);
    reader.read_until("\"reason\":\"disconnected\"").await.unwrap();

    assert_eq!(ask(addr, "/inspector/api/events").await.0, 503);
    drop(reader);
    until(|| inflight.counts().open == 0).await;
    let mut reader = Client::connect(addr).await.unwrap();
    reader.send(format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n\r\n")).await.unwrap();
    reader.read_until("200 OK").await.unwrap();
}

#[tokio::test]
async fn a_reader_that_reads_nothing_holds_nobody_up() {
    let (addr, inflight) = site(LifecycleLayer::with_handle, |it| it).await;
    let path = "/inspector/api/events?interval=100ms";
    let head = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n\r\n");
    let _reader = waits_at(addr, &inflight, head).await;
    for _ in 0..300 {
        assert_eq!(ask(addr, "/inspector/api/counts").await.0, 200);
    }
}

#[tokio::test]
async fn what_is_sent_in_bytes_that_are_no_text_is_told() {
    let (addr, inflight) = site(LifecycleLayer::with_handle, |it| it).await;
    let head = b"GET /wait/%0d%0adata:%3c/script%3e\"{\xe4\xb8\x96}?x HTTP/1.1\r\nhost: x\r\nx-said: \xff\x9b2J<b>\r\n\r\n";
    let _client = waits_at(addr, &inflight, head).await;
    let (_, body) = ask(addr, "/inspector/api/exchanges?path=/wait").await;
    assert!(body.contains(r#""/wait/%0d%0adata:%3c/script%3e\"{\u4e16}""#), "{body}");
    let id = serde_json::from_str::<Value>(&body).unwrap()["exchanges"][0]["id"].clone();
    let (_, body) = ask(addr, &format!("/inspector/api/exchanges/{id}")).await;
    assert!(body.contains(r#"[["x-said","\ufffd\ufffd2J\u003cb\u003e"]]"#), "{body}");
    let (_, text) = ask(addr, "/inspector/text?path=/wait").await;
    assert!(text.contains(r"/wait/%0d%0adata:%3c/script%3e\x22{\xE4\xB8\x96}"), "{text}");
}

#[tokio::test]
async fn head_is_answered_without_a_body_and_the_connection_goes_on() {
    let (addr, _) = site(LifecycleLayer::with_handle, |it| it).await;
    let mut client = Client::connect(addr).await.unwrap();
    for path in ["", "/api/exchanges", "/api/events", "/text"] {
        let head = format!("HEAD /inspector{path} HTTP/1.1\r\nhost: {addr}\r\n\r\n");
        client.send(head).await.unwrap();
        let answer = client.read_until("\r\n\r\n").await.unwrap();
        let answer = std::str::from_utf8(&answer).unwrap().to_lowercase();
        assert!(answer.starts_with("http/1.1 200"), "{answer}");
        assert!(!answer.contains("content-length: 0\r\n"), "{answer}");
    }
    client.send(format!("OPTIONS /inspector HTTP/1.1\r\nhost: {addr}\r\n\r\n")).await.unwrap();
    let answer = client.read_until("\r\n\r\n").await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 405"), "{answer:?}");
}

#[tokio::test]
async fn a_seam_that_was_not_told_to_tell_the_connection_is_no_help() {
    let (addr, _) = site(|layer| layer, |it| it).await;
    let (status, body) = ask(addr, "/inspector/").await;
    assert!(status == 403 && body.contains("`with_connection`"), "{body}");
    let (addr, _) = site(LifecycleLayer::with_connection, |it| it).await;
    assert_eq!(ask(addr, "/inspector/").await.0, 200);
}

#[tokio::test]
async fn without_a_seam_axum_has_to_be_told_to_tell_who_asks() {
    let app = || app(Inspector::new(InFlight::new()));
    let (listener, addr) = bound().await;
    tokio::spawn(async move { axum::serve(listener, app()).await });
    assert_eq!(ask(addr, "/inspector/").await.0, 403);
    let (listener, addr) = bound().await;
    let service = app().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    assert_eq!(ask(addr, "/inspector/").await.0, 200);
}

#[tokio::test]
async fn over_hyper_it_is_the_service_of_a_listener_of_its_own_in_both_versions() {
    let (listener, addr) = bound().await;
    let lifecycle = LifecycleLayer::new(()).with_connection();
    let inspector = Inspector::new(InFlight::new());
    tokio::spawn(async move { Server::new(listener, lifecycle).serve(inspector).await });
    assert_eq!(ask(addr, "/").await.0, 200);
    assert_eq!(json(addr, "/api/counts").await["open"], 0);

    let stream = TcpStream::connect(addr).await.unwrap();
    let shake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = shake.await.unwrap();
    tokio::spawn(connection);
    for (host, status) in [(addr.to_string(), 200), ("evil.example".to_owned(), 403)] {
        let request = Request::get(format!("http://{host}/api/counts"));
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), status);
        let body = timeout(PATIENCE, response.into_body().collect()).await.unwrap().unwrap();
        assert!(!body.to_bytes().is_empty());
    }
}

#[tokio::test]
async fn over_ipv6_this_machine_may_look() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let addr = listener.local_addr().unwrap();
    let lifecycle = LifecycleLayer::new(()).with_connection();
    let inspector = Inspector::new(InFlight::new());
    tokio::spawn(async move { Server::new(listener, lifecycle).serve(inspector).await });
    assert_eq!(ask(addr, "/").await.0, 200);
}

#[cfg(unix)]
#[tokio::test]
async fn behind_a_unix_socket_there_is_mostly_a_proxy() {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{UnixListener, UnixStream},
    };

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let lifecycle = LifecycleLayer::new(()).with_connection();
    let app = app(Inspector::new(InFlight::new()));
    let listener = lifecycle.listener(listener);
    tokio::spawn(async move { axum::serve(listener, lifecycle.make_service(app)).await });
    let mut client = UnixStream::connect(&path).await.unwrap();
    let request = b"GET /inspector HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, client.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("Unix socket"), "{answer}");
}
