//! The life of an HTTP exchange, told truthfully.
//!
//! [`LifecycleLayer`] wraps the request and response bodies of a tower service and calls typed hooks: when the request
//! was fully read, when the response ended or failed, when it was handed over, and when everything is over, with the
//! cause and how it is known. Observing changes nothing: bytes, frames, hints and errors pass as they would without.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_lifecycle::{Hooks, LifecycleLayer};
//!
//! let log = Hooks::new().on_close(|summary| {
//!     println!("{} {} in {:?}", summary.method, summary.close, summary.duration());
//! });
//! let app: Router = Router::new()
//!     .route("/", get(async || "Hello"))
//!     .layer(LifecycleLayer::new(log));
//! ```
//!
//! An observer with a value of its own for each exchange implements [`Observer`] and [`Listener`]; several are a tuple.
//! Nothing is paid for what nobody asked for: see [`Interest`].
//!
//! # When the hooks are called
//!
//! ```text
//! exchange  = begin (request | response | on_disconnect?)* on_close
//!                                                           the two sides interleave, on_close is last
//! request   = on_request_data* (on_request_end | on_request_error)? on_request_close
//! response  = on_response on_response_data* (on_response_end on_finish? | on_response_error)?
//!           | on_response_error                             the service failed: there is no head
//!           | nothing                                       dropped, or a panic, before there was a head
//! ```
//!
//! ```text
//! begin                                       Service::call, before the inner service is called
//! ├─ request side
//! │  ├─ on_request_data      n                a frame leaves the body towards the handler
//! │  ├─ on_request_end       ≤ 1 ┐ exclude    fully read
//! │  ├─ on_request_error     ≤ 1 ┘ each other broken off, malformed, over a limit
//! │  └─ on_request_close     1                nothing more will happen on this side
//! ├─ response side
//! │  ├─ on_response          ≤ 1              the inner future resolved
//! │  ├─ on_response_data     n                a frame leaves the body towards the server
//! │  ├─ on_response_end      ≤ 1 ┐ exclude    complete
//! │  ├─ on_response_error    ≤ 1 ┘ each other service or body failed, or the length is wrong
//! │  └─ on_finish            ≤ 1              handed over, after on_response_end
//! ├─ on_disconnect           ≤ 1              the peer is known to be gone, before on_response_end
//! └─ on_close                1                over: the summary, with the verdict
//! ```
//!
//! ## `begin`
//! In `Service::call`, not in the first poll: a future may be dropped unpolled, for instance when request and hang-up
//! arrive together. An error of `poll_ready` makes no exchange. `None` silences this observer for this exchange.
//!
//! ## `on_request_data`
//! When a data frame leaves the body towards the handler: what nobody reads is not reported. It has the frame's
//! length, not its bytes.
//!
//! ## `on_request_end`
//! At the first of: `begin`, for a request without a body; a frame after which `is_end_stream()` is true; trailers;
//! `None`; the drop of a body at exactly its declared length. Once ended, it stays ended: hyper may deliver an error
//! on a complete body after an early response, and that is no failure.
//!
//! ## `on_request_error`
//! When the body returns an error, or `None` short of its declared length. A body straight from hyper over HTTP/2
//! answers `RST_STREAM(NO_ERROR)` with `None`; that is told from an end. Bodies around it do not pass this on.
//!
//! ## `on_request_close`
//! Right after the end or the error, or when the body is dropped early ([`Unread`](RequestClose::Unread),
//! [`Partial`](RequestClose::Partial)), or when the response side is over while a task still holds it
//! ([`Detached`](RequestClose::Detached)): the close of an exchange never waits for a body that somebody holds.
//!
//! ## `on_response`
//! When the inner future resolves with a head. Interim responses (1xx) are not visible to a service. The inner future is
//! dropped first, so a request body that it held has been reported.
//!
//! ## `on_response_data`
//! When a data frame leaves the body towards the server, which is before it is written.
//!
//! ## `on_response_end`
//! Servers do not poll every body to its end, so "dropped before `None`" is no failure in itself. With the head: where
//! HTTP/1 allows no body (HEAD, 1xx, 204, 304, a 2xx to CONNECT), or the body is empty. Else at the first of: a frame
//! after which `is_end_stream()` is true; on HTTP/1 the declared length; trailers; `None`. On HTTP/2 a body that should not
//! be sent ends when it is dropped unpolled. In the client role the length ends a body on any version.
//!
//! ## `on_response_error`
//! When the service returns an error, the body returns one, or the body is not as long as declared, as far as that is
//! seen: what a server leaves unread beyond the declared length is not.
//!
//! ## `on_finish`
//! Right after `on_response_end`, with [`Finish::Released`]: the HTTP stack has the last of it. [Through a seam](#the-connection)
//! when the operating system has it, with [`Finish::Flushed`]. It is never delivery. Not in the client role.
//!
//! ## `on_disconnect`
//! As soon as it is known that the peer is gone, while the response is not complete: by the error of a body that comes from
//! it, by the reset of an HTTP/2 stream, and through a seam by the connection itself. It changes nothing by itself. A peer
//! that leaves once the response is complete leaves as it should.
//!
//! ## `on_close`
//! Exactly once and last, on every path: with the end of the response, an error, a panic, or a drop at any await.
//!
//! # The verdict
//!
//! [`Close`] says what happened, where, by whom, and how that is known; it never claims more than its evidence. A layer
//! sees a future or a body being dropped and not why: a client that hangs up, a timeout further out and a server that
//! shuts down look the same, and all are [`unknown`](Reason::Unknown). What is exact: completion, panics, errors,
//! lengths, and in the client role cancellation. [Through a seam](#the-connection) the connection tells.
//!
//! | what is seen | reason | evidence |
//! |---|---|---|
//! | the last frame, or a head without a body | `complete` | `frame`, `return` |
//! | 101, or a 2xx to CONNECT | `upgraded` | `return` |
//! | the request body's error, caused by an end of file or a reset | `disconnected`, `reset` | `return` |
//! | the same of one HTTP/2 stream | `stream_reset` | `frame` |
//! | another error of the request body | `request_failed` | `return` |
//! | the service's error | `service_failed` | `return` |
//! | the response body's error | `response_failed` | `return` |
//! | a body too short, or too long | `length_mismatch` | `frame`, `return` |
//! | a panic passing through, even one caught further out; in the server role also one passing by | `panicked` | `unwind` |
//! | a drop, in the client role | `cancelled` | `drop` |
//! | a drop, in the server role | `unknown` | `drop` |
//!
//! The first failure decides, and a panic before all. In the client role the rows about the request body's error are
//! about the response's, which is then the one that comes from the peer.
//!
//! What an exchange came to, as success, failure or cancellation, is told by a [`Classifier`].
//!
//! # The connection
//!
//! A layer sees futures and bodies. When bytes have left, why a future was dropped, and that a client is gone while nobody
//! reads, is known to the connection alone. A *seam* joins the two: it wraps each accepted stream in an `Io`, which records what
//! passes and changes nothing, and makes the layer the service that the server itself calls.
//!
//! For `axum::serve`, with the feature `axum`:
//!
#![cfg_attr(feature = "axum", doc = "```no_run")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! # use axum::{Router, routing::get};
//! # use tokio::net::TcpListener;
//! # use tower_lifecycle::{Hooks, LifecycleLayer};
//! # async fn run() -> std::io::Result<()> {
//! # let app: Router = Router::new().route("/", get(async || "Hello"));
//! # let listener = TcpListener::bind("127.0.0.1:3000").await?;
//! let lifecycle = LifecycleLayer::new(Hooks::new().on_close(|summary| println!("{}", summary.close)));
//! axum::serve(lifecycle.listener(listener), lifecycle.make_service(app)).await
//! # }
//! ```
//!
//! For an accept loop over hyper there is `LifecycleLayer::connection`, and with the feature `hyper`
//! `LifecycleLayer::serve_connection` and `Server`, which drive the connection and see a little more. With the feature
//! `tokio-rustls` all of it works over TLS, by `TlsListener`. Without a seam everything else works.
//!
//! ## What is known then
//!
//! | | without a seam | HTTP/1 | HTTP/2 | HTTP/2 by `serve_connection` or `Server` |
//! |---|---|---|---|---|
//! | `on_finish` | `released` | `flushed` | `released` | `flushed`, where the last frame says that it is the last |
//! | client gone while the server reads | a drop: `unknown` | `disconnected`, `reset` | the same, `stream_reset` | the same |
//! | client gone while it does not | – | `on_disconnect`, on Linux | the server always reads | the same |
//! | timeout further out | `unknown` | `cancelled` | `unknown` | `unknown` |
//! | server dropped the connection | `unknown` | `shutdown` | `shutdown` | `shutdown` |
//! | ping without answer | `unknown` | | `shutdown` | `transport_failed` |
//!
//! The evidence is then [`Evidence::Io`]. A layer further in, by `Router::layer`, joins the exchange of the seam's layer if that
//! has [handles](LifecycleLayer::with_handle). On its own it finds the connection in the request if the seam's layer was told
//! `with_connection`, or observes nothing: then it knows causes and disconnects, and its finish is `released`, because what lies
//! around it may hold the response back.
//!
//! A complete response over HTTP/1 is in [`Stage::Flush`] until the flush. What happens to the peer meanwhile is no
//! concern, as long as the bytes go; only a write that fails, or the end of the connection, cuts it.
//!
//! Over HTTP/2 a stream that was reset, a connection's task that was aborted and a runtime that ends look the same at first. The
//! verdict waits until the connection has shown that it lives, or has ended: microseconds, and if it shows nothing the exchange is
//! `unknown`. Over HTTP/2 a response may be released whole and its stream be reset after it: that is `complete`, by `frame`.
//!
//! ## Clients that leave while nobody reads
//!
//! hyper's HTTP/1 stops reading while a handler runs and there is something unread: a second request that was pipelined, one
//! stray byte, half a body that the handler does not read, `Expect: 100-continue`. A parked poll is then parked for ever. On Linux a
//! seam sees such a client leave, without reading and without another descriptor, and says so by `on_disconnect` and
//! [`ExchangeHandle::disconnected`]. [`ExchangeHandle::disconnect_watch`] says whether it would. With
//! `cancel_on_disconnect` the handler is dropped.
//!
//! A client that shuts down its side and waits is taken to be gone, as by hyper, unless `half_close(true)`.
//!
//! ## Connections, and what is more than an exchange
//!
//! [`Observer::on_connection_open`] and [`on_connection_close`](Observer::on_connection_close) tell of each connection, with bytes,
//! exchanges and its own [verdict](ConnectionClose). What fails before there is an exchange is seen there and nowhere else. An
//! exchange that is [`Upgraded`](Reason::Upgraded) is closed; the connection lives on and is counted, and an
//! [`UpgradeGuard`] in the task of the socket does the same for HTTP/2.
//!
//! # Waits
//!
//! With [`Interest::WAITS`] the summary, and the hooks at the end of a direction, say who waited on whom: the request's
//! body on the client or on the handler, the response's on its producer or on its consumer. The rule: from a poll until a
//! frame is ready its producer is waited for, and from there until the next poll its consumer. [`Wait`] has the fine print.
//!
//! # Spans, metrics, logs
//!
//! Each of these is an observer, and a tuple of them is one: `trace::Trace` (feature `tracing`), `otel::Otel` (feature `opentelemetry`) and
//! `access_log::AccessLog` (feature `access-log`). They have one span, one sample and one line for each exchange, from head to close, however it ends; what
//! a handler does is inside its span, by the [`Scope`](observe::Scope) that an observer may hand out. How they follow the semantic
//! conventions is told by `semconv::Conventions`, which they share.
//!
//! # What is open now
//!
//! `inflight::InFlight` (feature `inflight`) is an observer that knows every exchange and connection that is open, what each is waiting for, and
//! what has closed lately; `inflight::Drain` takes a server down within a deadline and names who was still open, and `inflight::Alarms`
//! calls a function when there is too much. `inspector::Inspector` (feature `inspector`) shows it, as a page, JSON, server-sent events and
//! text. An observer of your own may have the same [view](ExchangeView) of an exchange while it is open, by [`Interest::VIEW`].
//!
//! # Two layers
//!
//! Two layers in one stack observe two exchanges, each what passes where it is, and the inner one closes first. If the outer
//! layer has handles ([`with_handle`](LifecycleLayer::with_handle)), an inner one of the same role joins its exchange instead:
//! there is one exchange with one id and one verdict, both observers hear of the outermost view of it, and the inner layer
//! wraps nothing. What the inner observer has missed of the request is told to it right after its `begin`. The order is that of
//! a tuple: outer before inner on the way in, inner before outer for response, finish and close. What lies between the two is
//! part of the exchange: if it answers a service's error with a 500, both hear of a complete 500. Errors are read by the outer
//! layer, which has to know their types.
//!
//! An exchange that has answered cannot be joined; whoever joins while another thread answers hears of the response nothing
//! but the close. No layer joins the same exchange twice: a retry between the two makes exchanges of the later attempts, and
//! the first one reports the whole. [`standalone`](LifecycleLayer::standalone) keeps an inner layer apart, as one inside a
//! retry wants to be.
//!
//! # Panics, threads, time
//!
//! A panic in a hook is caught, also while another panic unwinds, counted, and silences that observer for that exchange
//! ([`LifecycleLayer::on_observer_panic`]); under `panic = "abort"` nothing can be caught. The hooks of one exchange never
//! run at the same time. Nobody waits for a hook: whoever has a fact to report while a hook runs leaves it to the thread
//! that runs the hook, which then also runs the hooks of that fact: a slow hook delays its own exchange, whichever side of
//! it reports. Times are read only if [`Interest::MARKS`] asks for them, or a handle may.
//!
//! # Where it differs from Node
//!
//! The names are those of Node's request and response events. `finish` is not "after `end()` was called" but "handed over".
//! `pause`, `readable` and `drain` are facts about waiting, which a polled body shows by being pending; `pipe` and `unpipe`
//! have no counterpart in a body that is pulled.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `access-log`: the module `access_log`: a line for each exchange, readable or JSON.
//! - `axum`: the seam for `axum::serve`, [`ExchangeHandle`] as an extractor, and `RouteLayer`.
//! - `conn`: the seam for an accept loop of your own: `LifecycleLayer::connection`. Needs tokio's runtime.
//! - `detach`: the module `detach`: handlers that outlive their client by a bounded time, and critical sections that run to
//!   their end. Needs tokio's runtime.
//! - `hyper`: `LifecycleLayer::serve_connection` and `Server` over hyper-util, and `LifecycleLayer::hyper_errors`, which reads
//!   hyper's and h2's errors, so that an HTTP/2 stream that was reset is told from a malformed body. For HTTP/1
//!   [`LifecycleLayer::known_error`] is enough.
//! - `inflight`: the module `inflight`: every exchange that is open and what it waits for, recent ones, drain, alarms. Needs tokio's
//!   time.
//! - `inspector`: the module `inspector`: a tower service with a page, JSON, server-sent events and text of what is open.
//! - `opentelemetry`: the module `otel`: spans and metrics of servers and clients by OpenTelemetry's semantic conventions, through
//!   its API alone. Following its releases is a minor release of ours.
//! - `park`: the module `park`: parked long polls that miss nothing, end once, and are bounded. Needs tokio's runtime and time.
//! - `testing`: the module `testing`, a test kit: a recorder, bodies and clients that misbehave, a leak check.
//! - `tokio-rustls`: `TlsListener`.
//! - `tokio-util`: `ExchangeHandle::cancellation_token`.
//! - `tracing`: the module `trace`: a `tracing` span for each exchange, events and a summary.
//! - `full`: all of them.

