//! `Server`: what `axum::serve` leaves out. An HTTP/2 response is proven to be flushed, and the end is bounded.
//!
//! `cargo run --example serve --features hyper`

use std::{error::Error, fmt::Display, future, io, sync::Arc, time::Duration};

use axum::{Router, extract::State, routing::get};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, oneshot},
    time,
};
use tower_lifecycle::{
    Hooks, LifecycleLayer, Server,
    testing::{Client, Http2Frame},
};

#[derive(Clone, Default)]
struct Work {
    begun: Arc<Notify>,
    /// The work is done.
    done: Arc<Notify>,
}

async fn slow(State(work): State<Work>) -> &'static str {
    work.begun.notify_one();
    work.done.notified().await;
    "done"
}

async fn stuck(State(work): State<Work>) {
    work.begun.notify_one();
    future::pending::<()>().await;
}

async fn story() -> Result<(), Box<dyn Error>> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let observer = Hooks::new()
        .on_finish(|finish| say("observer", format_args!("finish: {finish}")))
        .on_close(move |summary| {
            let path = summary.uri.as_ref().map_or("", |uri| uri.path());
            let line = format!("{path} {}", summary.close);
            say("observer", &line);
            let _ = tell.send(line);
        });
    let work = Work::default();
    let app = Router::new()
        .route("/", get(async || "hello"))
        .route("/slow", get(slow))
        .route("/stuck", get(stuck))
        .with_state(work.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    // In a program of yours: `async { tokio::signal::ctrl_c().await.unwrap_or(()) }`.
    let (stop, stopped) = oneshot::channel::<()>();
    let server = Server::new(listener, LifecycleLayer::new(observer))
        .header_timeout(Duration::from_secs(5))
        .grace(Duration::from_millis(200))
        .serve_until(app, async { drop(stopped.await) });
    let server = tokio::spawn(server);

    println!("HTTP/2");
    let mut client = Client::connect(addr).await?;
    client.request(1, "GET", "/", [], true).await?;
    client.read_frames_until(Http2Frame::ends_stream).await?;
    hear(&mut told, "/ complete, by local, known by io").await;

    println!("\nThe server is told to stop while two requests are open");
    for (stream, path) in [(3, "/slow"), (5, "/stuck")] {
        client.request(stream, "GET", path, [], true).await?;
        work.begun.notified().await;
    }
    drop(stop);
    client.read_frames_until(|frame| frame.kind == Http2Frame::GOAWAY).await?;
    say("client", "is asked to send no more requests");
    work.done.notify_one();
    client.read_frames_until(Http2Frame::ends_stream).await?;
    hear(&mut told, "/slow complete, by local, known by io").await;
    hear(&mut told, "/stuck shutdown in handler, by local, known by io").await;

    let Err(error) = server.await? else { return Err("nothing had to be dropped".into()) };
    say("server", &error);
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
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
