//! What is open now: every exchange and connection, and what each is waiting for; those that have closed lately; drain and
//! alarms.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_lifecycle::{LifecycleLayer, inflight::InFlight};
//!
//! let inflight = InFlight::new();
//! let app: Router = Router::new()
//!     .route("/", get(async || "Hello"))
//!     .layer(LifecycleLayer::new(inflight.clone()));
//!
//! // Anywhere, at any time:
//! for exchange in inflight.snapshot().exchanges {
//!     println!(
//!         "{} {} {} for {:?}", exchange.state, exchange.method, exchange.path(), exchange.age,
//!     );
//! }
//! ```
//!
//! [`InFlight`] is an observer; its clones are the same. With others it is a member of a tuple.
//!
//! # What is known
//!
//! What an exchange is doing is a [`LiveState`]. It is what is seen, not what is guessed: that a response waits for its client is
//! known where the server itself calls the layer (a [seam](crate#the-connection)), and through a seam alone there are connections.
//! That a poll is parked is known if `park` is told [whose it is](crate::ExchangeHandle::mark), which needs
//! [handles](crate::LifecycleLayer::with_handle); so do routes (`RouteLayer`).
//!
//! # Bounds
//!
//! Everything is bounded, by what the [builder](InFlightBuilder) was told: how many open exchanges are shown, of which none is ever
//! put out to make room for another; how many closed ones are remembered. What is not shown is counted. Of a request a
//! path of a kilobyte is kept, and neither its query nor a header that was not asked for.
//!
//! # Cost
//!
//! An exchange is put into one of 64 lists when it begins, and taken out and remembered when it closes; nothing is formatted
//! before somebody looks. Who looks copies a list's references under its lock, and reads afterwards: exchanges are not held up.
//! The figures are in `benches/README.md`.

mod alarms;
mod builder;
mod changes;
mod closed;
pub mod drain;
mod filter;
mod head;
mod history;
mod observer;
mod registry;
mod snapshot;
mod state;
mod tally;

use std::{fmt, future::Future, sync::Arc};

pub use self::{
    alarms::{Alarm, Alarms},
    builder::InFlightBuilder,
    changes::{Change, Changes, TooManySubscribers},
    closed::{Closed, Story},
    drain::{Drain, DrainLayer, Report},
    filter::Filter,
    head::Headers,
    observer::InFlightState,
    snapshot::{Counts, Open, OpenConnection, Snapshot, Times},
    state::LiveState,
};
use self::{observer::Shared, registry::Line};
use crate::ExchangeId;

/// Observer that knows what is open. See the [module](self).
#[derive(Clone)]
pub struct InFlight(Arc<Shared>);

impl InFlight {
    /// With the defaults of the [builder](Self::builder).
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// For what is to be other than by default.
    pub fn builder() -> InFlightBuilder {
        InFlightBuilder::new()
    }

    /// All that is open now.
    pub fn snapshot(&self) -> Snapshot {
        self.select(&Filter::new())
    }

    /// Of the exchanges that are open now those that `filter` lets through, and all connections.
    pub fn select(&self, filter: &Filter) -> Snapshot {
        let mut counts = self.totals();
        let connections = self.connections(&mut counts);
        let Shared { registry, kept, .. } = &*self.0;
        let (exchanges, not_listed) =
            snapshot::select(registry.entries(), filter, kept.times, &mut counts);
        Snapshot { at: self.0.clock().time(), counts, exchanges, not_listed, connections }
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        let mut counts = self.totals();
        self.connections(&mut counts);
        for entry in self.0.registry.entries() {
            counts.add(&entry.view);
        }
        counts
    }

    /// All that is known of one exchange: open, or closed and not forgotten.
    pub fn story(&self, id: ExchangeId) -> Option<Story> {
        let Shared { registry, history, kept, .. } = &*self.0;
        if let Some(entry) = registry.find(id) {
            return Some(Story::Open(Box::new(Open::new(&entry, kept.times))));
        }
        history.find(id, self.0.now()).map(Story::Closed)
    }