#![forbid(unsafe_code)]

#[cfg(feature = "access-log")]
pub mod access_log;
mod body;
pub mod classify;
mod clock;
mod close;
#[cfg_attr(
    not(feature = "hyper"),
    allow(
        dead_code,
        unused_imports,
        reason = "each seam uses a part of it, and without one there is none"
    )
)]
pub mod conn;
#[cfg(feature = "detach")]
pub mod detach;
mod event;
mod exchange;
mod future;
pub mod handle;
#[cfg(feature = "inflight")]
pub mod inflight;
#[cfg(feature = "inspector")]
pub mod inspector;
mod layer;
pub mod observe;
#[cfg(feature = "opentelemetry")]
pub mod otel;
#[cfg(feature = "park")]
pub mod park;
#[cfg(feature = "conn")]
pub mod seam;
#[cfg(any(feature = "access-log", feature = "opentelemetry", feature = "tracing"))]
#[cfg_attr(
    not(all(feature = "access-log", feature = "opentelemetry", feature = "tracing")),
    allow(dead_code, unused_imports, reason = "each of the three uses a part of it")
)]
pub mod semconv;
mod service;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(any(
    feature = "access-log",
    feature = "inflight",
    feature = "opentelemetry",
    feature = "tracing"
))]
#[cfg_attr(
    not(all(feature = "access-log", feature = "inspector", feature = "tracing")),
    allow(dead_code, reason = "each of them uses a part of it")
)]
mod text;
#[cfg(feature = "tracing")]
pub mod trace;

