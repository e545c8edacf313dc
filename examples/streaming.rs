//! A streaming handler whose producer stops at once when its client leaves in the middle of the response.
//!
//! The producer is a task that waits for prices and feeds the body through a channel. `ExchangeHandle::closed()` tells it.
//! Without, it notices with its next send, after work for nobody, and as long as there is no price it does not notice at all.
//!
//! `cargo run --example streaming`

use std::{
    convert::Infallible,
    error::Error,
    fmt::Display,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Extension, Router, body::Body, extract::State, routing::get, serve::ListenerExt};
use futures_util::stream;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time,
};
use tower_lifecycle::{Close, ExchangeHandle, Hooks, LifecycleLayer, testing::Client};

#[derive(Clone, Default)]
struct Market {
    price: watch::Sender<u32>,
    /// How many items were made of prices.
    made: Arc<AtomicU32>,
}

type Items = mpsc::Sender<Result<String, Infallible>>;

/// With the feature `axum` it may ask for the handle itself, without `Extension`.
async fn told(
    State(market): State<Market>,
    Extension(exchange): Extension<ExchangeHandle>,
) -> Body {
    let (items, body) = channel();
    let work = produce(market, items);
    tokio::spawn(async move {
        tokio::select! {
            // The close is looked at first: no item is made when there is a price as well.
            biased;
            _ = exchange.closed() => say("producer", "is told, and stops"),
            () = work => {}
        }
    });
    body
}

async fn untold(State(market): State<Market>) -> Body {
    let (items, body) = channel();
    tokio::spawn(produce(market, items));
    body
}

/// Makes an item of each price.
fn produce(market: Market, items: Items) -> impl Future<Output = ()> {
    let mut prices = market.price.subscribe();
    async move {
        while prices.changed().await.is_ok() {
            let price = *prices.borrow_and_update();
            let made = market.made.fetch_add(1, Ordering::Relaxed) + 1;
            say("producer", format_args!("makes item {made}"));
            if items.send(Ok(format!("price {price}\n"))).await.is_err() {
                return say("producer", "finds nobody who takes it, and stops");
            }
        }
    }
}

/// A body, and what feeds it.
fn channel() -> (Items, Body) {
    let (items, mut taken) = mpsc::channel(1);
    (items, Body::from_stream(stream::poll_fn(move |cx| taken.poll_recv(cx))))
}

/// The client takes two items and leaves. Returns how many were made after that.
async fn visit(
    addr: SocketAddr,
    path: &str,
    market: &Market,
    closes: &mut mpsc::UnboundedReceiver<Close>,
) -> Result<u32, Box<dyn Error>> {
    market.made.store(0, Ordering::Relaxed);
    let mut client = Client::connect(addr).await?;
    client.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await?;
    client.read_until("\r\n\r\n").await?;
    for price in [10, 11] {
        market.price.send(price)?;
        client.read_until(format!("price {price}\n")).await?;
    }
    let before = market.made.load(Ordering::Relaxed);
    say("client", format_args!("has {before} items, and leaves"));
    client.close()?;
    let close = closes.recv().await.ok_or("the server is gone")?;
    assert_eq!(close.to_string(), "unknown in response, by unknown, known by drop");

    tokio::select! {
        // Nobody waits for a price any more.
        () = market.price.closed() => {}
        () = time::sleep(Duration::from_millis(100)) => {
            say("market", "had no price for 100 ms, while the producer waits for one; here it is");
            market.price.send(12)?;
            market.price.closed().await;
        }
    }
    let after = market.made.load(Ordering::Relaxed) - before;
    println!("  items made after the client left: {after}");
    Ok(after)
}

async fn story() -> Result<(), Box<dyn Error>> {
    let (tell, mut closes) = mpsc::unbounded_channel();
    let observer = Hooks::new().on_close(move |summary| {
        say("observer", summary.close);
        let _ = tell.send(summary.close);
    });
    let market = Market::default();
    let app = Router::new()
        .route("/told", get(told))
        .route("/untold", get(untold))
        .layer(LifecycleLayer::new(observer).with_handle())
        .with_state(market.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    // Else Nagle's algorithm holds small items back.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    tokio::spawn(async { axum::serve(listener, app).await });

    println!("A producer that is told");
    let after = visit(addr, "/told", &market, &mut closes).await?;
    assert_eq!(after, 0, "a producer that is told makes nothing for nobody");
    println!("\nA producer that is not");
    let after = visit(addr, "/untold", &market, &mut closes).await?;
    assert_eq!(after, 1, "a producer that is not told finds out by one item");
    Ok(())
}

fn say(who: &str, what: impl Display) {
    println!("  {who:<9} {what}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let told = time::timeout(Duration::from_secs(10), story()).await;
    told.map_err(|_| "the story does not come to its end")?
}
