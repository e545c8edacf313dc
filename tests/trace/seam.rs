//! What a connection adds.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Bytes, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::timeout,
};
use tower_lifecycle::{Hooks, LifecycleLayer, RouteLayer, trace::Trace};

use super::capture::{Capture, Value};

/// More than the buffers of two sockets.
const MUCH: usize = 32 << 20;

#[tokio::test]
async fn a_span_is_open_until_its_response_is_flushed() {
    let (capture, _guard) = Capture::start();
    let ended = Arc::new(Notify::new());
    let hooks = Hooks::new().on_response_end({
        let ended = Arc::clone(&ended);
        move |_| ended.notify_one()
    });
    let app: Router = Router::new()
        .route("/users/{id}", get(async || Bytes::from(vec![b'x'; MUCH])).layer(RouteLayer::new()));
    let lifecycle = LifecycleLayer::new((Trace::new(), hooks)).with_handle();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = axum::serve(lifecycle.listener(listener), lifecycle.make_service(app));
    let task = tokio::spawn(serve.into_future());

    let mut client = TcpStream::connect(addr).await.unwrap();
    client
        .write_all(b"GET /users/42 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    timeout(Duration::from_secs(10), ended.notified()).await.unwrap();
    let before = capture.only();
    assert_eq!((before.closed, before.inside), (0, 0));

    let mut received = Vec::with_capacity(MUCH);
    timeout(Duration::from_secs(10), client.read_to_end(&mut received)).await.unwrap().unwrap();
    let span = capture.only();
    span.assert_closed();
    // Once at least for its end alone: `tracing-opentelemetry` takes the last exit for that.
    assert!(span.entered > before.entered);
    assert_eq!(span.text("network.peer.address"), "127.0.0.1");
    assert_eq!(span.text("client.address"), "127.0.0.1");
    let port = i64::from(client.local_addr().unwrap().port());
    assert_eq!(span.values["network.peer.port"], Value::I64(port));
    assert_eq!(span.text("otel.name"), "GET /users/{id}");
    task.abort();
}
