//! Where queues and their events are kept.
//!
//! A store is the source that a parked poll reads: it decides what a poll may see, numbers the events, and tells the other
//! servers on it what they have to wake. It knows nothing of HTTP.

pub mod embedded;
pub mod redis;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::id::QueueId;

/// The number of an event in its queue: from 0, strictly increasing, gaps allowed. −1 is nothing.
pub type EventId = i64;

/// Nothing seen yet.
pub const NOTHING: EventId = -1;

/// A user, by the `sub` of the token.
pub type UserId = Arc<str>;

/// What a store bounds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Queues of one user.
    pub queues_per_user: usize,
    /// Events of a queue that are not acknowledged. One more ends the queue.
    pub events_per_queue: usize,
    /// Bytes of them. More end the queue.
    pub bytes_per_queue: usize,
    /// Events in one answer.
    pub page: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queues_per_user: 32, events_per_queue: 1000, bytes_per_queue: 1 << 20, page: 100 }
    }
}

/// A queue as it is registered. None of it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who may read it.
    pub owner: UserId,
    /// The types of events it takes; `None` is all.
    pub event_types: Option<Vec<String>>,
    /// How long it lives after its last poll.
    pub idle_timeout: Duration,
    /// Whether an empty answer is a numbered event.
    pub heartbeat: bool,
}

/// An event that is not yet in a queue.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its `type`.
    pub kind: Arc<str>,
    /// A JSON object with at least one field, `type`, and without `id`.
    pub json: Bytes,
}

/// An event in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub id: EventId,
    /// What was sent.
    pub json: Bytes,
}

/// Where an event goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// All queues of these users that take its type.
    Users(Vec<UserId>),
    /// These queues, if they exist and take its type.
    Queues(Vec<QueueId>),
    /// This queue, whatever it takes: a heartbeat.
    Heartbeat(QueueId),
}

/// What became of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// The queues that have it, safely.
    pub stored: Vec<QueueId>,
    /// The queues that ended by it: it was one too many. Whoever polls them is to be told.
    pub overflowed: Vec<QueueId>,
}

/// How a poll begins.
#[derive(Clone, Copy, Debug)]
pub struct Begin<'a> {
    /// The queue.
    pub queue: QueueId,
    /// Who asks.
    pub owner: &'a str,
    /// The newest event that the client has: it and all before it are acknowledged.
    pub seen: EventId,
}

/// A poll that has begun. [`Store::end`] is to be called once for each.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The queue's properties.
    pub session: Arc<Session>,
    /// Whether something was acknowledged that was not before.
    pub progress: bool,
}

/// A queue that a poll has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which poll has the queue: grows by each that takes it. For [`Store::read`].
    pub turn: u64,
    /// As by [`Store::read`].
    pub events: Vec<Event>,
}

/// What goes on elsewhere on the same store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The queue is to be looked at: it has an event, was taken over by another server, or has ended.
    Look(QueueId),
    /// Notices may have been missed: all queues are to be looked at.
    LookAtAll,
}

/// Where notices go. Called by the store, must not block.
pub type OnNotice = Arc<dyn Fn(Notice) + Send + Sync>;

/// Why a store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such queue, or it is another user's: which, is not told.
    #[error("there is no such queue")]
    NotFound,
    /// The user has as many queues as allowed.
    #[error("the user has {0} queues, which is the limit")]
    TooManyQueues(usize),
    /// What was asked for is not kept any more.
    #[error("events after {0} were acknowledged before, and are gone")]
    Pruned(EventId),
    /// An id that no event had.
    #[error("no event has had the id {0}")]
    UnknownEvent(EventId),
    /// The queue took one event too many. It is told once; the queue is then gone.
    #[error("the queue had more events than it may keep")]
    Overflowed,
    /// A later poll has the queue.
    #[error("a later poll has the queue")]
    Superseded,
    /// The store cannot be used now. It may come back by itself.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A defect.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// What a store says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Queues, where the store knows it without counting.
    pub queues: Option<u64>,
}

/// Queues and events. Everything is cancel safe: what was begun is done or not, never half.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Makes a queue.
    async fn create(&self, queue: QueueId, session: Session) -> Result<(), StoreError>;

    /// A queue's properties, for its owner. It is not a poll, and keeps no queue alive.
    ///
    /// # Errors
    /// `NotFound`.
    async fn session(&self, queue: QueueId, owner: &str) -> Result<Arc<Session>, StoreError>;

    /// Begins a poll: checks who asks and what for, acknowledges, and keeps the queue alive until [`end`](Self::end).
    ///
    /// # Errors
    /// `NotFound`, `Pruned`, `UnknownEvent`, `Overflowed`, and then the poll has not begun.
    async fn begin(&self, begin: Begin<'_>) -> Result<Begun, StoreError>;

    /// Takes the queue over from a poll that took it before, on whatever server, and reads as [`read`](Self::read) does: the
    /// first look of a poll that has begun, and is registered to be woken. Not for one that will not park.
    ///
    /// # Errors
    /// `NotFound` when the queue was removed, `Overflowed`.
    async fn take(&self, queue: QueueId, after: EventId) -> Result<Taken, StoreError>;

    /// The oldest events after `after`, a page at most; none if there are none. For a poll that took the queue, with its turn.
    ///
    /// # Errors
    /// `NotFound` when the queue was removed, `Overflowed`, `Superseded` when a later poll has taken it.
    async fn read(
        &self,
        queue: QueueId,
        after: EventId,
        turn: Option<u64>,
    ) -> Result<Vec<Event>, StoreError>;

    /// Ends a poll: the queue's idle time counts from here. Does not wait, and may be called in a `Drop`.
    fn end(&self, queue: QueueId);

    /// Stores an event. When it returns, the event is safe; what returns an error may or may not be stored.
    async fn append(&self, target: Target, event: NewEvent) -> Result<Appended, StoreError>;

    /// Removes a queue.
    ///
    /// # Errors
    /// `NotFound`.
    async fn remove(&self, queue: QueueId, owner: &str) -> Result<(), StoreError>;

    /// Whether other servers may be on it. If not, all who take a queue are polls of this one.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether it could store an event now.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Numbers for `/metrics`.
    fn stats(&self) -> Stats;

    /// Stores what is not stored, and lets go of files and connections. Calls after it fail.
    async fn close(&self);
}
