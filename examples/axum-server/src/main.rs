//! axum-server with TLS: a client that leaves is seen below TLS, also where hyper does not read on.
//!
//! A handshake that fails is axum-server's own affair, and no connection to the observer.
//!
//! `cargo run -p tower-lifecycle-example-axum-server`

mod certificate;
mod seam;

use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::State, routing::get};
use axum_server::{Handle, tls_rustls::RustlsAcceptor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
    time,
};
use tokio_rustls::client::TlsStream;
use tower_lifecycle::{Hooks, LifecycleLayer};

use certificate::Certificate;
use seam::{Seam, Watch};

/// A long poll for what does not come.
async fn poll(State(parked): State<Arc<Notify>>) {
    parked.notify_one();
    std::future::pending::<()>().await;
}

async fn connect(
    addr: SocketAddr,
    certificate: &Certificate,
) -> Result<TlsStream<TcpStream>, Box<dyn Error>> {
    let stream = TcpStream::connect(addr).await?;
    Ok(certificate.connector().connect("localhost".try_into()?, stream).await?)
}

async fn story() -> Result<(), Box<dyn Error>> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let tell_too = tell.clone();
    let observer = Hooks::new()
        .on_close(move |summary| {
            println!("  exchange    {}", summary.close);
            let _ = tell.send(summary.close.to_string());
        })
        .on_connection_close(move |summary| {
            let line = format!("{} by {}", summary.close.reason, summary.close.initiator);
            println!("  connection  {line}");
            let _ = tell_too.send(line);
        });
    let certificate = Certificate::new()?;
    let parked = Arc::new(Notify::new());
    let app = Router::new()
        .route("/", get(async || "hello"))
        .route("/poll", get(poll))
        .with_state(Arc::clone(&parked));

    let lifecycle = LifecycleLayer::new(observer).cancel_on_disconnect();
    let tls = RustlsAcceptor::new(certificate.config.clone()).acceptor(Watch);
    let handle = Handle::new();
    let server = axum_server::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .handle(handle.clone())
        .acceptor(Seam { lifecycle, inner: tls })
        .serve(app.into_make_service());
    tokio::spawn(server);
    let addr = handle.listening().await.ok_or("the server does not listen")?;

    println!("A client that stays");
    let mut client = connect(addr, &certificate).await?;
    client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    assert!(answer.ends_with("hello"));
    hear(&mut told, "complete, by local, known by io").await;
    hear(&mut told, "complete by local").await;

    println!("\nA client that leaves, behind a byte that hyper does not read");
    let mut client = connect(addr, &certificate).await?;
    client.write_all(b"GET /poll HTTP/1.1\r\nhost: localhost\r\n\r\nG").await?;
    parked.notified().await;
    client.shutdown().await?;
    hear(&mut told, "disconnected in handler, by peer, known by io").await;
    hear(&mut told, "disconnected by peer").await;
    Ok(())
}

async fn hear(told: &mut mpsc::UnboundedReceiver<String>, line: &str) {
    assert_eq!(told.recv().await.as_deref(), Some(line));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let told = time::timeout(Duration::from_secs(10), story()).await;
    told.map_err(|_| "the story does not come to its end")?
}
