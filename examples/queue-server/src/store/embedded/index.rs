//! What a queue's poll has to know without reading the file: kept in memory for all of them, behind one short lock.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{batch::Growth, tables::Stored};
use crate::{
    id::QueueId,
    store::{Begin, Begun, EventId, Limits, NOTHING, Session, StoreError, Target, UserId},
};

/// Later than any queue lives, and a time that a clock has.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86400);

/// All queues.
///
/// 1. A queue is in `queues` and with its owner in `owners`, or in neither.
/// 2. It is in `due` exactly when no poll is in progress.
/// 3. Only events that the file has are counted: the committer shows them after their commit.
///
/// The maps are trees, because a hash table of 100,000 queues pauses for milliseconds when it grows.
#[derive(Debug)]
pub(super) struct Index {
    queues: BTreeMap<QueueId, Queue>,
    owners: BTreeMap<UserId, Vec<QueueId>>,
    /// When queues expire.
    due: BTreeSet<(Instant, QueueId)>,
    /// What the file does not know yet.
    pub(super) pending: Pending,
    limits: Limits,
    closed: bool,
}

/// What nobody waits for. One entry a queue, however often it is polled.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// With the number of their events.
    pub(super) removed: BTreeMap<QueueId, usize>,
    /// Up to which event. Lost in a crash, the client's next poll says it again.
    pub(super) pruned: BTreeMap<QueueId, EventId>,
}

#[derive(Debug)]
struct Queue {
    session: Arc<Session>,
    next: EventId,
    /// Of the events that are kept, the newest of which is `next − 1`.
    sizes: VecDeque<u32>,
    bytes: usize,
    turn: u64,
    polls: u32,
    /// When it expires, if no poll is in progress.
    due: Option<Instant>,
    overflowed: bool,
}

/// What a queue keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) next: EventId,
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// Nothing under it panics half-way.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// ===== impl Index =====

impl Index {
    /// What the file has. The idle time of all counts from here, since nobody could poll before.
    pub(super) fn new(stored: Vec<Stored>, limits: Limits, now: Instant) -> Self {
        let mut index = Self {
            queues: BTreeMap::new(),
            owners: BTreeMap::new(),
            due: BTreeSet::new(),
            pending: Pending::default(),
            limits,
            closed: false,
        };
        for Stored { id, session, next, overflowed, sizes } in stored {
            index.insert(id, Arc::new(session), now);
            if let Some(queue) = index.queues.get_mut(&id) {
                queue.bytes = sizes.iter().map(|size| *size as usize).sum();
                (queue.next, queue.overflowed, queue.sizes) = (next, overflowed, sizes);
            }
        }
        index
    }

    pub(super) fn begin(&mut self, poll: &Begin<'_>, now: Instant) -> Result<Begun, StoreError> {
        self.check_open()?;
        let queue = self.live(poll.queue, now)?;
        if *queue.session.owner != *poll.owner {
            return Err(StoreError::NotFound);
        }
        if queue.overflowed {
            self.drop_queue(poll.queue);
            return Err(StoreError::Overflowed);
        }
        if poll.seen < NOTHING || poll.seen >= queue.next {
            return Err(StoreError::UnknownEvent(poll.seen));
        }
        if poll.seen < queue.base() {
            return Err(StoreError::Pruned(poll.seen));
        }
        let progress = queue.acknowledge(poll.seen);
        queue.polls += 1;
        let begun = Begun { session: Arc::clone(&queue.session), progress };
        if let Some(due) = queue.due.take() {
            self.due.remove(&(due, poll.queue));
        }
        if progress {
            self.prune_later(poll.queue, poll.seen);
        }
        Ok(begun)
    }

    pub(super) fn session(
        &mut self,
        id: QueueId,
        owner: &str,
        now: Instant,
    ) -> Result<Arc<Session>, StoreError> {
        self.check_open()?;
        let session = Arc::clone(&self.live(id, now)?.session);
        if *session.owner == *owner { Ok(session) } else { Err(StoreError::NotFound) }
    }

    /// The turn of a poll that takes the queue, and which events it may read.
    pub(super) fn take(
        &mut self,
        id: QueueId,
        after: EventId,
        now: Instant,
    ) -> Result<(u64, Option<RangeInclusive<EventId>>), StoreError> {
        self.check_open()?;
        let queue = self.live(id, now)?;
        queue.turn += 1;
        let turn = queue.turn;
        Ok((turn, self.readable(id, after, Some(turn), now)?))
    }

    /// Which events a poll may read from the file.
    pub(super) fn readable(
        &mut self,
        id: QueueId,
        after: EventId,
        turn: Option<u64>,
        now: Instant,
    ) -> Result<Option<RangeInclusive<EventId>>, StoreError> {
        self.check_open()?;
        let queue = self.live(id, now)?;
        if turn.is_some_and(|turn| turn != queue.turn) {
            return Err(StoreError::Superseded);
        }
        if queue.overflowed {
            self.drop_queue(id);
            return Err(StoreError::Overflowed);
        }
        let ids = after.max(queue.base()).saturating_add(1)..=queue.next - 1;
        Ok((!ids.is_empty()).then_some(ids))
    }

