//! The seam for `axum::serve`: the layer knows what has left, who is gone, and how connections end.
//!
//! A response is finished when it was flushed. A client that leaves a parked handler is seen to leave, though it has sent a
//! byte of a next request, behind which hyper does not read on.
//!
//! `cargo run --example seam --features axum`

use std::{error::Error, fmt::Display, net::SocketAddr, time::Duration};

use axum::{Extension, Router, extract::ConnectInfo, routing::get};
use tokio::{net::TcpListener, sync::mpsc, time};
use tower_lifecycle::{
    ConnectionSummary, Disconnect, ExchangeHandle, Finish, LifecycleLayer, Listener, Observer,
    RequestHead, Summary,
    handle::DisconnectWatch,
    testing::{Client, Leaver, Phase, Way},
};

type Lines = mpsc::UnboundedSender<String>;

/// Writes down what a layer alone does not know.
#[derive(Clone)]
struct Log(Lines);

impl Log {
    fn line(&self, line: String) {
        say("observer", &line);
        let _ = self.0.send(line);
    }
}

impl Observer for Log {
    type State = Self;

    fn begin(&self, _: &RequestHead<'_>) -> Option<Self> {
        Some(self.clone())
    }

    fn on_connection_close(&self, summary: &ConnectionSummary) {
        let ConnectionSummary { close, exchanges, .. } = summary;
        self.line(format!("connection: {}, exchanges: {exchanges}", close.reason));
    }
}

impl Listener for Log {
    fn on_disconnect(&mut self, disconnect: Disconnect) {
        self.line(format!("{}, known by {}", disconnect.reason, disconnect.evidence));
    }

    fn on_finish(&mut self, finish: Finish) {
        self.line(format!("finish: {finish}"));
    }

    fn on_close(&mut self, summary: &Summary) {
        self.line(format!("exchange: {}", summary.close));
    }
}

/// axum's own extractor works as it does without the seam.
async fn greet(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
    format!("hello {peer}")
}

/// A long poll for what does not come.
async fn poll(Extension(parked): Extension<Lines>, exchange: ExchangeHandle) {
    assert_eq!(exchange.disconnect_watch(), DisconnectWatch::Armed);
    say("handler", "is parked");
    let _ = parked.send("parked".to_owned());
    if exchange.disconnected().await.is_some() {
        say("handler", "is told, and gives up");
    }
}

async fn story() -> Result<(), Box<dyn Error>> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (park, mut parked) = mpsc::unbounded_channel::<String>();
    let app = Router::new()
        .route("/", get(greet))
        .route("/poll", get(poll))
        .layer(Extension(park))
        .into_make_service_with_connect_info::<SocketAddr>();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;

    let lifecycle = LifecycleLayer::new(Log(tell)).with_handle();
    let (listener, service) = (lifecycle.listener(listener), lifecycle.make_service(app));
    tokio::spawn(async { axum::serve(listener, service).await });

    println!("A response is flushed");
    let mut client = Client::connect(addr).await?;
    client.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    client.read_until(format!("hello {}", client.local_addr()?)).await?;
    hear(&mut told, "finish: flushed").await;
    hear(&mut told, "exchange: complete, by local, known by io").await;
    client.close()?;
    hear(&mut told, "connection: complete, exchanges: 1").await;

    println!("\nA client leaves, behind a byte that hyper does not read");
    let leaver = Leaver::http1(Phase::Handler, Way::PipelinedFin).path("/poll");
    leaver.leave_when(addr, async { drop(parked.recv().await) }).await?;
    hear(&mut told, "disconnected, known by io").await;
    // To the operating system, that is: it is never delivery.
    hear(&mut told, "finish: flushed").await;
    hear(&mut told, "exchange: complete, by local, known by io").await;
    hear(&mut told, "connection: complete, exchanges: 1").await;
    Ok(())
}

async fn hear(told: &mut mpsc::UnboundedReceiver<String>, line: &str) {
    assert_eq!(told.recv().await.as_deref(), Some(line));
}

fn say(who: &str, what: impl Display) {
    println!("  {who:<9} {what}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let told = time::timeout(Duration::from_secs(10), story()).await;
    told.map_err(|_| "the story does not come to its end")?
}
