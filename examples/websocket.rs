//! A WebSocket of axum's: its exchange is over at the start, its connection when the socket is.
//!
//! A guard in the socket's task tells what has passed and when it is over. Over HTTP/2, where the connection has other streams,
//! nothing else would.
//!
//! `cargo run --example websocket --features axum`

use std::{error::Error, fmt::Display, time::Duration};

use axum::{
    Router,
    extract::ws::{Message, WebSocketUpgrade},
    response::Response,
    routing::any,
};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time,
};
use tokio_tungstenite::{client_async, tungstenite};
use tower_lifecycle::{Connection, ExchangeHandle, Hooks, LifecycleLayer};

async fn echo(exchange: ExchangeHandle, upgrade: WebSocketUpgrade) -> Response {
    let guard = exchange.connection().map(Connection::guard_upgrade);
    upgrade.on_upgrade(async move |mut socket| {
        while let Some(Ok(Message::Text(text))) = socket.recv().await {
            if let Some(guard) = &guard {
                guard.received(text.len() as u64);
            }
            if socket.send(Message::Text(text)).await.is_err() {
                break;
            }
        }
    })
}

async fn story() -> Result<(), Box<dyn Error>> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let say_and_tell = move |what: &str, line: String| {
        say(what, &line);
        let _ = tell.send(line);
    };
    let (exchange, upgrade, connection) =
        (say_and_tell.clone(), say_and_tell.clone(), say_and_tell);
    let observer = Hooks::new()
        .on_close(move |summary| exchange("exchange", summary.close.to_string()))
        .on_upgrade_close(move |summary| {
            let (reason, received) = (summary.close.reason, summary.received);
            upgrade("upgrade", format!("{reason}, {received} bytes of text"));
        })
        .on_connection_close(move |summary| {
            let (reason, upgrades) = (summary.close.reason, summary.upgrades);
            connection("connection", format!("{reason}, upgrades: {upgrades}"));
        });
    let app = Router::new().route("/", any(echo));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let lifecycle = LifecycleLayer::new(observer).with_handle();
    let (listener, service) = (lifecycle.listener(listener), lifecycle.make_service(app));
    tokio::spawn(async { axum::serve(listener, service).await });

    let stream = TcpStream::connect(addr).await?;
    let (mut socket, _) = client_async(format!("ws://{addr}/"), stream).await?;
    hear(&mut told, "upgraded, by local, known by io").await;

    for text in ["how", "are", "you?"] {
        socket.send(tungstenite::Message::text(text)).await?;
        let echo = socket.next().await.ok_or("the socket is closed")??;
        say("client", format_args!("has {echo}"));
    }
    assert!(told.try_recv().is_err(), "the connection lives, and nothing is over");

    socket.close(None).await?;
    while socket.next().await.is_some() {}
    hear(&mut told, "complete, upgrades: 1").await;
    hear(&mut told, "complete, 10 bytes of text").await;
    Ok(())
}

async fn hear(told: &mut mpsc::UnboundedReceiver<String>, line: &str) {
    assert_eq!(told.recv().await.as_deref(), Some(line));
}

fn say(who: &str, what: impl Display) {
    println!("  {who:<10} {what}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let told = time::timeout(Duration::from_secs(10), story()).await;
    told.map_err(|_| "the story does not come to its end")?
}
