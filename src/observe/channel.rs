//! A bounded channel of events, which never loses the close of an exchange that it told of.
//!
//! A queue that has a bound, makes nobody wait and never loses a close is a contradiction, unless the place of a close is
//! taken before there is one: an exchange takes it with its `begin`, or is not told of at all. The place is a permit of
//! tokio's channel, so it is in the bound, and is given back by its drop.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use tokio::sync::{
    Semaphore,
    mpsc::{
        self, OwnedPermit, Permit, Receiver, Sender,
        error::{TryRecvError as Refused, TrySendError},
    },
};

use super::{compose::forward, shield};
use crate::{
    Data, Disconnect, End, Event, EventKind, ExchangeId, Failure, Finish, Interest, Listener,
    Observer, RequestClose, RequestHead, ResponseHead, Summary,
    event::{Sink, Teller},
};

/// A bounded channel: an observer that sends what it hears, and the events for another task to read.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_lifecycle::{EventKind, LifecycleLayer, observe};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (observer, mut events) = observe::channel(4096);
/// let reader = tokio::spawn(async move {
///     while let Some(event) = events.recv().await {
///         if let EventKind::Close(summary) = event.kind {
///             println!("{} {} {}", event.exchange, summary.method, summary.close);
///         }
///     }
///     (events.missed_exchanges(), events.dropped_events())
/// });
///
/// let app: Router = Router::new()
///     .route("/", get(async || "Hello"))
///     .layer(LifecycleLayer::new(observer));
/// # let request = http::Request::new(axum::body::Body::empty());
/// # drop(tower::ServiceExt::oneshot(app, request).await);
/// # assert_eq!(reader.await.unwrap(), (0, 0));
/// # }
/// ```
///
/// # What is lost when the reader is slow
/// Nobody ever waits for the reader. An exchange takes two places when it begins: one for its [`Begin`](EventKind::Begin)
/// and one that is kept for its [`Close`](EventKind::Close). Where there are not two, the exchange is *missed*: nothing
/// is told of it, and it is counted. Any other event that finds no place is *dropped* and counted. So the reader receives
/// the events of an exchange in the order of its hooks, some may be missing between, and after its `Begin` there always
/// comes its `Close`, last. All totals are in the `Close`.
///
/// Once [`Events`] is dropped nothing is told, kept or counted any more, and observing costs next to nothing.
///
/// # Which capacity
/// As many places as there may be exchanges open at the same time, each of which keeps one, and as many as there may be
/// events unread: by default an ordinary exchange has seven. With 2,000 open exchanges, 5,000 new ones a second and a
/// reader that is away for 100 ms at most that is 2,000 + 5,000 × 7 × 0.1 = 5,500. Memory is taken for what is unread and
/// not for the capacity.
///
/// # Panics
/// When `capacity` is less than two: no exchange could begin.
pub fn channel(capacity: usize) -> (ChannelObserver, Events) {
    assert!(capacity >= 2, "an exchange needs two places, for its begin and for its close");
    let (sender, receiver) = mpsc::channel(capacity.min(Semaphore::MAX_PERMITS));
    let lost = Arc::new(Lost::default());
    let shared = Arc::new(Shared { sender, lost: Arc::clone(&lost) });
    let interest = Interest::DEFAULT - Interest::DATA;
    (ChannelObserver { shared, interest }, Events { receiver, lost })
}

/// The observer of a [`channel`]: sends what it hears as [`Event`]s. Clones send into the same channel.
#[derive(Clone)]
pub struct ChannelObserver {
    shared: Arc<Shared>,
    interest: Interest,
}

/// The state of a [`ChannelObserver`] for one exchange: the place of its close.
///
/// An observer of your own that wraps this one and drops its state before `on_close` gives the place back, and takes the
/// close from the reader.
pub struct ChannelState(Teller<Place>);

/// The events of a [`channel`], to be read by one task.
pub struct Events {
    receiver: Receiver<Event>,
    lost: Arc<Lost>,
}

/// Why [`Events::try_recv`] has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// None is there now.
    Empty,
    /// There will be none any more.
    Disconnected,
}

/// Apart from `Lost`, which the reader has too: with a sender of its own it would wait for itself.
struct Shared {
    sender: Sender<Event>,
    lost: Arc<Lost>,
}

#[derive(Debug, Default)]
struct Lost {
    events: AtomicU64,
    exchanges: AtomicU64,
}

/// Where one exchange puts its events.
struct Place {
    exchange: ExchangeId,
    shared: Arc<Shared>,
    close: Option<OwnedPermit<Event>>,
}

// ===== impl ChannelObserver =====