    /// Those that closed last, newest first.
    pub fn recent(&self) -> Vec<Arc<Closed>> {
        self.0.history.recent()
    }

    /// The slowest of the last minutes, slowest first. Those that are told may be a fifth older than the
    /// [window](InFlightBuilder::window).
    pub fn slowest(&self) -> Vec<Arc<Closed>> {
        self.0.history.slowest(self.0.now())
    }

    /// Those of the last minutes that failed, newest first: by a [`Classifier`](crate::Classifier) as it comes.
    pub fn failed(&self) -> Vec<Arc<Closed>> {
        self.0.history.failed(self.0.now())
    }

    /// Tells of what opens and closes from now on.
    ///
    /// # Errors
    /// When there are [as many](InFlightBuilder::max_subscribers) as there may be.
    pub fn subscribe(&self) -> Result<Changes, TooManySubscribers> {
        self.0.teller.subscribe()
    }

    /// Exchanges that are open.
    fn open(&self) -> usize {
        self.0.registry.open().0
    }

    /// Whether nothing is open: no exchange, and no upgraded stream.
    pub fn is_idle(&self) -> bool {
        let Shared { registry, .. } = &*self.0;
        registry.open().0 == 0 && !registry.has_upgrades()
    }

    /// Waits until nothing is open. Connections that are kept alive do not count. It does not borrow. Cancel safe.
    pub fn idle(&self) -> impl Future<Output = ()> + Send + use<> {
        let Self(shared) = self.clone();
        async move { observer::idle(&Self(shared)).await }
    }

    fn totals(&self) -> Counts {
        let Shared { registry, history, .. } = &*self.0;
        let (closed, opened) = (history.closed(), registry.opened());
        let (open, not_shown) = registry.open();
        Counts { open, not_shown, opened, closed, ..Counts::default() }
    }

    fn connections(&self, counts: &mut Counts) -> Vec<OpenConnection> {
        let connections = self.lines(|line| line.shown);
        for connection in &connections {
            counts.add_connection(connection.state);
        }
        counts.connections = connections.len() + self.0.registry.connections_not_shown();
        connections
    }

    /// Those too that are not shown.
    fn all_connections(&self) -> Vec<OpenConnection> {
        self.lines(|_| true)
    }

    fn lines(&self, lets: impl Fn(&Line) -> bool) -> Vec<OpenConnection> {
        let mut lines = self.0.registry.lines(lets);
        lines.sort_unstable_by_key(|line| line.connection.id());
        let now = self.0.now();
        lines.into_iter().map(|line| OpenConnection::new(line, now)).collect()
    }
}

/// For who follows what closes at its own pace, and asks for no more than is told.
#[cfg(feature = "inspector")]
impl InFlight {
    /// The time of day.
    pub(crate) fn at(&self) -> std::time::SystemTime {
        self.0.clock().time()
    }

    /// All connections.
    pub(crate) fn open_connections(&self) -> Vec<OpenConnection> {
        self.connections(&mut Counts::default())
    }

    /// One of them, while it is open.
    pub(crate) fn open_connection(&self, id: crate::ConnectionId) -> Option<OpenConnection> {
        Some(OpenConnection::new(self.0.registry.line(id)?, self.0.now()))
    }

    /// Those that have closed since, oldest first, at most so many, and how many others have, of which nothing is told. `seen`
    /// is moved on; it begins at zero.
    pub(crate) fn closed_since(&self, seen: &mut u64, most: usize) -> (Vec<Arc<Closed>>, u64) {
        self.0.history.closed_since(seen, most)
    }

    /// How long ago that was, by the clock of the layer.
    pub(crate) fn ago(&self, closed: &Closed) -> std::time::Duration {
        self.0.now().saturating_duration_since(closed.ended)
    }
}

impl Default for InFlight {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("open", &self.0.registry.open().0)
            .field("closed", &self.0.history.closed())
            .finish_non_exhaustive()
    }
}
