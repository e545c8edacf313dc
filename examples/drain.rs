//! Stopping a server by a deadline: `Drain`. A poll is parked, a stream does not end, and a handler ignores everything and blocks its
//! thread. Clients are told the truth, and the report names who was in the way.
//!
//! `cargo run --example drain --features axum,inflight,park`

use std::{error::Error, fmt::Display, net::SocketAddr, thread, time::Duration};

use axum::{Router, body::Body, routing::get};
use tokio::{net::TcpListener, runtime, task::JoinHandle, time};
use tower_lifecycle::{
    ExchangeHandle, LifecycleLayer,
    inflight::{Drain, InFlight, Open},
    park::Lot,
    testing::{Client, MockBody},
};

const DEADLINE: Duration = Duration::from_secs(2);

/// A long poll for what does not come.
async fn poll(lot: Lot<&'static str>, exchange: ExchangeHandle) -> String {
    let Ok(slot) = lot.park("mailbox") else { return "no room".to_owned() };
    let outcome = slot.of(&exchange).wait(Duration::from_secs(60), async || None::<()>).await;
    format!("{outcome:?}")
}

async fn ignore() {
    thread::sleep(Duration::from_secs(60));
}

/// Sends a request, and says what there is after the head of the answer.
async fn ask(addr: SocketAddr, path: &'static str) -> Result<JoinHandle<()>, Box<dyn Error>> {
    let mut client = Client::connect(addr).await?;
    client.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await?;
    Ok(tokio::spawn(async move {
        let _ = client.read_until("\r\n\r\n").await;
        match client.read_to_end().await {
            Ok(body) => say("client", format_args!("{path}: {:?}", String::from_utf8_lossy(&body))),
            Err(error) => say("client", format_args!("{path}: {error}")),
        }
    }))
}

async fn story(server: &runtime::Runtime) -> Result<(), Box<dyn Error>> {
    let (inflight, lot) = (InFlight::new(), Lot::default());
    let drain = Drain::new(&inflight).lot(&lot, DEADLINE / 10);
    let app = Router::new()
        .route("/poll", get(move |exchange| poll(lot, exchange)))
        .route("/stream", get(async || Body::new(MockBody::hangs_after(1))))
        .route("/ignore", get(ignore))
        .layer(drain.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await?.into_std()?;
    let addr = listener.local_addr()?;
    let lifecycle = LifecycleLayer::new(inflight.clone()).with_handle();
    let begun = drain.begun();
    server.spawn(async move {
        let listener = lifecycle.listener(TcpListener::from_std(listener)?);
        axum::serve(listener, lifecycle.make_service(app)).with_graceful_shutdown(begun).await
    });

    let mut clients = Vec::new();
    for path in ["/poll", "/stream", "/ignore"] {
        clients.push(ask(addr, path).await?);
        while inflight.counts().open < clients.len() {
            time::sleep(Duration::from_millis(1)).await;
        }
    }

    say("server", format_args!("is to stop, by {DEADLINE:?}"));
    let report = drain.run(DEADLINE).await;
    for client in clients.drain(..2) {
        client.await?;
    }
    say("report", &report);
    assert_eq!((report.ended, report.cancelled.len()), (1, 2));
    assert_eq!(report.left.iter().map(Open::path).collect::<Vec<_>>(), ["/ignore"]);
    Ok(())
}

fn say(who: &str, what: impl Display) {
    println!("  {who:<9} {what}");
}

// The server has threads of its own: while one of them is blocked its timers and signals may stand still.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    let told = time::timeout(Duration::from_secs(10), story(&server)).await;
    // Nobody waits for the one that ignores everything.
    server.shutdown_background();
    told.map_err(|_| "the story does not come to its end")?
}