#[cfg(feature = "axum")]
pub use self::seam::RouteLayer;
#[cfg(feature = "hyper")]
pub use self::seam::{ServeConnection, Server};
pub use self::{
    body::{RequestBody, ResponseBody},
    classify::{Class, Classifier, FailureClass},
    close::{Close, Evidence, Initiator, Reason, Stage, Termination},
    conn::{
        Address, Connection, ConnectionClose, ConnectionId, ConnectionReason, ConnectionSummary,
        IoTimes, Tls, UpgradeGuard, UpgradeSummary,
    },
    event::{
        Data, Disconnect, End, Ended, Event, EventKind, Failed, Failure, Finish, RequestClose,
        RequestHead, ResponseHead,
    },
    exchange::{
        ExchangeId, ExchangeView, Mark, Marks, Party, Role, Summary, TraceIds, Transfer, Wait,
    },
    future::ResponseFuture,
    handle::ExchangeHandle,
    layer::LifecycleLayer,
    observe::{
        BoxObserver, ChannelObserver, Events, Hooks, Interest, Listener, Observer, ObserverPanic,
    },
    service::Lifecycle,
};

// Its seams need the features.
#[cfg(all(
    doctest,
    feature = "access-log",
    feature = "axum",
    feature = "hyper",
    feature = "inspector",
    feature = "opentelemetry",
    feature = "park",
    feature = "tracing"
))]
#[doc = include_str!("../README.md")]
struct Readme;