impl ChannelObserver {
    /// What to send, in place of [`Interest::DEFAULT`] without [`Interest::DATA`]: events by the frame would fill any
    /// channel, and their totals are in the events of the ends.
    ///
    /// [`Interest::CLOSE`] is always added to it, and a [`Begin`](EventKind::Begin) is always sent.
    pub fn with_interest(mut self, interest: Interest) -> Self {
        self.interest = interest | Interest::CLOSE;
        self
    }

    /// How many events were dropped so far because the channel was full.
    pub fn dropped_events(&self) -> u64 {
        self.shared.lost.events.load(Ordering::Relaxed)
    }

    /// How many exchanges were missed so far because the channel was full when they began.
    pub fn missed_exchanges(&self) -> u64 {
        self.shared.lost.exchanges.load(Ordering::Relaxed)
    }

    /// Whether the reader is gone.
    pub fn is_closed(&self) -> bool {
        self.shared.sender.is_closed()
    }
}

impl Observer for ChannelObserver {
    type State = ChannelState;

    fn interest(&self) -> Interest {
        self.interest
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<ChannelState> {
        let Shared { sender, lost } = &*self.shared;
        let missed = &lost.exchanges;
        // Two that begin at once may each take one of the last two places, and both be missed: no lock prevents it.
        let begin = sender.try_reserve().map_err(|refused| count(missed, &refused)).ok()?;
        let close = sender.clone().try_reserve_owned();
        let close = close.map_err(|refused| count(missed, &refused)).ok()?;
        let exchange = head.id();
        send(begin, Event { exchange, kind: EventKind::begin(head) });
        let shared = Arc::clone(&self.shared);
        Some(ChannelState(Teller(Place { exchange, shared, close: Some(close) })))
    }
}

/// Sends, and so wakes the reader by a waker that may be anybody's. Its panic is not the hook's, and costs no close.
fn send(permit: Permit<'_, Event>, event: Event) {
    shield(|| permit.send(event));
}

/// Counts what found no room. Without a reader there is nobody who could miss it.
fn count<T>(lost: &AtomicU64, refused: &TrySendError<T>) {
    if let TrySendError::Full(_) = refused {
        lost.fetch_add(1, Ordering::Relaxed);
    }
}

// ===== impl ChannelState =====

impl Listener for ChannelState {
    forward!(self => Some(&mut self.0));
}

impl Sink for Place {
    fn put(&mut self, kind: EventKind) {
        // tokio would keep what is sent to a reader who is gone until the last sender is.
        if let (Some(close), false) = (self.close.take(), self.shared.sender.is_closed()) {
            // As in `send`.
            shield(|| close.send(Event { exchange: self.exchange, kind }));
        }
    }

    fn offer(&mut self, make: impl FnOnce() -> EventKind) {
        let Shared { sender, lost } = &*self.shared;
        match sender.try_reserve() {
            Ok(permit) => send(permit, Event { exchange: self.exchange, kind: make() }),
            Err(refused) => count(&lost.events, &refused),
        }
    }
}

// ===== impl Events =====

impl Events {
    /// The next event, waiting for it; `None` when there will be none any more: every clone of the observer is dropped,
    /// with the layers and services that have it, all exchanges are closed, and everything was read.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn recv(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// The next event, if it is there.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty) when there is none now, and [`Disconnected`](TryRecvError::Disconnected) where
    /// [`recv`](Self::recv) would return `None`.
    pub fn try_recv(&mut self) -> Result<Event, TryRecvError> {
        self.receiver.try_recv().map_err(|refused| match refused {
            Refused::Empty => TryRecvError::Empty,
            Refused::Disconnected => TryRecvError::Disconnected,
        })
    }

    /// [`recv`](Self::recv) for a hand-written future, or for a stream: `futures_util::stream::poll_fn` makes one of it.
    /// Only the waker of the last call is woken.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.receiver.poll_recv(cx)
    }

    /// How many events were dropped so far because the channel was full.
    pub fn dropped_events(&self) -> u64 {
        self.lost.events.load(Ordering::Relaxed)
    }

    /// How many exchanges were missed so far because the channel was full when they began.
    pub fn missed_exchanges(&self) -> u64 {
        self.lost.exchanges.load(Ordering::Relaxed)
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "no event is there now",
            Self::Disconnected => "there will be no event any more",
        })
    }
}

impl Error for TryRecvError {}

// ===== impl Debug =====

impl fmt::Debug for ChannelObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelObserver")
            .field("interest", &self.interest)
            .field("lost", &self.shared.lost)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ChannelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelState").field("exchange", &self.0.0.exchange).finish_non_exhaustive()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("lost", &self.lost).finish_non_exhaustive()
    }
}
