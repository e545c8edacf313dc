//! Who hears of changes.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::broadcast;

use super::{Closed, Open};
use crate::{Connection, ConnectionSummary};

/// A subscription to what opens and closes: [`InFlight::subscribe`](super::InFlight::subscribe).
///
/// It begins where it was made. Nobody waits for it: who is slower than 4,096 changes is told how many it has
/// [missed](Change::Missed), and has no effect on others.
pub struct Changes {
    hears: broadcast::Receiver<Change>,
    /// Not the teller: its end is the end of what is heard.
    subscribers: Arc<AtomicUsize>,
}

/// What has changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// An exchange has begun.
    Opened(Arc<Open>),
    /// An exchange has closed.
    Closed(Arc<Closed>),
    /// A connection was accepted.
    Connected(Connection),
    /// A connection is over.
    Disconnected(Arc<ConnectionSummary>),
    /// So many changes came and went, because nobody took them.
    Missed(u64),
}

/// There are as many subscribers as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManySubscribers {
    /// As many as there may be.
    pub max: usize,
}

/// Tells subscribers, if there are some.
#[derive(Debug)]
pub(super) struct Teller {
    max: usize,
    subscribers: Arc<AtomicUsize>,
    tells: OnceLock<broadcast::Sender<Change>>,
}

const BEHIND: usize = 4096;

impl Teller {
    pub(super) fn new(max: usize) -> Self {
        Self { max, subscribers: Arc::default(), tells: OnceLock::new() }
    }

    pub(super) fn subscribe(&self) -> Result<Changes, TooManySubscribers> {
        let room = |there: usize| (there < self.max).then_some(there + 1);
        let counted = self.subscribers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        counted.map_err(|_| TooManySubscribers { max: self.max })?;
        let tells = self.tells.get_or_init(|| broadcast::Sender::new(BEHIND));
        Ok(Changes { hears: tells.subscribe(), subscribers: Arc::clone(&self.subscribers) })
    }

    #[inline]
    pub(super) fn tell(&self, change: impl FnOnce() -> Change) {
        if self.subscribers.load(Ordering::Relaxed) > 0 {
            self.tell_all(change());
        }
    }

    #[cold]
    fn tell_all(&self, change: Change) {
        if let Some(tells) = self.tells.get() {
            // Whoever subscribed may be gone.
            let _ = tells.send(change);
        }
    }
}

impl Changes {
    /// The next change; `None` when there can be no more, because the [`InFlight`](super::InFlight) is gone. Cancel safe.
    pub async fn recv(&mut self) -> Option<Change> {
        match self.hears.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Change::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.subscribers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("behind", &self.hears.len()).finish_non_exhaustive()
    }
}

impl fmt::Display for TooManySubscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.max;
        write!(
            f,
            "there are {max} subscribers, as many as may be; drop one, or raise `max_subscribers`"
        )
    }
}

impl std::error::Error for TooManySubscribers {}
