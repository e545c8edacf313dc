//! The seam for an accept loop over hyper-util: of each connection, and of those that never came to a request.
//!
//! `cargo run --example hyper_auto --features hyper`

use std::{convert::Infallible, error::Error, io, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{rt::TokioExecutor, server::conn::auto, service::TowerToHyperService};
use tokio::{net::TcpListener, sync::mpsc, time};
use tower::service_fn;
use tower_lifecycle::{Hooks, LifecycleLayer, Observer, RequestBody, testing::Client};

type Lines = mpsc::UnboundedReceiver<String>;

/// Two lines are the seam: the stream and the service are wrapped, both by the same layer.
async fn serve<O: Observer>(
    listener: TcpListener,
    lifecycle: LifecycleLayer<O>,
) -> io::Result<Infallible> {
    let service = service_fn(async |_: Request<RequestBody<Incoming>>| {
        Ok::<_, Infallible>(Response::new("hello".to_owned()))
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let (io, service) = lifecycle.connection(stream, service);
        tokio::spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            builder.serve_connection_with_upgrades(io, TowerToHyperService::new(service)).await
        });
    }
}

async fn story() -> Result<(), Box<dyn Error>> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let say = move |line: String| {
        println!("  {line}");
        let _ = tell.send(line);
    };
    let say_too = say.clone();
    let observer = Hooks::new()
        .on_close(move |summary| {
            let ordinal = summary.ordinal.unwrap_or_default();
            say(format!("exchange {ordinal}: {}", summary.close));
        })
        .on_connection_close(move |summary| {
            let (close, received) = (summary.close, summary.received);
            say_too(format!("{} by {}, {received} bytes", close.reason, close.initiator));
        });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(serve(listener, LifecycleLayer::new(observer)));

    println!("Two requests");
    let mut client = Client::connect(addr).await?;
    for ordinal in 1..=2 {
        client.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        client.read_until("hello").await?;
        hear(&mut told, &format!("exchange {ordinal}: complete, by local, known by io")).await;
    }
    client.close()?;
    hear(&mut told, "complete by peer, 70 bytes").await;

    println!("\nNo HTTP, which no exchange tells of");
    let mut client = Client::connect(addr).await?;
    client.send("hello?\r\n\r\n").await?;
    client.read_until("400 Bad Request").await?;
    hear(&mut told, "head_rejected by local, 10 bytes").await;

    println!("\nNothing at all");
    Client::connect(addr).await?.close()?;
    hear(&mut told, "no_request by peer, 0 bytes").await;
    Ok(())
}

async fn hear(told: &mut Lines, line: &str) {
    assert_eq!(told.recv().await.as_deref(), Some(line));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let told = time::timeout(Duration::from_secs(10), story()).await;
    told.map_err(|_| "the story does not come to its end")?
}
