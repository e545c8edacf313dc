//! A layer inside of a router, below a seam that observes nothing: what stands around it may have dropped the exchange.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::StatusCode,
    routing::{any, post},
};
use tokio::sync::mpsc;
use tower_http::timeout::TimeoutLayer;
use tower_lifecycle::{
    LifecycleLayer,
    testing::{Client, Http2Frame, Recorder},
};

use crate::support::seams::{Seam, Serving, builder};

struct Inner {
    recorder: Recorder,
    serving: Serving,
    begun: mpsc::UnboundedReceiver<()>,
}

impl Inner {
    /// Handlers that wait for ever, one of them for its body, with `around` the layer.
    async fn start(seam: Seam, around: impl FnOnce(Router) -> Router) -> Self {
        let recorder = Recorder::new();
        let (begins, begun) = mpsc::unbounded_channel();
        let begins = move || begins.send(()).unwrap();
        let begins_reading = begins.clone();
        let app = Router::new()
            .route(
                "/park",
                any(async move || {
                    begins();
                    std::future::pending::<()>().await;
                }),
            )
            .route(
                "/read",
                post(async move |body: Body| {
                    begins_reading();
                    let _ = axum::body::to_bytes(body, 100).await;
                }),
            )
            .layer(
                LifecycleLayer::new(recorder.clone())
                    .standalone()
                    .known_error::<axum::Error>()
                    .hyper_errors(),
            );
        let outer = LifecycleLayer::new(()).with_connection();
        let serving = seam.serve(builder(), &outer, around(app)).await;
        Self { recorder, serving, begun }
    }

    async fn assert_verdict(&self, verdict: &str) {
        self.recorder.settled(1).await;
        let exchange = self.recorder.only();
        assert_eq!(exchange.close().to_string(), verdict, "{exchange}");
    }
}

#[tokio::test]
async fn a_timeout_around_it_cancels() {
    for seam in Seam::ALL {
        let times_out = |app: Router| {
            let soon = Duration::from_millis(20);
            app.layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, soon))
        };
        let inner = Inner::start(seam, times_out).await;
        let mut client = Client::connect(inner.serving.addr).await.unwrap();
        client.send("GET /park HTTP/1.1\r\n\r\n").await.unwrap();
        client.read_until("504").await.unwrap();
        inner.assert_verdict("cancelled in handler, by local, known by drop").await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_seen_by_the_connection() {
    for seam in Seam::ALL {
        for resets in [false, true] {
            let mut inner = Inner::start(seam, |app| app).await;
            let mut client = Client::connect(inner.serving.addr).await.unwrap();
            client.send("GET /park HTTP/1.1\r\n\r\n").await.unwrap();
            inner.begun.recv().await.unwrap();
            if resets { client.reset() } else { client.close() }.unwrap();
            let reason = if resets { "reset" } else { "disconnected" };
            inner.assert_verdict(&format!("{reason} in handler, by peer, known by io")).await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_unknown() {
    for seam in Seam::ALL {
        let mut inner = Inner::start(seam, |app| app).await;
        let mut client = Client::connect(inner.serving.addr).await.unwrap();
        client.request(1, "GET", "/park", [], true).await.unwrap();
        inner.begun.recv().await.unwrap();
        client.rst_stream(1, Http2Frame::CANCEL).await.unwrap();
        inner.assert_verdict("unknown in handler, by unknown, known by drop").await;
    }
}

#[tokio::test]
async fn a_stream_whose_request_body_says_so_was_reset() {
    for seam in Seam::ALL {
        let mut inner = Inner::start(seam, |app| app).await;
        let mut client = Client::connect(inner.serving.addr).await.unwrap();
        client.request(1, "POST", "/read", [], false).await.unwrap();
        inner.begun.recv().await.unwrap();
        client.rst_stream(1, Http2Frame::CANCEL).await.unwrap();
        inner.assert_verdict("stream_reset in request, by peer, known by frame").await;
    }
}
