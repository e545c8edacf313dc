//! What is in the file: its tables, how a batch is written, and how all of it is read at the start.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use serde::{Deserialize, Serialize};

use super::batch::{Batch, Growth};
use crate::{
    id::QueueId,
    store::{Event, EventId, Session},
};

/// Numbers about the file itself.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Sessions, as JSON.
const QUEUES: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("queues");
/// The id of the next event, and whether the queue has overflowed. Apart from the session, since each append writes it.
const MARKS: TableDefinition<'_, u128, (EventId, bool)> = TableDefinition::new("marks");
/// Events by queue and id, so that a page of a queue is one range. Without holes: the oldest tells what was pruned.
const EVENTS: TableDefinition<'_, (u128, EventId), &[u8]> = TableDefinition::new("events");

/// Of the tables and what is in them.
const VERSION: u64 = 1;

/// A queue as it is in the file.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: QueueId,
    pub(super) session: Session,
    pub(super) next: EventId,
    pub(super) overflowed: bool,
    /// Of its events, the newest of which is `next − 1`.
    pub(super) sizes: VecDeque<u32>,
}

/// Why a file's content is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Redb(#[from] redb::Error),
    #[error("it has version {0} of the tables, and this program knows {VERSION}")]
    OtherVersion(u64),
    #[error("it is a redb file of another program")]
    Foreign,
    #[error("{0}")]
    Inconsistent(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Record {
    owner: String,
    event_types: Option<Vec<String>>,
    idle_timeout_ms: u64,
    heartbeat: bool,
}

/// Makes the tables of a new file.
pub(super) fn initialize(db: &Database) -> Result<(), redb::Error> {
    let transaction = db.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert("version", VERSION)?;
        meta.insert("sequence", 0)?;
        transaction.open_table(QUEUES)?;
        transaction.open_table(MARKS)?;
        transaction.open_table(EVENTS)?;
    }
    Ok(transaction.commit()?)
}

/// The number of the last batch that the file has.
pub(super) fn sequence(db: &Database) -> Result<u64, Unreadable> {
    let transaction = db.begin_read().map_err(redb::Error::from)?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(redb::TableError::Storage(error)) => return Err(redb::Error::from(error).into()),
        Err(_) => return Err(Unreadable::Foreign),
    };
    let number = |key| -> Result<Option<u64>, Unreadable> {
        Ok(meta.get(key).map_err(redb::Error::from)?.map(|guard| guard.value()))
    };
    match number("version")?.ok_or(Unreadable::Foreign)? {
        VERSION => number("sequence")?.ok_or(Unreadable::Inconsistent("it has no sequence number")),
        other => Err(Unreadable::OtherVersion(other)),
    }
}

/// All queues.
pub(super) fn load(db: &Database) -> Result<Vec<Stored>, Unreadable> {
    fn rows<T>(result: Result<T, impl Into<redb::Error>>) -> Result<T, Unreadable> {
        result.map_err(|error| Unreadable::Redb(error.into()))
    }

    let transaction = rows(db.begin_read())?;
    let marks = rows(transaction.open_table(MARKS))?;
    let mut loaded = Vec::new();
    for row in rows(rows(transaction.open_table(QUEUES))?.iter())? {
        let (id, record) = rows(row)?;
        let record: Record = serde_json::from_slice(record.value())
            .map_err(|_| Unreadable::Inconsistent("it has a session that cannot be read"))?;
        let mark = rows(marks.get(id.value()))?;
        let (next, overflowed) =
            mark.ok_or(Unreadable::Inconsistent("it has a queue without a next id"))?.value();
        loaded.push(Stored {
            id: QueueId::from_bits(id.value()),
            session: record.into(),
            next,
            overflowed,
            sizes: VecDeque::new(),
        });
    }

    let mut queues = loaded.iter_mut().peekable();
    let mut newest = None;
    for row in rows(rows(transaction.open_table(EVENTS))?.iter())? {
        let (key, json) = rows(row)?;
        let (queue, id) = key.value();
        // Both tables are in the order of the queues.
        while queues.next_if(|stored| stored.id.to_bits() < queue).is_some() {
            newest = None;
        }
        let stored = queues
            .peek_mut()
            .filter(|stored| stored.id.to_bits() == queue)
            .ok_or(Unreadable::Inconsistent("it has events of no queue"))?;
        if newest.is_some_and(|newest| id != newest + 1) || id >= stored.next {
            return Err(Unreadable::Inconsistent("it has events out of order"));
        }
        newest = Some(id);
        stored.sizes.push_back(u32::try_from(json.value().len()).unwrap_or(u32::MAX));
        if id + 1 == stored.next {
            newest = None;
        }
    }
    Ok(loaded)
}

