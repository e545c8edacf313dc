//! What users plug in: observers, which make one listener for each exchange.
//!
//! - A type of your own implements [`Observer`], and [`Listener`] for its state.
//! - [`Hooks`] are a few closures.
//! - A [`Scope`] surrounds the work that is done for an exchange, such as a span that is entered.
//! - [`channel()`] is for other tasks, and for work that takes longer than a hook may: it hands them [`Event`](crate::Event)s,
//!   which are owned. It is bounded, nobody waits for its reader, and of an exchange that it told of it tells the close.

mod channel;
mod compose;
mod guard;
mod hooks;
mod interest;
mod scope;

pub use self::{
    channel::{ChannelObserver, ChannelState, Events, TryRecvError, channel},
    compose::BoxObserver,
    guard::{Guarded, ObserverPanic},
    hooks::{Hooks, HooksState},
    interest::Interest,
    scope::Scope,
};
pub(crate) use self::{
    guard::{Panics, shield},
    scope::{Inside, Scoped},
};

use std::sync::Arc;

use crate::{
    Connection, ConnectionSummary, Data, Disconnect, End, ExchangeView, Failure, Finish,
    RequestClose, RequestHead, ResponseHead, Summary, UpgradeSummary,
};

/// Watches a service: makes one [`Listener`] for each exchange.
///
/// Observers compose: a tuple of up to eight calls its members in order on the way in and in reverse for response,
/// finish and close; `Option`, `Arc`, `Box` and [`BoxObserver`] work as one expects, and `()` observes nothing. For a
/// few closures there is [`Hooks`], for other tasks [`channel()`].
///
/// ```
/// use tower_lifecycle::{Listener, Observer, RequestHead, Summary};
///
/// /// Prints one line for each exchange under `/api`.
/// struct ApiLog;
///
/// struct Line {
///     path: String,
/// }
///
/// impl Observer for ApiLog {
///     type State = Line;
///
///     fn begin(&self, head: &RequestHead<'_>) -> Option<Line> {
///         let path = head.uri.path();
///         path.starts_with("/api").then(|| Line { path: path.to_owned() })
///     }
/// }
///
/// impl Listener for Line {
///     fn on_close(&mut self, summary: &Summary) {
///         println!("{} {}: {} bytes", self.path, summary.close, summary.response.bytes);
///     }
/// }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// The observer's own value for one exchange, dropped right after `on_close`.
    type State: Listener;

    /// What this observer wants to hear of. Its answer must always be the same: a layer asks once, when it is built,
    /// and a tuple asks its members anew.
    fn interest(&self) -> Interest {
        Interest::DEFAULT
    }

    /// An exchange begins: called inside `Service::call`, before the inner service is called. `None` silences this
    /// observer for this exchange.
    ///
    /// It must not block. A panic is caught, counted, and has the effect of `None`.
    fn begin(&self, head: &RequestHead<'_>) -> Option<Self::State>;

    /// A connection was accepted. Through a seam alone: see [The connection](crate#the-connection).
    ///
    /// Called before anything is read, where the connection is accepted. It must not block; a panic is caught and counted.
    fn on_connection_open(&self, connection: &Connection) {
        let _ = connection;
    }

    /// A connection is over: its transport is dropped, and the exchanges that the server held are closed. Exactly once for
    /// each [`on_connection_open`](Self::on_connection_open).
    ///
    /// Failures before there is an exchange are seen here and nowhere else: a malformed head, TLS that could not be agreed
    /// on, a peer that connects and leaves.
    fn on_connection_close(&self, summary: &ConnectionSummary) {
        let _ = summary;
    }

    /// The task of an upgraded stream, such as a WebSocket, has dropped its [`UpgradeGuard`](crate::UpgradeGuard). Exactly
    /// once for each guard.
    fn on_upgrade_close(&self, summary: &UpgradeSummary) {
        let _ = summary;
    }
}

