//! What handlers see of their connection through the seam for `axum::serve`, and sockets of another kind.

use std::net::SocketAddr;

use axum::{Extension, Router, extract::ConnectInfo, routing::get};
use tokio::net::TcpListener;
use tower_lifecycle::{
    Address, Connection, LifecycleLayer,
    testing::{Client, Recorder},
};

#[tokio::test]
async fn handlers_are_told_their_peer_by_axum_and_by_the_connection() {
    let recorder = Recorder::new();
    let lifecycle = LifecycleLayer::new(recorder.clone()).with_connection();
    let handler = async |ConnectInfo(peer): ConnectInfo<SocketAddr>,
                         Extension(connection): Extension<Connection>| {
        assert_eq!(connection.peer_addr().and_then(Address::ip), Some(peer));
        format!("you are {peer}!")
    };
    let app = Router::new().route("/", get(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let make_service =
        lifecycle.make_service(app.into_make_service_with_connect_info::<SocketAddr>());
    let listener = lifecycle.listener(listener);
    let serving = tokio::spawn(async { axum::serve(listener, make_service).await });
    let mut client = Client::connect(addr).await.unwrap();
    client.send("GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let answer = client.read_until("!").await.unwrap();
    let expected = format!("you are {}!", client.local_addr().unwrap());
    assert!(answer.ends_with(expected.as_bytes()), "{answer:?}");
    recorder.settled(1).await;
    assert_eq!(recorder.only().close().to_string(), "complete, by local, known by io");
    serving.abort();
}

#[cfg(unix)]
mod unix {
    use std::future::pending;

    use hyper_util::service::TowerToHyperService;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{UnixListener, UnixStream},
        sync::mpsc,
    };
    use tower_lifecycle::{
        ConnectionReason, ExchangeHandle, Reason, Server, handle::DisconnectWatch,
    };

    use super::{Address, LifecycleLayer, Recorder, Router, get};
    use crate::support::seams::{Seam, builder};

    /// Serves by `seam` a handler that answers and one that waits, and has a client ask each, which then sends `more` and leaves.
    async fn visit(seam: Seam, more: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let recorder = Recorder::new();
        let lifecycle = LifecycleLayer::new(recorder.clone()).with_handle();
        let (tells, mut begun) = mpsc::unbounded_channel();
        let parks = async move |handle: ExchangeHandle| {
            tells.send(handle).unwrap();
            pending::<()>().await;
        };
        let app = Router::new().route("/", get(async || "hello")).route("/park", get(parks));
        let serving = tokio::spawn(async move {
            match seam {
                Seam::Axum => {
                    let listener = lifecycle.listener(listener);
                    axum::serve(listener, lifecycle.make_service(app)).await.unwrap();
                }
                Seam::Serve => Server::new(listener, lifecycle).serve(app).await.unwrap(),
                Seam::Connection => {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (io, service) = lifecycle.connection(stream, app);
                    let service = TowerToHyperService::new(service);
                    let _ = builder().serve_connection(io, service).await;
                }
            }
        });
        let mut client = UnixStream::connect(&path).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            assert!(client.read_buf(&mut answer).await.unwrap() > 0);
        }
        client.write_all(b"GET /park HTTP/1.1\r\n\r\n").await.unwrap();
        client.write_all(more.as_bytes()).await.unwrap();
        let handle = begun.recv().await.unwrap();
        assert_eq!(handle.disconnect_watch(), DisconnectWatch::Armed, "{seam:?}");
        drop(client);
        let gone = handle.disconnected().await.unwrap();
        assert_eq!(gone.reason, Reason::Disconnected, "{seam:?}");
        serving.abort();
        if seam != Seam::Axum {
            let exchanges = recorder.settled(2).await;
            assert_eq!(
                exchanges[0].close().to_string(),
                "complete, by local, known by io",
                "{seam:?}"
            );
            let closed = &recorder.disconnected(1).await[0];
            assert_eq!(closed.close.reason, ConnectionReason::Disconnected, "{seam:?}");
            assert_eq!(
                closed.connection.local_addr(),
                Some(&Address::Unix(Some(path))),
                "{seam:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_unix_socket_is_seen_like_any() {
        for seam in Seam::ALL {
            visit(seam, "").await;
        }
    }

    #[tokio::test]
    async fn a_unix_socket_is_seen_to_close_behind_a_pipelined_byte() {
        for seam in Seam::ALL {
            visit(seam, "G").await;
        }
    }
}
