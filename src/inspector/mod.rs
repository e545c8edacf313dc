//! What is happening now, to look at: a page, JSON, server-sent events and plain text, as one tower service to mount where you choose.
//!
#![cfg_attr(feature = "axum", doc = "```no_run")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! # use axum::{Router, routing::get};
//! # use tokio::net::TcpListener;
//! use tower_lifecycle::{LifecycleLayer, inflight::InFlight, inspector::Inspector};
//!
//! # async fn run() -> std::io::Result<()> {
//! let inflight = InFlight::new();
//! let app: Router = Router::new()
//!     .route("/", get(async || "Hello"))
//!     .nest_service("/inspector", Inspector::new(inflight.clone()));
//!
//! let lifecycle = LifecycleLayer::new(inflight).with_handle();
//! let listener = TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(lifecycle.listener(listener), lifecycle.make_service(app)).await
//! # }
//! ```
//!
//! Open `http://127.0.0.1:3000/inspector`. [`Inspector`] needs neither axum nor a seam. Over hyper it is the service of a listener of
//! its own, or what your own service calls for the paths below some prefix, with the prefix taken off:
//!
#![cfg_attr(feature = "hyper", doc = "```no_run")]
#![cfg_attr(not(feature = "hyper"), doc = "```ignore")]
//! # use tokio::net::TcpListener;
//! # use tower_lifecycle::{LifecycleLayer, Server, inflight::InFlight, inspector::Inspector};
//! # async fn run(inflight: InFlight) -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:9000").await?;
//! // The layer tells the inspector who asks.
//! let lifecycle = LifecycleLayer::new(()).with_connection();
//! Server::new(listener, lifecycle).serve(Inspector::new(inflight)).await
//! # }
//! ```
//!
//! # Who may look
//!
//! Paths and addresses are nobody else's business, so the inspector is guarded unless told otherwise.
//!
//! - By default only this machine may look. The address of who asks is that of the connection, which a [seam](crate#the-connection)
//!   tells if its layer was told [`with_handle`](crate::LifecycleLayer::with_handle) or `with_connection`; axum's
//!   `ConnectInfo<SocketAddr>` tells it too. Where nothing does, nobody may look. Requests that a proxy has passed on are refused, and so are those for another name than `localhost` or a loopback
//!   address, which is how a page elsewhere would get at it (DNS rebinding). **A proxy on this machine that says nothing of
//!   itself cannot be told from you**: behind one use a token.
//! - [`token`](Inspector::token) lets in whoever knows it, from anywhere, by `Authorization: Bearer` or as the password of HTTP's
//!   Basic, which browsers ask for by themselves. Use TLS.
//! - [`unguarded`](Inspector::unguarded) is for what is guarded by something around it.
//!
//! In no case may a page of another origin read it: what a browser says of where a request comes from (`Sec-Fetch-Site`, `Origin`) is
//! checked, no CORS header is ever sent, and a strict Content-Security-Policy keeps the page from loading anything from elsewhere.
//!
//! # What it shows
//!
//! What the [`InFlight`](crate::inflight::InFlight) knows: method, path, route, times, sizes, waits and verdict of exchanges that are
//! open or have closed lately, their connections with both addresses, trace ids, and the marks of handles. Of headers those that
//! were allowed when it was [built](crate::inflight::InFlightBuilder::request_headers), which by default are none. Never a query, a body,
//! or a header that was not allowed. What a peer has written is escaped: it cannot become a part of the page, of an event, or of what a
//! terminal obeys.
//!
//! It shows its own requests like any other, if it is mounted in what is observed.
//!
//! # What there is to ask for
//!
//! | below the mount point | |
//! |---|---|
//! | the mount point itself | the page |
//! | `api/exchanges` | what is open, oldest first |
//! | `api/exchanges/{id}` | all that is known of one exchange, open or closed |
//! | `api/closed` | what has closed: `list=recent` (the default), `slowest` or `failed` |
//! | `api/connections` | connections that are open |
//! | `api/counts` | how many there are of each |
//! | `api/events` | server-sent events: a `snapshot`, and at each `interval` (`500ms` by default, `100ms` to `60s`) a `tick` with what has changed, if anything has |
//! | `text` | what is open, for a terminal, by route |
//!
//! Exchanges and events are filtered by the query: `method`, `path`, `route`, `text` (contained), `stage`, `state`, `status` (`200`,
//! `5xx`), `connection`, `older_than` (`5s`) and `limit` (10,000 by default). What is not known is refused with a 400 that says what is.
//!
//! ```sh
//! curl -s 'localhost:3000/inspector/text?older_than=5s'
//! curl -s 'localhost:3000/inspector/api/exchanges?state=client&limit=20' | jq .
//! curl -s -H "Authorization: Bearer $TOKEN" 'https://example.com/inspector/api/closed?list=failed'
//! curl -sN 'localhost:3000/inspector/api/events?route=/orders&interval=2s'
//! ```
//!
//! Times are in milliseconds, since an exchange began unless they say `now`, which is since 1970. In a `tick` there are rows that are
//! new (`opened`), that are not as they were (`changed`), that have `closed` (at most 200; the others are counted in `missed`), and
//! the ids of those that are listed no more (`gone`), because the filter or the limit leaves them out or their close was missed.
//! Errors are `{"error": "…"}`, with a sentence that says what to do.
//!
//! # What it costs
//!
//! Nothing until somebody looks. Who looks takes a snapshot of all that is open, a quarter of a microsecond for each exchange, and
//! formats what was asked for, some 1.5 µs for each row, in the task that serves the request: 10,000 rows are 4 MB and take 17 ms. A
//! stream of events does so when its reader has taken the last event and the interval is over: with 10,000 exchanges open a tick takes
//! 6 ms and is as large as what has changed. So a slow reader gets fewer ticks and holds up nobody; what is kept for it is some
//! 40 bytes for each exchange that is listed, and an event. There are at most [32 streams](Inspector::max_streams), and each has to
//! [end](Inspector::ends_when) for a server to drain.

mod answer;
mod body;
mod events;
mod guard;
mod json;
mod page;
mod query;
mod routes;
mod service;
mod text;

pub use self::{body::InspectorBody, guard::InvalidToken, service::Inspector};
