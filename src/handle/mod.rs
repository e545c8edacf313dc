//! What handlers, tasks and streams hold of their exchange.

#[cfg(feature = "axum")]
mod axum;
mod on_close;

use std::{fmt, future::Future, sync::Arc};

use http::Request;

#[cfg(feature = "axum")]
pub use self::axum::MissingHandle;
pub use self::on_close::{OnClose, TooManyCallbacks};
pub use crate::conn::{Blind, DisconnectWatch};
use crate::{
    Close, Connection, Disconnect, ExchangeId, Finish, RequestClose, Stage,
    exchange::{Direction, Join, LayerId, Live, Role},
};

/// A view of one exchange, for the code that serves it.
///
/// A layer made [`with_handle`](crate::LifecycleLayer::with_handle) puts one into the extensions of each request; with the
/// feature `axum` it is an extractor too. It is cheap to clone, and holding it keeps nothing of the exchange alive: no
/// body, no connection, no observer's state. The exchange closes without it.
///
/// # What it is for
/// In hyper a handler is *dropped* when its client leaves, at the `.await` it stands at. So a handler cannot race
/// [`closed`](Self::closed) against its own work: it will not be there to see it. The handle is for what outlives the
/// handler or is not told by a drop:
///
/// - work in a task of its own,
/// - a stream behind a response body that is fed by a task,
/// - a handler in a task of its own, by `detach`.
///
/// ```
/// # use axum::{Router, routing::get};
/// # use tower_lifecycle::{ExchangeHandle, LifecycleLayer};
/// # async fn work() {}
/// # async fn undo() {}
/// async fn handler(request: axum::extract::Request) -> &'static str {
///     let exchange = request.extensions().get::<ExchangeHandle>().expect("the layer has handles").clone();
///     let task = tokio::spawn(async move {
///         tokio::select! {
///             () = work() => {}
///             close = exchange.closed() => {
///                 println!("nobody waits any more: {close}");
///                 undo().await;
///             }
///         }
///     });
///     // Dropped here, when the client leaves: the task is not.
///     let _ = task.await;
///     "done"
/// }
///
/// let app: Router =
///     Router::new().route("/", get(handler)).layer(LifecycleLayer::new(()).with_handle());
/// ```
///
/// # Waiting
/// [`closed`](Self::closed), [`finished`](Self::finished) and [`disconnected`](Self::disconnected) are level-triggered:
/// before, during or after, whoever waits gets the same answer. Any number of tasks can wait; a waiter is a place in its
/// own future and allocates nothing. All are cancel safe. They resolve after the observers' hooks have run. A waker that
/// panics breaks no exchange, but may leave others unwoken: those of executors do not.
#[derive(Clone)]
pub struct ExchangeHandle(Arc<Live>);

/// What has passed in one direction so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of data, without framing.
    pub bytes: u64,
    /// Data frames.
    pub frames: u64,
}

impl ExchangeHandle {
    pub(crate) fn new(live: Arc<Live>) -> Self {
        Self(live)
    }

    /// The exchange of an outer layer, if this one can join it.
    pub(crate) fn outer<B>(
        request: &Request<B>,
        role: Role,
        layer: LayerId,
    ) -> Option<(ExchangeId, Arc<dyn Join>)> {
        let Self(live) = request.extensions().get::<Self>()?;
        Some((live.id, live.join(role, layer)?))
    }

    /// The connection under the exchange of `request`, where an outer layer has left it.
    #[inline]
    pub(crate) fn line<B>(request: &Request<B>) -> Option<Connection> {
        let extensions = request.extensions();
        let left = || extensions.get::<Self>()?.0.connection.clone();
        extensions.get::<Connection>().cloned().or_else(left)
    }

    /// Says which route was chosen: its template, such as `/users/{id}`, for
    /// [`Summary::route`](crate::Summary::route). The first that is said counts, and what comes after the close is not
    /// heard. Say no paths: whoever counts by route has a counter for each.
    pub fn set_route(&self, route: &str) {
        self.0.route.get_or_init(|| route.into());
    }

    /// The connection, if it came through a seam.
    pub fn connection(&self) -> Option<&Connection> {
        self.0.connection.as_ref()
    }

    /// The exchange's id, the same as in its [`Summary`](crate::Summary).
    pub fn id(&self) -> ExchangeId {
        self.0.id
    }

    /// Where the exchange is. [`Stage::Done`] once [`close_reason`](Self::close_reason) has an answer.
    pub fn stage(&self) -> Stage {
        self.0.stage()
    }

