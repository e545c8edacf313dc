//! An observer that writes down every hook.

use std::{fmt, time::Duration};

use super::{
    Recording,
    book::{Book, PATIENCE},
};
use crate::{
    Connection, ConnectionSummary, EventKind, Interest, Listener, Observer, RequestHead,
    UpgradeSummary,
    event::{Sink, Teller},
};

/// Observer that writes down every exchange. Clones write into the same book.
///
/// It keeps what it was told until it and its clones are dropped, so it is for tests alone. Beside the observer that is
/// tested it stands in a tuple: `LifecycleLayer::new((observer, recorder.clone()))`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower_lifecycle::testing::BoxError> {
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_lifecycle::{LifecycleLayer, Reason, testing::{BoxError, MockBody, Recorder}};
///
/// let recorder = Recorder::new();
/// let service = LifecycleLayer::new(recorder.clone()).layer(service_fn(async |_: Request<_>| {
///     Ok::<_, BoxError>(Response::new(MockBody::fails_after(1)))
/// }));
/// let response = service.oneshot(Request::new(MockBody::empty())).await?;
/// assert!(http_body_util::BodyExt::collect(response.into_body()).await.is_err());
///
/// let exchange = recorder.only();
/// assert_eq!(exchange.reason(), Reason::ResponseFailed);
/// assert_eq!(
///     exchange.words(),
///     "begin req.end req.close(complete) \
///      response(200) res.data res.error(response_failed) close(response_failed)",
/// );
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Recorder {
    interest: Interest,
    patience: Duration,
    book: Book<Vec<Recording>>,
    connections: Book<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    opened: u64,
    closed: Vec<ConnectionSummary>,
    upgrades: Vec<UpgradeSummary>,
}

/// The recorder's state for one exchange.
struct Page {
    book: Book<Vec<Recording>>,
    index: usize,
}

impl Recorder {
    /// Interested in everything.
    pub fn new() -> Self {
        Self::with_interest(Interest::ALL)
    }

    /// Interested in less: for the cost of it, or to see what another observer with this interest hears.
    pub fn with_interest(interest: Interest) -> Self {
        Self { interest, patience: PATIENCE, book: Book::default(), connections: Book::default() }
    }

    /// How long [`wait_closed`](Self::wait_closed) and [`settled`](Self::settled) wait: ten seconds unless told.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// All exchanges so far, in the order of their begin.
    pub fn exchanges(&self) -> Vec<Recording> {
        self.book.read(Vec::clone)
    }

    /// The only exchange, which is over, with its grammar checked.
    ///
    /// # Panics
    /// When there is none or more than one, and as [`Recording::assert_grammar`] does.
    #[track_caller]
    pub fn only(&self) -> Recording {
        let mut exchanges = self.exchanges();
        assert_eq!(exchanges.len(), 1, "one exchange was expected: {exchanges:#?}");
        let exchange = exchanges.remove(0);
        exchange.assert_grammar();
        exchange
    }

    /// Blocks the thread until at least `count` exchanges have begun and all that have begun are over. For threads; tasks
    /// use [`settled`](Self::settled).
    ///
    /// # Panics
    /// After the [patience](Self::with_patience).
    #[track_caller]
    pub fn wait_closed(&self, count: usize) -> Vec<Recording> {
        let settled = self.book.wait_blocking(self.patience, |book| is_settled(book, count));
        self.settled_or_panic(settled, count)
    }

    /// Waits until at least `count` exchanges have begun and all that have begun are over. It needs tokio's timer.
    ///
    /// Cancel safe: it only looks.
    ///
    /// # Panics
    /// After the [patience](Self::with_patience).
    pub async fn settled(&self, count: usize) -> Vec<Recording> {
        let settled = self.book.wait(self.patience, |book| is_settled(book, count)).await;
        self.settled_or_panic(settled, count)
    }

    /// How many connections were opened.
    pub fn opened(&self) -> u64 {
        self.connections.read(|connections| connections.opened)
    }

    /// The connections that are closed, in the order of their close.
    pub fn connections(&self) -> Vec<ConnectionSummary> {
        self.connections.read(|connections| connections.closed.clone())
    }

    /// The upgraded streams whose guards were dropped, in that order.
    pub fn upgrades(&self) -> Vec<UpgradeSummary> {
        self.connections.read(|connections| connections.upgrades.clone())
    }

    /// Waits until at least `count` connections were opened and all that were are closed. It needs tokio's timer.
    ///
    /// Cancel safe: it only looks.
    ///
    /// # Panics
    /// After the [patience](Self::with_patience).
    pub async fn disconnected(&self, count: usize) -> Vec<ConnectionSummary> {
        let all = |connections: &Connections| {
            let closed = connections.closed.len();
            closed >= count && closed as u64 == connections.opened
        };
        let settled = self.connections.wait(self.patience, all).await;
        let (opened, closed) = (self.opened(), self.connections());
        assert!(settled, "not {count} connections, all closed, of {opened} opened: {closed:#?}");
        closed
    }

    #[track_caller]
    fn settled_or_panic(&self, settled: bool, count: usize) -> Vec<Recording> {
        let (exchanges, patience) = (self.exchanges(), self.patience);
        assert!(settled, "not {count} exchanges, all over, after {patience:?}: {exchanges:#?}");
        exchanges
    }
}

/// Over is who cannot be told of more.
fn is_settled(book: &[Recording], count: usize) -> bool {
    book.len() >= count && book.iter().all(|exchange| exchange.dropped)
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Recorder {
    type State = Box<dyn Listener>;

    fn interest(&self) -> Interest {
        self.interest
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<Self::State> {
        let begin = Recording::begin(EventKind::begin(head), self.interest);
        let index = self.book.write(|book| {
            book.push(begin);
            book.len() - 1
        });
        Some(Box::new(Teller(Page { book: self.book.clone(), index })))
    }

    fn on_connection_open(&self, _: &Connection) {
        self.connections.write(|connections| connections.opened += 1);
    }

    fn on_connection_close(&self, summary: &ConnectionSummary) {
        self.connections.write(|connections| connections.closed.push(summary.clone()));
    }

    fn on_upgrade_close(&self, summary: &UpgradeSummary) {
        self.connections.write(|connections| connections.upgrades.push(summary.clone()));
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.exchanges().iter().map(ToString::to_string).collect();
        f.debug_struct("Recorder").field("exchanges", &words).finish_non_exhaustive()
    }
}

impl Page {
    fn write(&self, change: impl FnOnce(&mut Recording)) {
        self.book.write(|book| change(&mut book[self.index]));
    }
}

impl Sink for Page {
    fn put(&mut self, kind: EventKind) {
        self.write(|exchange| exchange.hooks.push(kind));
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.write(|exchange| exchange.dropped = true);
    }
}
