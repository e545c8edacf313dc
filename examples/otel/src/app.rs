//! The server: handlers as anybody would write them.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Path,
    http::StatusCode,
    response::sse::{Event, Sse},
    routing::{get, post},
};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::sleep;
use tower_lifecycle::RouteLayer;

pub(crate) fn app() -> Router {
    Router::new()
        .route("/users/{id}", get(user))
        .route("/stream", get(stream))
        .route("/events", get(events))
        .route("/slow", get(slow))
        .route("/fail", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/upload", post(upload))
        .layer(RouteLayer::new())
}

async fn user(Path(id): Path<u64>) -> String {
    find_user(id).await
}

/// A span of its own, which is the child of the exchange's: whatever a handler does, is done inside of that.
#[tracing::instrument]
async fn find_user(id: u64) -> String {
    sleep(Duration::from_millis(5)).await;
    format!("user {id}\n")
}

/// A second's worth of chunks. Its span and its sample are a second long.
async fn stream() -> Body {
    Body::from_stream(ticks(10).map(|tick| Ok::<_, Infallible>(format!("chunk {tick}\n"))))
}

/// Server-sent events: their sample is in the metric for streams.
async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(ticks(5).map(|tick| Ok(Event::default().data(format!("event {tick}")))))
}

async fn slow() -> &'static str {
    sleep(Duration::from_millis(300)).await;
    "at last\n"
}

async fn upload(body: Bytes) -> String {
    format!("{} bytes\n", body.len())
}

/// One each 100 milliseconds.
fn ticks(most: u32) -> impl Stream<Item = u32> {
    stream::iter(0..most).then(async |tick| {
        sleep(Duration::from_millis(100)).await;
        tick
    })
}