/// Events of a queue, the oldest first.
pub(super) fn read(
    db: &Database,
    queue: QueueId,
    ids: std::ops::RangeInclusive<EventId>,
    page: usize,
) -> Result<Vec<Event>, redb::Error> {
    let queue = queue.to_bits();
    let events = db.begin_read()?.open_table(EVENTS)?;
    let rows = ReadableTable::range(&events, (queue, *ids.start())..=(queue, *ids.end()))?;
    let page = rows.take(page).map(|row| {
        let (key, json) = row?;
        Ok(Event { id: key.value().1, json: Bytes::copy_from_slice(json.value()) })
    });
    Ok(page.collect::<Result<_, StorageError>>()?)
}

/// Writes a batch. When it returns, all of it is on the disk; on an error it is there or not, but never a part of it.
pub(super) fn write(db: &Database, batch: &Batch) -> Result<(), redb::Error> {
    let mut transaction = db.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    {
        transaction.open_table(META)?.insert("sequence", batch.sequence)?;
        let mut queues = transaction.open_table(QUEUES)?;
        let mut marks = transaction.open_table(MARKS)?;
        let mut events = transaction.open_table(EVENTS)?;
        // First, since a queue may be made anew under the same id.
        for (queue, _) in &batch.removed {
            let queue = queue.to_bits();
            queues.remove(queue)?;
            marks.remove(queue)?;
            events.retain_in((queue, EventId::MIN)..=(queue, EventId::MAX), |_, _| false)?;
        }
        for (queue, session) in &batch.created {
            let record = serde_json::to_vec(&Record::from(&**session))
                .map_err(|error| redb::Error::Io(error.into()))?;
            queues.insert(queue.to_bits(), &*record)?;
            marks.insert(queue.to_bits(), (0, false))?;
        }
        for (queue, seen) in &batch.pruned {
            let queue = queue.to_bits();
            events.retain_in((queue, EventId::MIN)..=(queue, *seen), |_, _| false)?;
        }
        for (queue, growth) in &batch.grown {
            let queue = queue.to_bits();
            match growth {
                Growth::Events { first, events: new, .. } => {
                    for (id, json) in (*first..).zip(new) {
                        events.insert((queue, id), &**json)?;
                    }
                    marks.insert(queue, (growth.next(), false))?;
                }
                Growth::Overflow { next } => {
                    events
                        .retain_in((queue, EventId::MIN)..=(queue, EventId::MAX), |_, _| false)?;
                    marks.insert(queue, (*next, true))?;
                }
            }
        }
    }
    Ok(transaction.commit()?)
}

// ===== impl Record =====

impl From<Record> for Session {
    fn from(record: Record) -> Self {
        Self {
            owner: record.owner.into(),
            event_types: record.event_types,
            idle_timeout: Duration::from_millis(record.idle_timeout_ms),
            heartbeat: record.heartbeat,
        }
    }
}

impl From<&Session> for Record {
    fn from(session: &Session) -> Self {
        Self {
            owner: session.owner.to_string(),
            event_types: session.event_types.clone(),
            idle_timeout_ms: u64::try_from(session.idle_timeout.as_millis()).unwrap_or(u64::MAX),
            heartbeat: session.heartbeat,
        }
    }
}
