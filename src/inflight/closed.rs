//! Exchanges that have closed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Headers, Open, registry::Entry};
use crate::{Class, ExchangeId, Summary};

/// An exchange that has closed, as it is remembered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Closed {
    /// Which.
    pub id: ExchangeId,
    /// What became of it: the verdict, what passed, when, and who waited on whom. Without target and trailers.
    pub summary: Summary,
    /// What it came to.
    pub class: Class,
    /// When it closed.
    pub ended: Instant,
    /// From begin to close.
    pub duration: Duration,
    headers: Headers,
    entry: Arc<Entry>,
}

/// All that is known of one exchange.
#[derive(Clone, Debug)]
pub enum Story {
    /// It is open.
    Open(Box<Open>),
    /// It has closed.
    Closed(Arc<Closed>),
}

/// What is kept of one that has closed, until somebody looks: the exchange itself, which has its summary.
#[derive(Clone, Debug)]
pub(super) struct Past {
    entry: Arc<Entry>,
    pub(super) class: Class,
    /// In nanoseconds.
    pub(super) lasted: u64,
}

impl Past {
    pub(super) fn new(entry: Arc<Entry>, class: Class, lasted: u64) -> Self {
        Self { entry, class, lasted }
    }

    /// In nanoseconds since the first began.
    pub(super) fn ended(&self) -> u64 {
        self.entry.since.saturating_add(self.lasted)
    }

    fn duration(&self) -> Duration {
        Duration::from_nanos(self.lasted)
    }

    pub(super) fn id(&self) -> ExchangeId {
        self.entry.head.id
    }

    /// `None` while its hooks are being called, unless they are handed the summary.
    pub(super) fn told(&self) -> Option<Arc<Closed>> {
        Some(self.told_with(self.entry.view.summary()?))
    }

    #[cold]
    pub(super) fn told_with(&self, mut summary: Summary) -> Arc<Closed> {
        summary.shrink();
        let Self { entry, class, .. } = self.clone();
        let duration = self.duration();
        // A clock can be made to stand at its end.
        let ended = entry.began.checked_add(duration).unwrap_or(entry.began);
        let (id, headers) = (entry.head.id, entry.headers());
        Arc::new(Closed { id, summary, class, ended, duration, headers, entry })
    }
}

impl Closed {
    /// The path that was asked for, at most its first 1,024 bytes, without the query, which may have secrets.
    pub fn path(&self) -> &str {
        self.entry.head.path()
    }

    /// The headers that were allowed to be kept.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }
}