/// Hears of one exchange.
///
/// See [When the hooks are called](crate#when-the-hooks-are-called) for the order, the grammar and the nesting.
///
/// The hooks of one exchange never run at the same time and may run on different threads. They run inside the poll, or
/// the drop, that saw the fact: a slow hook delays its own exchange, so it must not block; hand longer work to a task.
/// A panic in a hook is caught, also while another panic unwinds; it silences this observer for this exchange
/// ([`LifecycleLayer::on_observer_panic`](crate::LifecycleLayer::on_observer_panic)).
pub trait Listener: Send + 'static {
    /// What is to surround the work that is done for this exchange, such as a span. Called once, right after `begin`, before
    /// the inner service is called.
    ///
    /// It is kept by the future and the bodies, and entered until these are dropped. A task may hold the request's body longer
    /// than the exchange is open: what is to be over at the close is let go of in [`on_close`](Self::on_close).
    fn scope(&mut self) -> Option<Arc<dyn Scope>> {
        None
    }

    /// A view of the exchange, for who wants to know how it fares while it is open. Called once, if asked for by
    /// [`Interest::VIEW`], before any other hook and before the inner service is called.
    ///
    /// A listener may be dropped before the close: a panic silences it.
    fn opened(&mut self, view: &ExchangeView) {
        let _ = view;
    }

    /// The peer is known to be gone while the exchange is alive and its response not complete. At most once.
    ///
    /// What can be known depends on what is seen. The error of a request body may say it, and an HTTP/2 stream that is
    /// reset. Through a seam the connection says it: when it is read, and on Linux when it is not, as behind a pipelined
    /// byte or a body that nobody reads ([`DisconnectWatch`](crate::handle::DisconnectWatch)). It changes nothing by itself: the
    /// exchange may go on, and even be answered (`LifecycleLayer::cancel_on_disconnect`).
    fn on_disconnect(&mut self, disconnect: Disconnect) {
        let _ = disconnect;
    }

    /// A data frame leaves the request body towards the handler. Any number of times.
    fn on_request_data(&mut self, data: Data) {
        let _ = data;
    }

    /// The request was fully read: its body returned `None`, trailers, or a frame after which `is_end_stream()` is
    /// true, or was dropped exactly at its declared length. For a request without a body right after `begin`. At most
    /// once, never with `on_request_error`.
    fn on_request_end(&mut self, end: &End<'_>) {
        let _ = end;
    }

    /// The request body returned an error, or ended short of its declared length, or, straight from hyper over HTTP/2,
    /// stopped because the peer reset the stream. At most once, never with `on_request_end`.
    fn on_request_error(&mut self, failure: &Failure<'_>) {
        let _ = failure;
    }

    /// Nothing more will happen on the request side. Exactly once.
    fn on_request_close(&mut self, close: RequestClose) {
        let _ = close;
    }

    /// The inner service returned a response. At most once.
    fn on_response(&mut self, head: &ResponseHead<'_>) {
        let _ = head;
    }

    /// A data frame leaves the response body towards the server. Any number of times.
    fn on_response_data(&mut self, data: Data) {
        let _ = data;
    }

    /// The response is complete. At once with the head where no body may follow or the body is empty; else at the
    /// first of: a frame after which `is_end_stream()` is true, trailers, `None`, and, on HTTP/1, the declared length.
    /// At most once, never with `on_response_error`.
    fn on_response_end(&mut self, end: &End<'_>) {
        let _ = end;
    }

    /// The service returned an error, or the response body did, or the response is not as long as declared. At most
    /// once, never with `on_response_end`.
    fn on_response_error(&mut self, failure: &Failure<'_>) {
        let _ = failure;
    }

    /// The response was handed over, which is not delivery. After `on_response_end`, at most once, and never in the
    /// client role.
    fn on_finish(&mut self, finish: Finish) {
        let _ = finish;
    }

    /// The exchange is over. Exactly once, last, also when the future or a body was dropped or a panic passed.
    fn on_close(&mut self, summary: &Summary) {
        let _ = summary;
    }
}