    pub(super) fn end(&mut self, id: QueueId, now: Instant) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.polls = queue.polls.saturating_sub(1);
        if queue.polls == 0 && queue.due.is_none() {
            let due = now + queue.session.idle_timeout.min(FOREVER);
            queue.due = Some(due);
            self.due.insert((due, id));
        }
    }

    pub(super) fn remove(
        &mut self,
        id: QueueId,
        owner: &str,
        now: Instant,
    ) -> Result<(), StoreError> {
        self.session(id, owner, now)?;
        self.drop_queue(id);
        Ok(())
    }

    /// Removes queues that have expired, some of them at most. Whether there may be more.
    pub(super) fn expire(&mut self, now: Instant, at_most: usize) -> bool {
        for _ in 0..at_most {
            match self.due.first() {
                Some(&(due, id)) if due <= now => self.drop_queue(id),
                _ => return false,
            }
        }
        true
    }

    /// Whether a user may have another queue, besides `made` that are about to be.
    pub(super) fn admit(
        &mut self,
        owner: &UserId,
        made: usize,
        now: Instant,
    ) -> Result<(), StoreError> {
        let limit = self.limits.queues_per_user;
        let Some(queues) = self.owners.get(owner) else {
            return if made < limit { Ok(()) } else { Err(StoreError::TooManyQueues(limit)) };
        };
        if queues.len() + made < limit {
            return Ok(());
        }
        // They are gone for their owner, so they must not count.
        let expired: Vec<_> = queues.iter().copied().filter(|id| self.expired(*id, now)).collect();
        let left = queues.len() - expired.len();
        for id in expired {
            self.drop_queue(id);
        }
        if left + made < limit { Ok(()) } else { Err(StoreError::TooManyQueues(limit)) }
    }

    pub(super) fn insert(&mut self, id: QueueId, session: Arc<Session>, now: Instant) {
        let owned = self.owners.entry(Arc::clone(&session.owner)).or_default();
        owned.push(id);
        let queue = Queue {
            session,
            next: 0,
            sizes: VecDeque::new(),
            bytes: 0,
            turn: 0,
            polls: 0,
            due: None,
            overflowed: false,
        };
        self.queues.insert(id, queue);
        self.end(id, now);
    }

    /// Shows what the file has got.
    pub(super) fn grow(&mut self, id: QueueId, growth: &Growth) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.next = growth.next();
        match growth {
            Growth::Events { events, bytes, .. } => {
                queue.bytes += bytes;
                let size = |event: &bytes::Bytes| u32::try_from(event.len()).unwrap_or(u32::MAX);
                queue.sizes.extend(events.iter().map(size));
            }
            Growth::Overflow { .. } => {
                (queue.overflowed, queue.bytes, queue.sizes) = (true, 0, VecDeque::new());
            }
        }
    }

    /// The queues that an event goes to, each once.
    pub(super) fn resolve(&self, target: &Target, kind: &str, now: Instant) -> Vec<QueueId> {
        let takes = |id: &QueueId| {
            self.queues.get(id).is_some_and(|queue| queue.takes(kind)) && !self.expired(*id, now)
        };
        let mut found: Vec<_> = match target {
            Target::Users(users) => {
                let owned = users.iter().filter_map(|user| self.owners.get(user)).flatten();
                owned.copied().filter(takes).collect()
            }
            Target::Queues(queues) => queues.iter().copied().filter(takes).collect(),
            Target::Heartbeat(queue) if self.expired(*queue, now) => Vec::new(),
            Target::Heartbeat(queue) => vec![*queue],
        };
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What is in a queue that takes events.
    pub(super) fn kept(&self, id: QueueId) -> Option<Kept> {
        let queue = self.queues.get(&id).filter(|queue| !queue.overflowed)?;
        Some(Kept { next: queue.next, events: queue.sizes.len(), bytes: queue.bytes })
    }

    pub(super) fn has(&self, id: QueueId) -> bool {
        self.queues.contains_key(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether there is something for the committer that nobody waits for.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.removed.is_empty() || !self.pending.pruned.is_empty()
    }

    pub(super) fn prune_later(&mut self, id: QueueId, seen: EventId) {
        if self.queues.contains_key(&id) {
            let pruned = self.pending.pruned.entry(id).or_insert(seen);
            *pruned = seen.max(*pruned);
        }
    }

    /// From now on all fails.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.closed { Err(StoreError::Unavailable("it is closed".into())) } else { Ok(()) }
    }

    fn live(&mut self, id: QueueId, now: Instant) -> Result<&mut Queue, StoreError> {
        if self.expired(id, now) {
            self.drop_queue(id);
        }
        self.queues.get_mut(&id).ok_or(StoreError::NotFound)
    }

    fn expired(&self, id: QueueId, now: Instant) -> bool {
        self.queues.get(&id).and_then(|queue| queue.due).is_some_and(|due| due <= now)
    }

    fn drop_queue(&mut self, id: QueueId) {
        let Some(queue) = self.queues.remove(&id) else { return };
        if let Some(due) = queue.due {
            self.due.remove(&(due, id));
        }
        if let Some(owned) = self.owners.get_mut(&queue.session.owner) {
            owned.retain(|other| *other != id);
            if owned.is_empty() {
                self.owners.remove(&queue.session.owner);
            }
        }
        self.pending.pruned.remove(&id);
        self.pending.removed.insert(id, queue.sizes.len());
    }
}

// ===== impl Queue =====

impl Queue {
    /// The newest event that is pruned.
    fn base(&self) -> EventId {
        self.next - 1 - EventId::try_from(self.sizes.len()).unwrap_or(EventId::MAX)
    }

    /// Forgets events up to `seen`, which is one that was. Whether there were any.
    fn acknowledge(&mut self, seen: EventId) -> bool {
        let gone = usize::try_from(seen - self.base()).unwrap_or_default();
        self.bytes -= self.sizes.drain(..gone).map(|size| size as usize).sum::<usize>();
        if self.sizes.is_empty() {
            self.sizes = VecDeque::new();
        }
        gone > 0
    }

    fn takes(&self, kind: &str) -> bool {
        let types = self.session.event_types.as_deref();
        types.is_none_or(|types| types.iter().any(|other| other == kind))
    }
}
