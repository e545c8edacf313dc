//! What is seen where no system tells that a peer has left: `scripts/test elsewhere` builds this and the library so. On Linux,
//! as it is, the watch is armed.
#![cfg(feature = "axum")]

use std::{future::pending, net::SocketAddr, time::Duration};

use axum::{Extension, Router, routing::get};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tower_lifecycle::{
    ExchangeHandle, LifecycleLayer, Reason,
    handle::{Blind, DisconnectWatch},
    testing::{Client, Recorder},
};

const WATCHED: bool =
    cfg!(all(any(target_os = "linux", target_os = "android"), not(lifecycle_unwatched)));

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// A long poll that nobody answers, and the handles of its exchanges.
async fn serve(recorder: &Recorder) -> (SocketAddr, mpsc::UnboundedReceiver<ExchangeHandle>) {
    let (tell, told) = mpsc::unbounded_channel();
    let park = async move |Extension(exchange): Extension<ExchangeHandle>| {
        tell.send(exchange).unwrap();
        pending::<()>().await;
    };
    let app: Router = Router::new().route("/", get(park));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let lifecycle = LifecycleLayer::new(recorder.clone()).with_handle();
    let (listener, service) = (lifecycle.listener(listener), lifecycle.make_service(app));
    tokio::spawn(async { axum::serve(listener, service).await });
    (addr, told)
}

#[tokio::test]
async fn a_handle_says_whether_its_client_would_be_seen_to_leave() {
    let (addr, mut told) = serve(&Recorder::new()).await;
    let mut client = Client::connect(addr).await.unwrap();
    client.send(GET).await.unwrap();
    let expected =
        if WATCHED { DisconnectWatch::Armed } else { DisconnectWatch::Blind(Blind::NotWatchable) };
    assert_eq!(told.recv().await.unwrap().disconnect_watch(), expected);
}

#[tokio::test]
async fn what_the_server_reads_is_seen_everywhere() {
    let recorder = Recorder::new();
    let (addr, mut told) = serve(&recorder).await;
    let mut client = Client::connect(addr).await.unwrap();
    client.send(GET).await.unwrap();
    told.recv().await.unwrap();
    client.close().unwrap();
    assert_eq!(recorder.settled(1).await[0].reason(), Reason::Disconnected);
}

#[tokio::test]
async fn what_it_does_not_read_is_seen_where_there_is_a_watch() {
    let (addr, mut told) = serve(&Recorder::new()).await;
    let mut client = Client::connect(addr).await.unwrap();
    client.send(format!("{GET}G")).await.unwrap();
    let exchange = told.recv().await.unwrap();
    client.close().unwrap();
    let patience = Duration::from_millis(if WATCHED { 10_000 } else { 100 });
    let seen = timeout(patience, exchange.disconnected()).await;
    assert_eq!(seen.is_ok(), WATCHED);
}
