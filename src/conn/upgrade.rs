//! The life after an upgrade.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Connection, ConnectionClose, Context, Hears};

/// Held by the task that serves an upgraded stream, such as a WebSocket: tells when it is over.
///
/// An exchange that is upgraded is closed, and its connection lives on. On HTTP/1 the connection's own close ends that life.
/// On HTTP/2 the stream is one of many, and only the task that serves it knows when it ends: it holds this. It is counted in
/// [`Connection::open_upgrades`], and its drop is told to
/// [`Observer::on_upgrade_close`](crate::Observer::on_upgrade_close). It keeps no socket open.
///
/// ```no_run
/// # use axum::{extract::ws::{WebSocket, WebSocketUpgrade}, response::Response};
/// use tower_lifecycle::{Connection, ExchangeHandle};
///
/// async fn handler(exchange: ExchangeHandle, upgrade: WebSocketUpgrade) -> Response {
///     let guard = exchange.connection().map(Connection::guard_upgrade);
///     upgrade.on_upgrade(async move |mut socket| {
///         while let Some(Ok(message)) = socket.recv().await {
///             if let Some(guard) = &guard {
///                 guard.received(message.into_data().len() as u64);
///             }
///         }
///     })
/// }
/// ```
#[must_use = "the upgrade is over when this is dropped"]
pub struct UpgradeGuard {
    context: Arc<Context>,
    hears: Option<Arc<dyn Hears>>,
    began: Option<Instant>,
    received: AtomicU64,
    sent: AtomicU64,
}

/// The whole of an upgraded stream: what [`Observer::on_upgrade_close`](crate::Observer::on_upgrade_close) is handed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpgradeSummary {
    /// The connection.
    pub connection: Connection,
    /// How it ended, as far as the connection shows it: a stream of HTTP/2 that ends while the connection lives is
    /// [`Complete`](super::ConnectionReason::Complete), known by the drop.
    pub close: ConnectionClose,
    /// Bytes that the task has told of by [`UpgradeGuard::received`].
    pub received: u64,
    /// Bytes that the task has told of by [`UpgradeGuard::sent`].
    pub sent: u64,
    /// How long the guard was held, if asked for by [`Interest::MARKS`](crate::Interest::MARKS).
    pub duration: Option<Duration>,
}

impl UpgradeGuard {
    pub(super) fn new(context: Arc<Context>) -> Self {
        let (hears, began) = (context.guard(), context.now());
        let (received, sent) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { context, hears, began, received, sent }
    }

    /// Counts bytes that were received.
    pub fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that were sent.
    pub fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for UpgradeGuard {
    fn drop(&mut self) {
        let Self { context, hears, began, received, sent } = self;
        context.unguard();
        let ended = context.now();
        let summary = UpgradeSummary {
            connection: Connection(Arc::clone(context)),
            close: context.upgrade_close(thread::panicking()),
            received: *received.get_mut(),
            sent: *sent.get_mut(),
            duration: began.zip(ended).map(|(began, ended)| ended.saturating_duration_since(began)),
        };
        if let Some(hears) = hears {
            hears.upgrade_closed(&summary);
        }
    }
}

impl fmt::Debug for UpgradeGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeGuard").field("context", &self.context).finish_non_exhaustive()
    }
}
