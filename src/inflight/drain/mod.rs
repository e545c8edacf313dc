//! Stopping a server: nothing new is let in, what is open ends or is ended by a deadline, and who it was is told.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use axum::{Router, routing::get};
//! # use tokio::{net::TcpListener, time::timeout};
//! # async fn told_to_stop() {}
//! # async fn run() -> std::io::Result<()> {
//! use tower_lifecycle::{LifecycleLayer, inflight::{Drain, InFlight}};
//!
//! let inflight = InFlight::new();
//! let drain = Drain::new(&inflight);
//! let app: Router = Router::new()
//!     .route("/", get(async || "Hello"))
//!     .layer(drain.layer())
//!     .layer(LifecycleLayer::new(inflight));
//!
//! let listener = TcpListener::bind("127.0.0.1:3000").await?;
//! let server = axum::serve(listener, app).with_graceful_shutdown(drain.begun());
//! let server = tokio::spawn(async { server.await });
//! told_to_stop().await;
//! println!("{}", drain.run(Duration::from_secs(10)).await);
//! // Without a seam it is not known what is still on its way to a client.
//! let _ = timeout(Duration::from_secs(5), server).await;
//! # Ok(()) }
//! ```
//!
//! ```text
//! drained in 10.0s: 12 ended, 3 refused, 2 cancelled, 1 cut, 1 left
//!   left        12.3s  GET /report: waits for its handler; exchange 12, connection 8 of 127.0.0.1:50866
//!   cancelled   42.0s  GET /feed: waits for its body's producer (41.8s in all); response 200, 5120 bytes so far; exchange 7, connection 4 of 127.0.0.1:50860
//!   cancelled   11.0s  POST /files: waits for the client to send the rest of its request (11.0s in all); 65536 bytes read; exchange 9, connection 5 of 127.0.0.1:50862
//!   cut        312.4s  GET /chat: upgraded, connection 3 of 127.0.0.1:50858
//! ```
//!
//! # What happens when
//!
//! | | |
//! |---|---|
//! | [`Drain::run`] is called | [`Drain::begun`] resolves, the layer refuses, [lots](Drain::lot) let nobody in and are emptied |
//! | until half a second before the deadline, or a tenth of the time if that is less | what is open goes on; when nothing is, the drain is over |
//! | then | who is still open is written down; the layer cancels: handlers are dropped and answered for, bodies fail |
//! | half of what is left later | connections that have something open are [cut](crate::Connection::cut), where they are known |
//! | at the deadline | what is open all the same is written down, and the drain is over |
//!
//! What is open is what [`InFlight`] observes: exchanges, and upgraded streams. Connections that are kept alive hold up nothing.
//!
//! # What a client sees
//!
//! | | HTTP/1 | HTTP/2 |
//! |---|---|---|
//! | a new request | 503 with `Retry-After`, and the connection is closed | 503 with `Retry-After` |
//! | a request without an answer | the same. One that still sends its body may see a reset instead | the same |
//! | an answer that is not over | the connection breaks: no last chunk, or less than the declared length | `RST_STREAM` |
//! | an answer of HTTP/1.0 without a length | the connection is reset, through a seam; else nothing | |
//! | an upgraded stream, such as a WebSocket | the connection is reset, through a seam; else nothing | the connection ends |
//!
//! No answer looks complete that is not, except where the table says that nothing happens: that lasts until the process ends. Through
//! TLS each of these ends comes without the goodbye of TLS (`close_notify`). A gRPC client takes the 503 for `UNAVAILABLE`.
//!
//! # Where the parts belong
//!
//! The [layer](Drain::layer) lies inside of the [`LifecycleLayer`](crate::LifecycleLayer) that has the [`InFlight`], so that refusals are
//! observed, too: with `Router::layer` that is before it. It is a middleware of its own, because an observer changes nothing. Around
//! it, what answers by itself is not refused.
//!
//! A [seam](crate#the-connection) adds what the layer cannot do: end what waits for its client, and what is upgraded. Either works
//! without the other: without the layer nothing is refused and everything is cut, with the verdict
//! [`Shutdown`](crate::Reason::Shutdown).
//!
//! The server is told by [`Drain::begun`], so that it accepts no more and lets idle connections go. Streams of one's own that never
//! end, such as server-sent events, end well if they end by it.
//!
//! ## `axum::serve`, through the seam
//!
#![cfg_attr(feature = "axum", doc = "```no_run")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! # use std::time::Duration;
//! # use axum::{Router, routing::get};
//! # use tokio::net::TcpListener;
//! # use tower_lifecycle::{LifecycleLayer, inflight::{Drain, InFlight}};
//! # async fn told_to_stop() {}
//! # async fn run(inflight: InFlight, drain: Drain, listener: TcpListener) {
//! let app: Router = Router::new().route("/", get(async || "Hello")).layer(drain.layer());
//! let lifecycle = LifecycleLayer::new(inflight);
//! let server = axum::serve(lifecycle.listener(listener), lifecycle.make_service(app))
//!     .with_graceful_shutdown(drain.begun());
//! tokio::spawn(async { server.await });
//! told_to_stop().await;
//! println!("{}", drain.run(Duration::from_secs(10)).await);
//! # }
//! ```
//!
//! ## `Server`
//!
#![cfg_attr(feature = "hyper", doc = "```no_run")]
#![cfg_attr(not(feature = "hyper"), doc = "```ignore")]
//! # use std::time::Duration;
//! # use axum::{Router, routing::get};
//! # use tokio::net::TcpListener;
//! # use tower_lifecycle::{LifecycleLayer, Server, inflight::{Drain, InFlight}};
//! # async fn told_to_stop() {}
//! # async fn run(inflight: InFlight, drain: Drain, listener: TcpListener) {
//! let app: Router = Router::new().route("/", get(async || "Hello")).layer(drain.layer());
//! let server = Server::new(listener, LifecycleLayer::new(inflight)).serve_until(app, drain.begun());
//! tokio::spawn(server);
//! told_to_stop().await;
//! println!("{}", drain.run(Duration::from_secs(10)).await);
//! # }
//! ```
//!
//! It needs no [`grace`](crate::Server::grace). One that is shorter than the deadline ends first: what the server drops then has no 503,
//! is told of by the error of the server, and counts as [ended](Report::ended).
//!
//! ## An accept loop over hyper
//!
#![cfg_attr(feature = "hyper", doc = "```no_run")]
#![cfg_attr(not(feature = "hyper"), doc = "```ignore")]
//! # use std::{io, pin::pin, time::Duration};
//! # use axum::{Router, routing::get};
//! # use tokio::net::TcpListener;
//! # use tower_lifecycle::{LifecycleLayer, inflight::{Drain, InFlight}};
//! # async fn told_to_stop() {}
//! # async fn run(inflight: InFlight, drain: Drain, listener: TcpListener) -> io::Result<()> {
//! use hyper_util::{rt::TokioExecutor, server::conn::auto, service::TowerToHyperService};
//!
//! let app: Router = Router::new().route("/", get(async || "Hello")).layer(drain.layer());
//! let lifecycle = LifecycleLayer::new(inflight);
//! let mut stop = pin!(told_to_stop());
//! loop {
//!     let stream = tokio::select! {
//!         accepted = listener.accept() => accepted?.0,
//!         () = &mut stop => break,
//!     };
//!     let (io, service) = lifecycle.connection(stream, app.clone());
//!     let begun = drain.begun();
//!     tokio::spawn(async move {
//!         let builder = auto::Builder::new(TokioExecutor::new());
//!         let service = TowerToHyperService::new(service);
//!         let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
//!         tokio::select! {
//!             result = &mut connection => return result,
//!             () = begun => connection.as_mut().graceful_shutdown(),
//!         }
//!         connection.await
//!     });
//! }
//! println!("{}", drain.run(Duration::from_secs(10)).await);
//! # Ok(()) }
//! ```
//!
//! # What cannot be cancelled
//!
//! - A handler, or a body, that blocks its thread: nobody can end it but itself, or the process. The drain ends all the same,
//!   with it in [`Report::left`]; see [below](#where-handlers-block).
//! - Without the layer a handler on a connection that is not known, which has no seam.
//! - Without a seam an answer whose client does not read: the server asks its body for no more. And one of HTTP/1.0 without a length,
//!   which would look complete.
//! - Tasks that a handler has spawned. They may end by [`Drain::begun`], or by the [handle](crate::ExchangeHandle).
//! - The task of an upgraded stream that neither reads nor writes: it learns of the cut when it does. Without a seam, or over HTTP/2
//!   without a [guard](crate::UpgradeGuard), it is not known.
//!
//! # Where handlers block
//!
//! While a handler blocks its thread, timers, sockets and *signals* of the whole runtime may stand still: it may be that nobody hears of a
//! SIGTERM. So wait for it, and drain, on a runtime of its own:
//!
//! ```no_run
//! # use std::{io, process, thread, time::Duration};
//! # use tokio::runtime;
//! # use tower_lifecycle::inflight::Drain;
//! # async fn told_to_stop() {}
//! # fn run(drain: Drain) {
//! thread::spawn(move || -> io::Result<()> {
//!     runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//!         told_to_stop().await;
//!         println!("{}", drain.run(Duration::from_secs(10)).await);
//!     });
//!     process::exit(0)
//! });
//! # }
//! ```
//!
//! A runtime that is dropped waits for the thread that is blocked, so does the end of a `#[tokio::main]`: hence the
//! [`exit`](std::process::exit), or a [`Runtime::shutdown_timeout`](tokio::runtime::Runtime::shutdown_timeout). On the runtime of the
//! server a drain that has begun ends by its deadline too, as it has a thread to be woken by, but only in `block_on`, as in `main`: a task
//! can be stuck behind the handler, in the queue of its thread.
//!
//! # Cost
//!
//! Until it is run, the layer counts a reference and allocates nothing; a request that waits takes a lock when it first does and when
//! it is over, of one of 16 lists, and none in between, however often it is polled.

