//! What one transaction writes: made from calls before it, shown in the index after it.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use tokio::{sync::oneshot, time::Instant};

use super::index::{Index, lock};
use crate::{
    id::QueueId,
    store::{Appended, EventId, NewEvent, Session, StoreError, Target, UserId},
};

/// Operations of a batch, unless [`BYTES`] are reached before.
pub(super) const OPERATIONS: usize = 1024;
/// Events of queues that are removed in a batch.
const REMOVED_EVENTS: usize = 4096;
/// Bytes of a batch. One operation may be more, and is then a batch of its own.
const BYTES: usize = 8 << 20;

/// Who waits for an operation.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What is asked of the committer.
#[derive(Debug)]
pub(super) enum Op {
    Create {
        queue: QueueId,
        session: Session,
        reply: Reply<()>,
    },
    Append {
        target: Target,
        event: NewEvent,
        reply: Reply<Appended>,
    },
    /// The index has removed it already.
    Remove {
        queue: QueueId,
        reply: Reply<()>,
    },
    Close {
        reply: Reply<()>,
    },
}

/// What a queue gets.
#[derive(Debug)]
pub(super) enum Growth {
    Events {
        first: EventId,
        events: Vec<Bytes>,
        bytes: usize,
    },
    /// One too many: it loses all it has.
    Overflow {
        next: EventId,
    },
}

/// What is written, in this order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Tells, after a failure, whether the file has it.
    pub(super) sequence: u64,
    /// With the number of their events.
    pub(super) removed: Vec<(QueueId, usize)>,
    pub(super) created: Vec<(QueueId, Arc<Session>)>,
    pub(super) pruned: Vec<(QueueId, EventId)>,
    pub(super) grown: BTreeMap<QueueId, Growth>,
    /// Of `created`, by owner.
    owners: HashMap<UserId, usize>,
    bytes: usize,
}

/// Who is told when the batch is safe.
#[derive(Debug)]
pub(super) enum Waiter {
    Creator(Result<(), StoreError>, Reply<()>),
    Sender(Appended, Reply<Appended>),
    Remover(Reply<()>),
}

// ===== impl Growth =====

impl Growth {
    /// The id of the event after.
    pub(super) fn next(&self) -> EventId {
        match self {
            Self::Events { first, events, .. } => {
                *first + EventId::try_from(events.len()).unwrap_or(EventId::MAX)
            }
            Self::Overflow { next } => *next,
        }
    }
}

// ===== impl Batch =====

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        let Self { removed, created, pruned, grown, .. } = self;
        removed.is_empty() && created.is_empty() && pruned.is_empty() && grown.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES
    }

    /// A new queue, if its owner may have one more.
    pub(super) fn create(
        &mut self,
        index: &mut Index,
        queue: QueueId,
        session: Session,
        now: Instant,
    ) -> Result<(), StoreError> {
        let made = self.owners.get(&session.owner).copied().unwrap_or_default();
        index.admit(&session.owner, made, now)?;
        if index.has(queue) || self.created.iter().any(|(other, _)| *other == queue) {
            return Err(StoreError::Failed("a queue with this id exists".into()));
        }
        self.remove(index, queue);
        *self.owners.entry(Arc::clone(&session.owner)).or_default() += 1;
        self.created.push((queue, Arc::new(session)));
        Ok(())
    }

    /// The removal of a queue that the index has already removed, if it is not yet written.
    pub(super) fn remove(&mut self, index: &mut Index, queue: QueueId) {
        if let Some(events) = index.pending.removed.remove(&queue) {
            self.removed(queue, events);
        }
    }

    fn removed(&mut self, queue: QueueId, events: usize) {
        // Planned before it was removed, and written after: it would be without a queue.
        self.grown.remove(&queue);
        self.removed.push((queue, events));
    }

    /// An event, for each queue that takes it.
    pub(super) fn append(
        &mut self,
        index: &Index,
        target: &Target,
        event: &NewEvent,
        now: Instant,
    ) -> Appended {
        let mut appended = Appended::default();
        for queue in index.resolve(target, &event.kind, now) {
            let Some(kept) = index.kept(queue) else { continue };
            let growth = self.grown.entry(queue).or_insert_with(|| Growth::Events {
                first: kept.next,
                events: Vec::new(),
                bytes: 0,
            });
            let next = growth.next();
            let Growth::Events { events, bytes, .. } = growth else { continue };
            events.push(event.json.clone());
            *bytes += event.json.len();
            self.bytes += event.json.len();
            let limits = index.limits();
            if kept.events + events.len() > limits.events_per_queue
                || kept.bytes + *bytes > limits.bytes_per_queue
            {
                *growth = Growth::Overflow { next };
                appended.overflowed.push(queue);
            } else {
                appended.stored.push(queue);
            }
        }
        appended
    }

    /// What the index pruned before, and some of what it removed.
    pub(super) fn take_pending(&mut self, index: &mut Index, removals: usize) {
        let mut events = 0;
        while self.removed.len() < removals && events < REMOVED_EVENTS {
            let Some((queue, of_it)) = index.pending.removed.pop_first() else { break };
            events += of_it;
            self.removed(queue, of_it);
        }
        while self.pruned.len() < OPERATIONS {
            let Some(pruned) = index.pending.pruned.pop_first() else { break };
            self.pruned.push(pruned);
        }
    }

    /// Shows in the index what the file has.
    pub(super) fn apply(&mut self, index: &Mutex<Index>, now: Instant) {
        // A lock for each: a reader waits for one of them, and needs no more than its own queue.
        for (queue, session) in mem::take(&mut self.created) {
            lock(index).insert(queue, session, now);
        }
        for (queue, growth) in mem::take(&mut self.grown) {
            lock(index).grow(queue, &growth);
        }
    }

    /// Leaves what can be left for a later batch. The rest is forgotten, if the file has not got it after all.
    pub(super) fn give_back(&mut self, index: &mut Index) {
        index.pending.removed.extend(mem::take(&mut self.removed));
        for (queue, seen) in mem::take(&mut self.pruned) {
            index.prune_later(queue, seen);
        }
    }
}

// ===== impl Waiter =====

impl Waiter {
    /// The batch is safe, and the index shows it.
    pub(super) fn succeed(self, index: &Mutex<Index>) {
        // Who has left needs no answer.
        match self {
            Self::Creator(result, reply) => drop(reply.send(result)),
            Self::Sender(mut appended, reply) => {
                // It may have been removed while it was written.
                appended.stored.retain(|queue| lock(index).has(*queue));
                drop(reply.send(Ok(appended)));
            }
            Self::Remover(reply) => drop(reply.send(Ok(()))),
        }
    }

    /// It is not, or nobody knows.
    pub(super) fn fail(self, reason: &str) {
        let error = StoreError::Unavailable(reason.to_owned());
        match self {
            Self::Creator(Err(refused), reply) => drop(reply.send(Err(refused))),
            Self::Creator(Ok(()), reply) | Self::Remover(reply) => drop(reply.send(Err(error))),
            Self::Sender(_, reply) => drop(reply.send(Err(error))),
        }
    }
}
