//! How exchanges come into the registry, and leave it.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering, fence},
    },
    time::Instant,
};

use http::HeaderName;
use tokio::sync::Notify;

use super::{
    Change, InFlight, Open,
    changes::Teller,
    closed::Past,
    head::{self, Head},
    history::{History, nanos},
    registry::{Entry, Place, Registry},
};
use crate::{
    Classifier, Connection, ConnectionSummary, ExchangeView, Interest, Listener, Mark, Observer,
    Reason, RequestHead, ResponseHead, Summary, UpgradeSummary, clock::Clock,
};

pub(super) struct Shared {
    pub(super) kept: Kept,
    pub(super) registry: Registry,
    pub(super) history: History,
    pub(super) teller: Teller,
    /// That of the layer.
    clock: OnceLock<Clock>,
    pub(super) idle: Notify,
    /// How many wait for that.
    pub(super) waiting: AtomicUsize,
}

/// What of an exchange is kept.
pub(super) struct Kept {
    pub(super) times: bool,
    pub(super) request_headers: Vec<HeaderName>,
    pub(super) response_headers: Vec<HeaderName>,
}

/// One exchange in an [`InFlight`].
pub struct InFlightState {
    shared: Arc<Shared>,
    /// Until it is in the registry.
    head: Option<Head>,
    /// While it is counted.
    counted: Option<(Arc<Entry>, Place)>,
}

impl Shared {
    pub(super) fn new(kept: Kept, registry: Registry, history: History, teller: Teller) -> Self {
        let (idle, waiting) = (Notify::new(), AtomicUsize::new(0));
        Self { kept, registry, history, teller, clock: OnceLock::new(), idle, waiting }
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock.get().cloned().unwrap_or_default()
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.get().map_or_else(|| Clock::default().now(), Clock::now)
    }

    /// An exchange is counted no more.
    fn left(&self, place: Place) {
        if self.registry.left(place) {
            self.less();
        }
    }

    /// Something that keeps it from being idle is over.
    fn less(&self) {
        // With that of who begins to wait: one of both sees what the other has done before.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.idle.notify_waiters();
        }
    }
}

impl Observer for InFlight {
    type State = InFlightState;

    fn interest(&self) -> Interest {
        let Kept { times, response_headers, .. } = &self.0.kept;
        // A failure of gRPC is in the trailers, and the copy is let go of at the close.
        let mut interest = Interest::VIEW
            | Interest::CLOSE
            | Interest::CONNECTION
            | Interest::DISCONNECT
            | Interest::TRAILERS;
        if *times {
            interest |= Interest::WAITS;
        }
        if !response_headers.is_empty() {
            interest |= Interest::RESPONSE;
        }
        interest
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<InFlightState> {
        let shared = Arc::clone(&self.0);
        shared.clock.get_or_init(|| head.clock.clone());
        let head = Some(Head::new(head, &shared.kept.request_headers));
        Some(InFlightState { head, counted: None, shared })
    }

    fn on_connection_open(&self, connection: &Connection) {
        self.0.registry.connect(connection);
        self.0.teller.tell(|| Change::Connected(connection.clone()));
    }

    fn on_connection_close(&self, summary: &ConnectionSummary) {
        self.0.registry.disconnect(summary.connection.id());
        self.0.less();
        self.0.teller.tell(|| Change::Disconnected(Arc::new(summary.clone())));
    }

    fn on_upgrade_close(&self, _: &UpgradeSummary) {
        self.0.less();
    }
}

impl Listener for InFlightState {
    fn opened(&mut self, view: &ExchangeView) {
        let Some(head) = self.head.take() else { return };
        let began = view.began().unwrap_or_else(|| view.now());
        let Shared { registry, history, teller, kept, .. } = &*self.shared;
        let (since, view) = (history.since(began), view.clone());
        let entry = Arc::new(Entry { head, response_headers: OnceLock::new(), began, since, view });
        let place = registry.insert(&entry);
        teller.tell(|| Change::Opened(Arc::new(Open::new(&entry, kept.times))));
        self.counted = Some((entry, place));
    }

    fn on_response(&mut self, response: &ResponseHead<'_>) {
        if let Some((entry, _)) = &self.counted {
            let kept = head::keep(response.headers, &self.shared.kept.response_headers);
            let _ = entry.response_headers.set(kept);
        }
    }

    fn on_close(&mut self, summary: &Summary) {
        let Some((entry, place)) = self.counted.take() else { return };
        let Shared { registry, history, teller, .. } = &*self.shared;
        registry.remove(entry.head.id, place);
        let lasted = match summary.marks.offset(Mark::Close).checked_sub(1) {
            Some(lasted) => lasted,
            None => nanos(entry.view.now().saturating_duration_since(entry.began)),
        };
        if let (Reason::Upgraded, Some(connection)) = (summary.close.reason, &summary.connection) {
            registry.upgraded(connection.id(), &entry);
        }
        let past = Past::new(entry, Classifier::new().classify(summary), lasted);
        teller.tell(|| Change::Closed(past.told_with(summary.clone())));
        history.push(past);
        self.shared.left(place);
    }
}

/// It may be dropped before the close: a panic silences it.
impl Drop for InFlightState {
    fn drop(&mut self) {
        if let Some((entry, place)) = self.counted.take() {
            self.shared.registry.remove(entry.head.id, place);
            self.shared.left(place);
        }
    }
}

pub(super) async fn idle(inflight: &InFlight) {
    struct Waits<'a>(&'a Shared);

    impl Drop for Waits<'_> {
        fn drop(&mut self) {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    let shared = &*inflight.0;
    shared.waiting.fetch_add(1, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    let _waits = Waits(shared);
    loop {
        // Made before the look, so that no end after it is missed.
        let told = shared.idle.notified();
        if inflight.is_idle() {
            return;
        }
        told.await;
    }
}

impl fmt::Debug for InFlightState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.counted.as_ref().map(|(entry, _)| &entry.head);
        f.debug_struct("InFlightState").field("head", &entry).finish_non_exhaustive()
    }
}
