//! What this crate is tested with, for those who test with it: a recorder, bodies and clients that misbehave, a leak check.
//!
//! For dev-dependencies, with the feature `testing`. What waits does so for ten seconds, unless told, by tokio's clock. Where
//! that clock is paused, the ten seconds are over as soon as all tasks wait: do not pause it where there are sockets.
//!
//! # An observer
//!
//! needs no socket: a request is sent through the layer in memory. The body of the response stands for the server, which
//! reads it or drops it. [`MockBody`] makes each way to end happen.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use std::sync::{Arc, Mutex};
//! use http::{Request, Response};
//! use http_body_util::BodyExt;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_lifecycle::{Hooks, LifecycleLayer, testing::{BoxError, MockBody}};
//!
//! let lines = Arc::new(Mutex::new(Vec::new()));
//! let log = Arc::clone(&lines);
//! let observer = Hooks::new().on_close(move |summary| {
//!     log.lock().unwrap().push(format!("{}, {} bytes", summary.close.reason, summary.response.bytes));
//! });
//! let layer = LifecycleLayer::new(observer);
//! for reply in [MockBody::stream(2), MockBody::fails_after(1), MockBody::declares(15, 1)] {
//!     let service = service_fn(async |_: Request<_>| Ok::<_, BoxError>(Response::new(reply.clone())));
//!     let response = layer.layer(service).oneshot(Request::new(MockBody::empty())).await.unwrap();
//!     let _ = response.into_body().collect().await;
//! }
//! assert_eq!(
//!     *lines.lock().unwrap(),
//!     ["complete, 10 bytes", "response_failed, 5 bytes", "length_mismatch, 5 bytes"],
//! );
//! # }
//! ```
//!
//! An observer that wraps others, or is handed events by other means, asks [`Recording::assert_grammar`] whether what it
//! passes on is in order.
//!
//! # A handler
//!
//! is judged by what a [`Recorder`] around it heard: whether it read the request, what it answered, how far its stream
//! came. [`Recording::words`] says it in a line.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, body::Body, http::Request, routing::post};
//! use tower::ServiceExt;
//! use tower_lifecycle::{LifecycleLayer, testing::{MockBody, Recorder}};
//!
//! async fn upload(body: Body) -> &'static str {
//!     // Forgets to look whether all of it came.
//!     let _ = axum::body::to_bytes(body, 1000).await;
//!     "thank you"
//! }
//!
//! let recorder = Recorder::new();
//! let app: Router =
//!     Router::new().route("/", post(upload)).layer(LifecycleLayer::new(recorder.clone()));
//! let response = app.oneshot(Request::post("/").body(MockBody::fails_after(1))?).await?;
//! axum::body::to_bytes(response.into_body(), 1000).await?;
//!
//! assert_eq!(
//!     recorder.only().words(),
//!     "begin req.data req.error(request_failed) req.close(failed) \
//!      response(200) res.data res.end finish(released) close(request_failed)",
//! );
//! # Ok(()) }
//! ```
//!
//! # A service whose client leaves
//!
//! is served on loopback, since how a server notices is the server's. A [`Leaver`] is a row of a table: the [`Phase`] and
//! the [`Way`]; [`Leaver::all`] are all of them. Under any of them a service should neither leak an exchange, which
//! [`LeakCheck`] finds, nor hang. For what no row describes there is the [`Client`] itself.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::any};
//! use tokio::net::TcpListener;
//! use tower_lifecycle::{LifecycleLayer, testing::{LeakCheck, Leaver}};
//!
//! let leaks = LeakCheck::new();
//! let app: Router = Router::new()
//!     .route("/", any(async |body: String| body + "!"))
//!     .layer(LifecycleLayer::new(leaks.clone()));
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let addr = listener.local_addr()?;
//! tokio::spawn(async { axum::serve(listener, app).await });
//!
//! for (count, leaver) in (1..).zip(Leaver::all()) {
//!     let connection = leaver.leave_when(addr, leaks.until_begun(count)).await?;
//!     drop(connection);
//!     leaks.settled().await;
//! }
//! # Ok(()) }
//! ```
//!
//! A server drops the handler of a client that it knows to be gone. Where it does not know, because it does not read on,
//! the handler runs to its end: behind [`Way::PipelinedFin`], [`Way::GoAway`], or half an upload that nobody reads.
//!
//! # Times
//!
//! are exact with a clock that stands still until it is told to go on.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use std::time::Duration;
//! use http::{Request, Response};
//! use http_body_util::BodyExt;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_lifecycle::{LifecycleLayer, testing::{BoxError, ManualClock, MockBody, Recorder}};
//!
//! let (clock, recorder) = (ManualClock::new(), Recorder::new());
//! let layer = LifecycleLayer::new(recorder.clone()).with_clock(clock.clone());
//! let service = layer.layer(service_fn(async |_: Request<_>| {
//!     clock.advance(Duration::from_millis(20));
//!     Ok::<_, BoxError>(Response::new(MockBody::stream(1)))
//! }));
//! let response = service.oneshot(Request::new(MockBody::empty())).await.unwrap();
//! clock.advance(Duration::from_secs(1));
//! response.into_body().collect().await.unwrap();
//!
//! let summary = recorder.only().summary().unwrap().clone();
//! assert_eq!(summary.time_to_head(), Some(Duration::from_millis(20)));
//! assert_eq!(summary.body_duration(), Some(Duration::from_secs(1)));
//! # }
//! ```

mod body;
mod book;
mod client;
mod clock;
mod grammar;
mod leak;
mod recorder;
mod recording;
mod script;

pub use self::{
    body::{BoxError, Broken, MockBody, Probe},
    client::{Client, Http2Frame, Leaver, Phase, Way},
    clock::ManualClock,
    leak::{LeakCheck, OpenExchange},
    recorder::Recorder,
    recording::Recording,
    script::{EndClaim, HintClaim, PANIC, Step},
};
