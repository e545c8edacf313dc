//! The exchanges and connections that are open.
//!
//! In shards, so that those who begin and close do not wait for each other. A shard's lock is held to put an entry in, to take
//! it out, or to copy what is there; what copies show is read afterwards.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use http::{HeaderName, HeaderValue};
use slab::Slab;

use super::{Headers, head::Head, tally::Tally};
use crate::{Connection, ConnectionId, ExchangeId, ExchangeView, conn::lock};

const SHARDS: usize = 64;

#[derive(Debug)]
pub(super) struct Registry {
    most: usize,
    exchanges: [Shard<Slab<Arc<Entry>>>; SHARDS],
    open: Tally,
    /// Since the start.
    opened: AtomicU64,
    connections: [Shard<HashMap<ConnectionId, Line>>; SHARDS],
    connected: Tally,
}

/// Alone on its line of the cache.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard<T>(Mutex<T>);

/// An exchange, shared by those who know it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) head: Head,
    pub(super) response_headers: OnceLock<Vec<(HeaderName, HeaderValue)>>,
    pub(super) began: Instant,
    /// The same in nanoseconds since the first.
    pub(super) since: u64,
    pub(super) view: ExchangeView,
}

/// A connection.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) connection: Connection,
    pub(super) opened: Instant,
    /// What the last exchange that upgraded it asked for.
    pub(super) upgraded: Option<Arc<Entry>>,
    /// There was room for it. What it was upgraded to keeps the rest from being idle all the same.
    pub(super) shown: bool,
}

/// Where an exchange is counted, and with what key if it is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(Option<usize>);

impl Entry {
    pub(super) fn headers(&self) -> Headers {
        let response = self.response_headers.get().cloned().unwrap_or_default();
        Headers { request: self.head.request_headers.clone(), response }
    }
}

impl Registry {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            exchanges: std::array::from_fn(|_| Shard::default()),
            open: Tally::default(),
            opened: AtomicU64::new(0),
            connections: std::array::from_fn(|_| Shard::default()),
            connected: Tally::default(),
        }
    }

    /// Nobody is put out to make room.
    pub(super) fn insert(&self, entry: &Arc<Entry>) -> Place {
        self.opened.fetch_add(1, Ordering::Relaxed);
        if !self.open.enter(self.most) {
            return Place(None);
        }
        let shard = of(&self.exchanges, entry.head.id.get());
        Place(Some(lock(&shard.0).insert(Arc::clone(entry))))
    }

    /// It is shown no more. It is counted until [`left`](Self::left) is called.
    pub(super) fn remove(&self, id: ExchangeId, place: Place) {
        if let Some(key) = place.0 {
            let entry = lock(&of(&self.exchanges, id.get()).0).try_remove(key);
            drop(entry);
        }
    }

    /// It is counted no more. Whether it was the last.
    pub(super) fn left(&self, place: Place) -> bool {
        self.open.leave(place.0.is_some())
    }

    /// How many are open, and of those how many are not shown.
    pub(super) fn open(&self) -> (usize, usize) {
        let (shown, not_shown) = self.open.read();
        (shown + not_shown, not_shown)
    }

    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
        // Shards grow meanwhile.
        let mut entries = Vec::with_capacity(self.open.read().0);
        for shard in &self.exchanges {
            entries.extend(lock(&shard.0).iter().map(|(_, entry)| Arc::clone(entry)));
        }
        entries
    }

    pub(super) fn find(&self, id: ExchangeId) -> Option<Arc<Entry>> {
        let shard = lock(&of(&self.exchanges, id.get()).0);
        shard.iter().find(|(_, entry)| entry.head.id == id).map(|(_, entry)| Arc::clone(entry))
    }

    pub(super) fn connect(&self, connection: &Connection) {
        let shown = self.connected.enter(self.most);
        let opened = connection.0.clock().now();
        let line = Line { connection: connection.clone(), opened, upgraded: None, shown };
        let id = connection.id();
        let twice = lock(&of(&self.connections, id.get()).0).insert(id, line);
        self.disconnected(twice.as_ref());
    }

    pub(super) fn disconnect(&self, id: ConnectionId) {
        let line = lock(&of(&self.connections, id.get()).0).remove(&id);
        self.disconnected(line.as_ref());
    }

    fn disconnected(&self, line: Option<&Line>) {
        if let Some(line) = line {
            self.connected.leave(line.shown);
        }
    }

    pub(super) fn upgraded(&self, id: ConnectionId, by: &Arc<Entry>) {
        let mut lines = lock(&of(&self.connections, id.get()).0);
        let before = lines.get_mut(&id).and_then(|line| line.upgraded.replace(Arc::clone(by)));
        drop(lines);
        drop(before);
    }

    pub(super) fn lines(&self, lets: impl Fn(&Line) -> bool) -> Vec<Line> {
        let mut lines = Vec::with_capacity(self.connected.read().0);
        for shard in &self.connections {
            lines.extend(lock(&shard.0).values().filter(|line| lets(line)).cloned());
        }
        lines
    }

    #[cfg(feature = "inspector")]
    pub(super) fn line(&self, id: ConnectionId) -> Option<Line> {
        lock(&of(&self.connections, id.get()).0).get(&id).filter(|line| line.shown).cloned()
    }

    /// Whether a stream that was upgraded is open, on any connection.
    pub(super) fn has_upgrades(&self) -> bool {
        let upgraded = |line: &Line| line.connection.open_upgrades() > 0;
        self.connections.iter().any(|shard| lock(&shard.0).values().any(upgraded))
    }

    pub(super) fn connections_not_shown(&self) -> usize {
        self.connected.read().1
    }
}

/// Ids are given out one after the other, so that neighbours are in different shards.
fn of<T>(shards: &[Shard<T>; SHARDS], id: u64) -> &Shard<T> {
    &shards[usize::try_from(id % SHARDS as u64).unwrap_or_default()]
}
