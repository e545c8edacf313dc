//! The event channel: a task that receives what happens as owned events, and what is counted when it is slow.
//!
//! No exchange waits for the reader. What finds no place is dropped or missed, but what has begun is told to its close.
//!
//! `cargo run --example events`

use std::{error::Error, time::Duration};

use axum::{Router, routing::get};
use tokio::{net::TcpListener, time};
use tower_lifecycle::{
    ChannelObserver, EventKind, Events, LifecycleLayer, observe, testing::Client,
};

#[derive(Debug, Default, PartialEq)]
struct Tally {
    begun: u64,
    closed: u64,
    dropped_events: u64,
    missed_exchanges: u64,
}

/// Reads until there will be no more events, which is when the server and its connections are gone.
async fn read(mut events: Events) -> Tally {
    let mut tally = Tally::default();
    while let Some(event) = events.recv().await {
        print!("  reader  exchange {} {}", event.exchange, event.kind);
        match event.kind {
            EventKind::Begin { method, uri, .. } => {
                tally.begun += 1;
                println!(": {method} {uri}");
            }
            EventKind::Close(summary) => {
                tally.closed += 1;
                println!(": {} bytes, {}", summary.response.bytes, summary.close);
            }
            _ => println!(),
        }
    }
    tally.dropped_events = events.dropped_events();
    tally.missed_exchanges = events.missed_exchanges();
    println!("  reader  {tally:?}");
    tally
}

/// A server, and a client that asks it three times on one connection.
async fn serve_three(observer: ChannelObserver) -> Result<(), Box<dyn Error>> {
    let app =
        Router::new().route("/hello", get(async || "Hello")).layer(LifecycleLayer::new(observer));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let server = tokio::spawn(async { axum::serve(listener, app).await });

    let mut client = Client::connect(addr).await?;
    for number in 1..=3 {
        client.send("GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        client.read_until("Hello").await?;
        println!("  client  has response {number}");
    }
    client.close()?;
    server.abort();
    Ok(())
}

async fn story() -> Result<(), Box<dyn Error>> {
    println!("64 places, a reader that keeps up");
    let (observer, events) = observe::channel(64);
    let reader = tokio::spawn(read(events));
    serve_three(observer).await?;
    let all = Tally { begun: 3, closed: 3, ..Tally::default() };
    assert_eq!(reader.await?, all, "nothing is lost");

    // The first exchange takes a place for its begin and one for its close, and fills the other three.
    println!("\n5 places, a reader that comes late");
    let (observer, events) = observe::channel(5);
    serve_three(observer).await?;
    let reader = tokio::spawn(read(events));
    let some = Tally { begun: 1, closed: 1, dropped_events: 2, missed_exchanges: 2 };
    assert_eq!(reader.await?, some, "what is lost is counted, and no close is");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let told = time::timeout(Duration::from_secs(10), story()).await;
    told.map_err(|_| "the story does not come to its end")?
}