mod body;
mod course;
mod layer;
mod lots;
mod report;
mod signal;
mod ticker;

#[cfg(feature = "park")]
use std::hash::Hash;
use std::{
    fmt,
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

pub use self::{
    body::{CutShort, DrainBody},
    layer::{DrainFuture, DrainLayer, Draining},
    report::Report,
};
use self::{course::Shared, lots::Lots, signal::Waiter};
use super::InFlight;
#[cfg(feature = "park")]
use crate::park::Lot;

/// Stops a server, once. See the [module](self). Cheap to clone: clones are the same drain.
#[derive(Clone)]
#[must_use = "it does nothing until it is run"]
pub struct Drain {
    shared: Arc<Shared>,
    retry_after: u64,
    #[cfg(feature = "park")]
    lots: Vec<lots::Empties>,
}

impl Drain {
    /// A drain of what `inflight` observes.
    pub fn new(inflight: &InFlight) -> Self {
        Self {
            shared: Arc::new(Shared::new(inflight.clone())),
            retry_after: 5,
            #[cfg(feature = "park")]
            lots: Vec::new(),
        }
    }

    /// What a client that is refused is told to wait, by `Retry-After` (RFC 9110 section 10.2.3): five seconds, unless told. In whole
    /// seconds, rounded up. For the layers of the drain that this returns.
    pub fn retry_after(self, wait: Duration) -> Self {
        let part = u64::from(wait.subsec_nanos() > 0);
        Self { retry_after: wait.as_secs().saturating_add(part), ..self }
    }

    /// Empties this lot, too: nobody is let in from the [run](Self::run) on, and what is parked is ended, evenly spread over
    /// `window`, or over the time there is, if that is less. Any number of lots; for the run of the drain that this returns.
    #[cfg(feature = "park")]
    pub fn lot<K, O>(mut self, lot: &Lot<K, O>, window: Duration) -> Self
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
        O: Hash + Eq + Clone + Send + Sync + 'static,
    {
        let lot = lot.clone();
        self.lots.push(Arc::new(move |time| lots::Emptying::begin(&lot, window, time)));
        self
    }

    /// The layer that refuses, and cancels.
    pub fn layer(&self) -> DrainLayer {
        DrainLayer::new(Arc::clone(&self.shared), self.retry_after)
    }

    /// Waits until it has begun, for servers that are to accept no more, and for streams that are to end by themselves. It does
    /// not borrow. Cancel safe.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut waiter = Waiter::new(&self.shared.begun);
        poll_fn(move |task| if waiter.poll(task) { Poll::Ready(()) } else { Poll::Pending })
    }

    /// Whether it has begun. It never ends: from then on everything is refused.
    pub fn is_draining(&self) -> bool {
        self.shared.begun.is_told()
    }

    /// Stops, by `deadline` from the call on: see [what happens when](self#what-happens-when). It does not borrow.
    ///
    /// It begins at the call, for good; what comes after that is done by the future. A second run joins the first, and has the same
    /// report: the first has said how long it may take.
    ///
    /// Dropping the future leaves the drain where it is: requests are refused, and nothing is cancelled. Another run goes on with it,
    /// by the first deadline. So does not polling it, but for the other run, which then waits for it: drop what is not polled.
    ///
    /// # Panics
    /// The future, if it is polled outside of a runtime of tokio with time.
    #[must_use = "it begins by the call, and goes on while this is polled"]
    pub fn run(&self, deadline: Duration) -> impl Future<Output = Report> + Send + use<> {
        #[cfg(feature = "park")]
        let lots = |time| Lots::begin(&self.lots, time);
        #[cfg(not(feature = "park"))]
        let lots = |_| Lots;
        let (shared, course) = (Arc::clone(&self.shared), self.shared.begin(deadline, lots));
        async move { course.lock().await.run(&shared).await }
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("is_draining", &self.is_draining()).finish_non_exhaustive()
    }
}
