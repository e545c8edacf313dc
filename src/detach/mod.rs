//! Handlers that outlive their client by a bounded time, and critical sections that run to their end.
//!
//! **In hyper a handler is dropped when its client leaves**, at whatever await it is at: a connection that ends, or an
//! HTTP/2 stream that is reset, takes the handler's future with it. So does a timeout further out. Most handlers want just
//! that. For those that do not, there are two ways.
//!
//! # A handler that goes on: [`DetachLayer`]
//!
//! The handler runs in a task of its own, and the response future waits for it. While that lives, nothing is bounded. When
//! it is dropped, the handler goes on for at most the grace, and is then dropped.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::time::Duration;
//!
//! use axum::{Router, body::Body, http::Request, routing::post};
//! use tokio::time::{sleep, timeout};
//! use tower::ServiceExt;
//! use tower_lifecycle::{Hooks, LifecycleLayer, detach::DetachLayer};
//! # use std::sync::atomic::{AtomicBool, Ordering};
//! # static PLACED: AtomicBool = AtomicBool::new(false);
//! # fn place_order() { PLACED.store(true, Ordering::Relaxed) }
//!
//! let detach = DetachLayer::new(Duration::from_secs(30));
//! let detached = detach.detached();
//! let log = Hooks::new().on_close(|summary| println!("{}", summary.close));
//! let app: Router = Router::new()
//!     .route("/orders", post(async || {
//!         sleep(Duration::from_secs(10)).await;
//!         place_order();
//!     }))
//!     .layer(detach)
//!     .layer(LifecycleLayer::new(log)); // outside: it tells of the close at once
//!
//! // A client that waits for a second, then leaves.
//! let request = Request::post("/orders").body(Body::empty()).unwrap();
//! assert!(timeout(Duration::from_secs(1), app.oneshot(request)).await.is_err());
//!
//! // After the server has ended, before the program does: wait for what is left.
//! assert_eq!(detached.running(), 1);
//! timeout(Duration::from_secs(60), detached.idle()).await.expect("the grace is 30 s");
//! assert!(PLACED.load(Ordering::Relaxed));
//! # }
//! ```
//!
//! A handler that wants to hear of the close, to stop early or to tidy up within the grace, is told by
//! [`ExchangeHandle::closed`](crate::ExchangeHandle::closed): here, and not in a handler that is dropped, it can be raced with the work.
//!
//! ## Where to put it
//! - Inside [`LifecycleLayer`](crate::LifecycleLayer), which then reports the close when the client leaves, as without it,
//!   and a panic as `panicked`. The other way round the exchange would go on until the handler ends.
//! - A timeout outside gives up waiting, and the handler has the grace. A timeout inside bounds the handler itself.
//! - Put a limit of concurrency inside. A client that asks and leaves, again and again, leaves handlers behind for the grace;
//!   a limit inside counts them until they end, a limit outside and the server's own do not.
//!
//! ## What moves
//! - The handler's future, from the call on, polled or not. Task-locals and the current tracing span of the caller do not
//!   follow it; layers inside, such as one that makes the span, set theirs in the task.
//! - The request body, as far as the handler holds it. After the client left, what of it has not arrived is an error. As
//!   without this layer, hyper does not see an HTTP/1 client leave while a handler holds a body and does not read it.
//! - Not the response body: the server polls it, and drops it when the client leaves. A response that comes after that is
//!   dropped in the task.
//! - A panic goes on in the response future with its own payload, so that layers outside see it as before. After the
//!   client left it stays in the task. The panic hook runs in both cases.
//! - It costs one task and one small allocation for each call, and a timer only after the client left.
//!
//! The grace is a bound on waiting: a handler that blocks its thread is dropped when it comes to an await.
//!
//! # A section that runs to its end: [`shield`]
//!
//! The handler is dropped as ever, but not in the middle of its commit.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
//!
//! use tokio::time::{sleep, timeout};
//! use tower_lifecycle::detach::Detached;
//!
//! static DEBITED: AtomicU32 = AtomicU32::new(0);
//! static CREDITED: AtomicU32 = AtomicU32::new(0);
//!
//! let detached = Detached::default();
//! let handler = async {
//!     detached.shield(async {
//!         DEBITED.fetch_add(10, Ordering::Relaxed);
//!         sleep(Duration::from_secs(2)).await;
//!         CREDITED.fetch_add(10, Ordering::Relaxed);
//!     }).await;
//!     "transferred"
//! };
//!
//! // The client leaves between debit and credit.
//! assert!(timeout(Duration::from_secs(1), handler).await.is_err());
//! assert_eq!((DEBITED.load(Ordering::Relaxed), CREDITED.load(Ordering::Relaxed)), (10, 0));
//!
//! detached.idle().await;
//! assert_eq!((DEBITED.load(Ordering::Relaxed), CREDITED.load(Ordering::Relaxed)), (10, 10));
//! # }
//! ```
//!
//! [`Detached::shield`] counts the section, so that a program can wait for it; the function [`shield`] does not. What
//! neither can do is listed there. In a detached handler the grace does not bound a section.

mod detached;
mod future;
mod layer;
mod section;
mod service;
mod surrounded;
mod task;

pub use self::{
    detached::Detached, future::ResponseFuture, layer::DetachLayer, section::shield,
    service::Detach,
};
