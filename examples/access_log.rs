//! An access log: one line for each exchange, when it is over, with the times of its phases and two characters that say who
//! ended it, and in which phase.
//!
//! It plays its own clients: some ask and wait, one leaves in the middle of a stream, one cuts its upload off, one gives up
//! before there is an answer.
//!
//! `cargo run --example access_log --features access-log,axum`, and `-- --json` for the other form

use std::{
    convert::Infallible, env, error::Error, future::pending, io, net::SocketAddr, time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::StatusCode,
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use tokio::{net::TcpListener, time};
use tower_lifecycle::{
    LifecycleLayer, RouteLayer,
    access_log::{AccessLog, Format},
    testing::{Client, LeakCheck, Leaver, Phase, Way},
};

/// Five pieces, each of which takes its time.
async fn report() -> Body {
    let pieces = stream::iter(0..5).then(async |piece| {
        time::sleep(Duration::from_millis(40)).await;
        Ok::<_, Infallible>(format!("piece {piece}\n"))
    });
    Body::from_stream(pieces)
}

/// Says something, and then nothing until its client leaves.
async fn feed() -> Body {
    let said = stream::iter([Ok::<_, Infallible>("hello\n")]);
    Body::from_stream(said.chain(stream::pending()))
}

/// A long poll for what does not come.
async fn poll() {
    pending::<()>().await;
}

/// Answers with the length.
async fn upload(body: Bytes) -> String {
    body.len().to_string()
}

async fn fails() -> StatusCode {
    time::sleep(Duration::from_millis(15)).await;
    StatusCode::INTERNAL_SERVER_ERROR
}

/// A stream that breaks.
async fn breaks() -> Body {
    Body::from_stream(stream::iter([
        Ok("so far so good\n"),
        Err(io::Error::other("the disk is gone")),
    ]))
}

fn app() -> Router {
    Router::new()
        .route("/", get(async || "Hello\n"))
        .route("/users/{id}", get(async || "a user\n"))
        .route("/reports/{name}", get(report))
        .route("/feed", get(feed))
        .route("/poll", get(poll))
        .route("/upload", post(upload))
        .route("/fails", get(fails))
        .route("/breaks", get(breaks))
        .route_layer(RouteLayer::new())
}

/// The clients, one after the other.
async fn play(addr: SocketAddr, leaks: &LeakCheck) -> io::Result<()> {
    for path in [
        "/",
        "/users/7?sig=secret&page=2",
        "/nowhere/\"quoted\"",
        "/reports/today",
        "/fails",
        "/breaks",
    ] {
        let mut client = Client::connect(addr).await?;
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: demo \"1.0\"\r\n");
        client.send(head + "connection: close\r\n\r\n").await?;
        client.read_to_end().await?;
        leaks.settled().await;
    }
    for leaver in [
        Leaver::http1(Phase::Response, Way::Fin).path("/feed?after=7"),
        Leaver::http2(Phase::Response, Way::StreamReset(8)).path("/feed?after=7"),
        Leaver::http1(Phase::Handler, Way::Reset).path("/poll"),
        Leaver::http1(Phase::Upload, Way::Fin).path("/upload"),
    ] {
        let begun = leaks.begun() + 1;
        let _connection = leaver.leave_when(addr, leaks.until_begun(begun)).await?;
        leaks.settled().await;
    }
    Ok(())
}

async fn story(log: AccessLog) -> io::Result<()> {
    let leaks = LeakCheck::new();
    let lifecycle = LifecycleLayer::new((log.user_agent(), leaks.clone())).with_handle();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let (listener, service) = (lifecycle.listener(listener), lifecycle.make_service(app()));
    tokio::spawn(async { axum::serve(listener, service).await });
    play(addr, &leaks).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let json = env::args().any(|argument| argument == "--json");
    let (log, guard) = AccessLog::stdout(if json { Format::Json } else { Format::Text })?;
    let told = time::timeout(Duration::from_secs(20), story(log)).await;
    told.map_err(|_| "the story does not come to its end")??;
    match guard.close() {
        Some(0) => Ok(()),
        Some(lost) => Err(format!("{lost} lines could not be written").into()),
        None => Err("the output takes too long".into()),
    }
}
