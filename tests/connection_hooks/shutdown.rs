//! Servers that end: what is idle is closed, what is open is waited for, and what does not end in time is dropped.

use std::{io, time::Duration};

use axum::{Router, routing::get};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tower_lifecycle::{
    ConnectionReason as Is, ExchangeHandle, Initiator, LifecycleLayer, Reason, Server,
    testing::{Client, Recorder},
};

use crate::support::seams::within;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    Axum,
    Ours { grace: Option<Duration> },
}

struct Running {
    addr: std::net::SocketAddr,
    recorder: Recorder,
    begun: mpsc::UnboundedReceiver<ExchangeHandle>,
    go_on: std::sync::Arc<tokio::sync::Notify>,
    end: oneshot::Sender<()>,
    served: JoinHandle<io::Result<()>>,
}

/// A server whose handler waits until it is told to go on.
async fn start(which: Which) -> Running {
    let recorder = Recorder::new();
    let lifecycle = LifecycleLayer::new(recorder.clone()).with_handle();
    let (tells, begun) = mpsc::unbounded_channel();
    let go_on = std::sync::Arc::new(tokio::sync::Notify::new());
    let goes_on = std::sync::Arc::clone(&go_on);
    let handler = async move |handle: ExchangeHandle| {
        tells.send(handle).unwrap();
        goes_on.notified().await;
        "hello"
    };
    let app = Router::new().route("/", get(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel::<()>();
    let ended = async move { ended.await.unwrap() };
    let served = tokio::spawn(async move {
        match which {
            Which::Axum => {
                let listener = lifecycle.listener(listener);
                let serve = axum::serve(listener, lifecycle.make_service(app));
                serve.with_graceful_shutdown(ended).await
            }
            Which::Ours { grace } => {
                let server = Server::new(listener, lifecycle);
                let server = match grace {
                    Some(grace) => server.grace(grace),
                    None => server,
                };
                server.serve_until(app, ended).await
            }
        }
    });
    Running { addr, recorder, begun, go_on, end, served }
}

const GRACEFUL: [Which; 2] = [Which::Axum, Which::Ours { grace: None }];

#[tokio::test]
async fn what_is_idle_is_closed_by_the_server() {
    for which in GRACEFUL {
        let mut running = start(which).await;
        let mut idle = Client::connect(running.addr).await.unwrap();
        idle.send("GET / HTTP/1.1\r\n\r\n").await.unwrap();
        running.begun.recv().await.unwrap();
        running.go_on.notify_one();
        idle.read_until("hello").await.unwrap();
        running.end.send(()).unwrap();
        within("the end", running.served).await.unwrap().unwrap();
        assert!(idle.read_to_end().await.unwrap().is_empty());
        let summary = &running.recorder.disconnected(1).await[0];
        assert_eq!((summary.close.reason, summary.exchanges), (Is::Complete, 1), "{which:?}");
        assert_eq!(summary.close.initiator, Initiator::Local, "{which:?}");
    }
}

#[tokio::test]
async fn what_is_open_is_complete_before_the_server_ends() {
    for which in GRACEFUL {
        let mut running = start(which).await;
        let mut clients = Vec::new();
        for http2 in [false, true] {
            let mut client = Client::connect(running.addr).await.unwrap();
            if http2 {
                client.request(1, "GET", "/", [], true).await.unwrap();
            } else {
                client.send("GET / HTTP/1.1\r\n\r\n").await.unwrap();
            }
            running.begun.recv().await.unwrap();
            clients.push(client);
        }
        running.end.send(()).unwrap();
        let [http1, http2] = &mut clients[..] else { unreachable!() };
        let answers = async {
            running.go_on.notify_waiters();
            assert!(http1.read_to_end().await.unwrap().ends_with(b"hello"), "{which:?}");
            // Which answers the ping by which the server knows that its GOAWAY has come.
            while http2.read_frame().await.unwrap().is_some() {}
            http2.close().unwrap();
        };
        let (served, ()) = within("the end", async { tokio::join!(running.served, answers) }).await;
        served.unwrap().unwrap();
        for exchange in running.recorder.settled(2).await {
            assert_eq!(exchange.reason(), Reason::Complete, "{which:?} {exchange}");
        }
        for summary in running.recorder.disconnected(2).await {
            assert_eq!((summary.close.reason, summary.exchanges), (Is::Complete, 1), "{which:?}");
            assert_eq!(summary.close.initiator, Initiator::Local, "{which:?}");
        }
    }
}

#[tokio::test]
async fn what_is_not_done_when_the_grace_is_over_is_shut_down() {
    let mut running = start(Which::Ours { grace: Some(Duration::from_millis(20)) }).await;
    let mut http1 = Client::connect(running.addr).await.unwrap();
    http1.send("GET / HTTP/1.1\r\n\r\n").await.unwrap();
    running.begun.recv().await.unwrap();
    let mut http2 = Client::connect(running.addr).await.unwrap();
    for stream in [1, 3] {
        http2.request(stream, "GET", "/", [], true).await.unwrap();
        running.begun.recv().await.unwrap();
    }
    running.end.send(()).unwrap();
    let error = within("the end", running.served).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    for exchange in running.recorder.settled(3).await {
        let verdict = exchange.close().to_string();
        assert_eq!(verdict, "shutdown in handler, by local, known by io", "{exchange}");
    }
    let closed = running.recorder.disconnected(2).await;
    assert_eq!(closed.iter().map(|summary| summary.exchanges).sum::<u64>(), 3);
    for summary in closed {
        assert_eq!(summary.close.reason, Is::Shutdown);
        assert_eq!(summary.close.initiator, Initiator::Local);
    }
}