    /// How the request side ended; `None` while it may go on: a body that somebody holds and that is not read to its end.
    pub fn request_close(&self) -> Option<RequestClose> {
        self.0.request_close.get().copied()
    }

    /// What of the request body has left for the handler, until the close.
    pub fn request_progress(&self) -> Progress {
        self.0.passed(Direction::Request).into()
    }

    /// What of the response body has left for the server.
    pub fn response_progress(&self) -> Progress {
        self.0.passed(Direction::Response).into()
    }

    /// The verdict; `None` while the exchange is open.
    pub fn close_reason(&self) -> Option<Close> {
        self.0.closed.get()
    }

    /// Waits until the exchange is over, and returns the verdict.
    ///
    /// Never before `on_close` of the observers has run. It does not borrow the handle. Cancel safe.
    pub fn closed(&self) -> impl Future<Output = Close> + Send + use<> {
        let Self(live) = self.clone();
        async move { live.closed.wait().await }
    }

    /// Waits until the response was handed over, and returns how that is known; `None` when the exchange closed without.
    ///
    /// It is never delivery. Cancel safe.
    pub fn finished(&self) -> impl Future<Output = Option<Finish>> + Send + use<> {
        let Self(live) = self.clone();
        async move { live.finished.wait().await }
    }

    /// Waits until the peer is known to be gone, and returns what said so; `None` when the exchange closed without that
    /// being known, which says nothing about where the peer is.
    ///
    /// What can be known depends on what watches: see [`disconnect_watch`](Self::disconnect_watch). Cancel safe.
    pub fn disconnected(&self) -> impl Future<Output = Option<Disconnect>> + Send + use<> {
        let Self(live) = self.clone();
        async move { live.disconnected.wait().await }
    }

    /// Whether [`disconnected`](Self::disconnected) would resolve if the peer left now.
    ///
    /// Without a view of the connection it is [`Blind::NoConnection`]: a peer that leaves is then known only by the error of
    /// a body that is being read from it, and mostly by the handler being dropped, which closes the exchange.
    ///
    /// No watch sees through a thread that is blocked, nor a peer whose host has vanished without a word: for that there
    /// are keep-alives.
    pub fn disconnect_watch(&self) -> DisconnectWatch {
        if matches!(self.stage(), Stage::Flush | Stage::Done) {
            return DisconnectWatch::Blind(Blind::Over);
        }
        match &self.0.connection {
            None => DisconnectWatch::Blind(Blind::NoConnection),
            Some(Connection(context)) => context.disconnect_watch(),
        }
    }

    /// Calls `callback` with the verdict when the exchange is over, after the observers' `on_close` and whoever waits
    /// has been woken; at once, in this thread, if it is over already.
    ///
    /// Dropping what is returned takes the callback back; [`OnClose::keep`] leaves it. Callbacks run one after the other, in
    /// the order of their registration, inside the poll or drop that closed the exchange: they must not block. A panic is
    /// caught, counted and handed to [`on_observer_panic`](crate::LifecycleLayer::on_observer_panic).
    ///
    /// # Errors
    /// When 64 callbacks of the exchange are waiting. For more use [`closed`](Self::closed), which has no bound.
    pub fn on_close<F>(&self, callback: F) -> Result<OnClose, TooManyCallbacks>
    where
        F: FnOnce(Close) + Send + 'static,
    {
        OnClose::register(&self.0, callback)
    }

    /// Marks now by a name, for [`Marks::named`](crate::Marks::named) in the summary: `handle.mark("db")`.
    ///
    /// Each name is set once. Whether it was set: not if it was before, if 32 are set, or if the exchange is over.
    pub fn mark(&self, name: &'static str) -> bool {
        self.0.mark(name)
    }

    /// A token of tokio-util that is cancelled when the exchange is over, however it ended.
    ///
    /// It is a child of the exchange's: cancelling it cancels nothing else. Dropping it leaves nothing behind.
    #[cfg(feature = "tokio-util")]
    pub fn cancellation_token(&self) -> tokio_util::sync::CancellationToken {
        self.0.token()
    }
}

impl From<crate::Data> for Progress {
    fn from(data: crate::Data) -> Self {
        Self { bytes: data.bytes, frames: data.frames }
    }
}

impl fmt::Debug for ExchangeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeHandle")
            .field("id", &self.id())
            .field("stage", &self.stage())
            .field("close", &self.close_reason())
            .finish_non_exhaustive()
    }
}
