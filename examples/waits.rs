//! Who waited on whom: three slow exchanges, each slow for another reason, and what `Interest::WAITS` tells of them.
//!
//! `cargo run --example waits`

use std::{convert::Infallible, error::Error, iter::repeat_n, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use futures_util::stream;
use tokio::{net::TcpListener, time};
use tower_lifecycle::{EventKind, Events, Interest, LifecycleLayer, observe, testing::Client};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long somebody is slow.
const PAUSE: Duration = Duration::from_millis(200);

/// A stream that has its only item after a while.
async fn produce() -> Body {
    Body::from_stream(stream::once(async {
        time::sleep(PAUSE).await;
        Ok::<_, Infallible>("here it is")
    }))
}

/// 32 MiB in frames: more than the operating system buffers for a client that does not read.
async fn much() -> Body {
    static FRAME: [u8; 64 << 10] = [b'.'; 64 << 10];
    let frame = Ok::<_, Infallible>(Bytes::from_static(&FRAME));
    Body::from_stream(stream::iter(repeat_n(frame, 512)))
}

async fn ask(addr: SocketAddr, line: &str, rest: &str) -> Result<Client> {
    let mut client = Client::connect(addr).await?;
    let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{rest}");
    client.send(head).await?;
    Ok(client)
}

/// Prints who waited how long in the next exchange that is over. The `slowest` column is to be the longest.
async fn next(events: &mut Events, slowest: usize) -> Result<()> {
    let summary = loop {
        if let EventKind::Close(summary) = events.recv().await.ok_or("the server is gone")?.kind {
            break summary;
        }
    };
    let path = summary.uri.as_ref().map_or("", |uri| uri.path());
    let request = summary.request.wait().ok_or("no waits of the request")?;
    let response = summary.response.wait().ok_or("no waits of the response")?;
    let waits = [request.producer, request.consumer, response.producer, response.consumer];
    let [a, b, c, d] = waits.map(|wait| format!("{} ms", wait.as_millis()));
    println!("{path:<10}{a:>10}{b:>10}{c:>12}{d:>10}");
    assert_eq!(waits.iter().max(), Some(&waits[slowest]), "{path} is slow for another reason");
    Ok(())
}

async fn story() -> Result<()> {
    let (observer, mut events) = observe::channel(64);
    let observer = observer.with_interest(Interest::CLOSE | Interest::URI | Interest::WAITS);
    let app = Router::new()
        .route("/upload", post(async |body: String| body))
        .route("/produce", get(produce))
        .route("/much", get(much))
        .layer(LifecycleLayer::new(observer));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, app).await });

    println!("            request waits for     response waits for");
    println!("              client   handler     service    client");
    let mut slow_upload = ask(addr, "POST /upload", "content-length: 10\r\n\r\nhello").await?;
    time::sleep(PAUSE).await;
    slow_upload.send("world").await?;
    slow_upload.read_to_end().await?;
    next(&mut events, 0).await?;

    ask(addr, "GET /produce", "\r\n").await?.read_to_end().await?;
    next(&mut events, 2).await?;

    let mut slow_reader = ask(addr, "GET /much", "\r\n").await?;
    slow_reader.read_until("\r\n\r\n").await?;
    time::sleep(PAUSE).await;
    slow_reader.read_to_end().await?;
    next(&mut events, 3).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let told = time::timeout(Duration::from_secs(10), story()).await;
    told.map_err(|_| "the story does not come to its end")?
}
