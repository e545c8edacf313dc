//! One line adds it to an axum router; prints one line for each exchange.
//!
//! `cargo run --example axum`, then `curl localhost:3000/`.

use axum::{Router, routing::get};
use tower_lifecycle::{Hooks, LifecycleLayer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = Hooks::new().on_close(|summary| {
        println!(
            "{} {} -> {} {} bytes in {:?}: {}",
            summary.method,
            summary.uri.as_ref().map_or("", |uri| uri.path()),
            summary.status.map_or(0, |status| status.as_u16()),
            summary.response.bytes,
            summary.duration().unwrap_or_default(),
            summary.close,
        );
    });
    let app =
        Router::new().route("/", get(async || "Hello, world!\n")).layer(LifecycleLayer::new(log));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
