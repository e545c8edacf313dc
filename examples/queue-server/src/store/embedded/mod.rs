//! The embedded store: one file, one process, no set-up. What it has acknowledged survives `kill -9`.
//!
//! An index in memory answers what does not need an event's text. All that is to be kept goes through the
//! committer, which writes what is waiting in one transaction; only then does the index show it. Acknowledgements
//! and removals of idle queues change the index at once, and are written along with others, at latest after a second: a
//! crash in between brings back events that the client knows, and its next poll acknowledges them again.
//!
//! The end of a last poll is not in the file. After a restart idle time counts from the start.

mod batch;
mod commit;
mod expiry;
mod index;
mod open;
mod tables;

use std::{
    fmt,
    fs::File,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use redb::Database;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::AbortHandle,
    time::Instant,
};

pub use self::open::{Damage, OpenError};
use self::{
    batch::{Op, Reply},
    commit::Committer,
    index::{Index, lock},
};
use super::{
    Appended, Begin, Begun, Event, EventId, Limits, NewEvent, OnNotice, Session, Stats, Store,
    StoreError, Taken, Target,
};
use crate::id::QueueId;

/// Calls that wait for the committer, besides those it has taken.
const WAITING: usize = 1024;

/// A store in a directory.
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
    ops: mpsc::Sender<Op>,
    expiry: AbortHandle,
}

/// A store, and what was found where it is.
#[derive(Debug)]
pub struct Opened {
    /// To be used.
    pub store: Embedded,
    /// The file that was there and could not be read. It was logged as well.
    pub damage: Option<Damage>,
}

/// What the store, the committer and the collection of expired queues have in common.
struct Shared {
    path: PathBuf,
    /// Empty while the file is opened again after a failure.
    db: RwLock<Option<Arc<Database>>>,
    index: Mutex<Index>,
    health: Mutex<Result<(), &'static str>>,
    /// A read has failed: redb may refuse all others until the file is opened again.
    suspicion: AtomicBool,
    /// The committer has something to do that nobody waits for.
    attention: Notify,
    on_notice: OnceLock<OnNotice>,
    /// Keeps other servers out, until the store is closed.
    guard: Mutex<Option<File>>,
}

// ===== impl Embedded =====

impl Embedded {
    /// Opens the store in a directory, which is made if there is none.
    ///
    /// It reads all that is there and so blocks, as is fit for the start of a program.
    ///
    /// # Errors
    /// The directory cannot be used. A damaged file is no error: it is renamed, and a new one begun.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open(dir: &Path, limits: Limits) -> Result<Opened, OpenError> {
        let found = open::directory(dir)?;
        let shared = Arc::new(Shared {
            path: found.path,
            db: RwLock::new(Some(Arc::new(found.db))),
            index: Mutex::new(Index::new(found.queues, limits, Instant::now())),
            health: Mutex::new(Ok(())),
            suspicion: AtomicBool::new(false),
            attention: Notify::new(),
            on_notice: OnceLock::new(),
            guard: Mutex::new(Some(found.lock)),
        });
        let (ops, receiver) = mpsc::channel(WAITING);
        tokio::spawn(Committer::new(Arc::clone(&shared), receiver, found.sequence).run());
        let expiry = tokio::spawn(expiry::run(Arc::downgrade(&shared))).abort_handle();
        Ok(Opened { store: Self { shared, ops, expiry }, damage: found.damage })
    }

    /// Who is to be told when events turn out to be stored of which nobody was told.
    pub fn hear(&self, on_notice: OnNotice) {
        let _ = self.shared.on_notice.set(on_notice);
    }

    fn events(
        &self,
        queue: QueueId,
        ids: Option<RangeInclusive<EventId>>,
    ) -> Result<Vec<Event>, StoreError> {
        let Some(ids) = ids else { return Ok(Vec::new()) };
        let page = lock(&self.shared.index).limits().page;
        self.shared.read(|db| tables::read(db, queue, ids, page))
    }

    async fn ask<T>(&self, op: impl FnOnce(Reply<T>) -> Op) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("it is closed".into());
        let (reply, answer) = oneshot::channel();
        self.ops.send(op(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.expiry.abort();
    }
}

#[async_trait]
impl Store for Embedded {
    async fn create(&self, queue: QueueId, session: Session) -> Result<(), StoreError> {
        self.ask(|reply| Op::Create { queue, session, reply }).await
    }

    async fn session(&self, queue: QueueId, owner: &str) -> Result<Arc<Session>, StoreError> {
        lock(&self.shared.index).session(queue, owner, Instant::now())
    }

    async fn begin(&self, poll: Begin<'_>) -> Result<Begun, StoreError> {
        let begun = lock(&self.shared.index).begin(&poll, Instant::now());
        self.shared.attend();
        begun
    }

    async fn take(&self, queue: QueueId, after: EventId) -> Result<Taken, StoreError> {
        let taken = lock(&self.shared.index).take(queue, after, Instant::now());
        let (turn, ids) = taken.inspect_err(|_| self.shared.attend())?;
        Ok(Taken { turn, events: self.events(queue, ids)? })
    }

    async fn read(
        &self,
        queue: QueueId,
        after: EventId,
        turn: Option<u64>,
    ) -> Result<Vec<Event>, StoreError> {
        let ids = lock(&self.shared.index).readable(queue, after, turn, Instant::now());
        self.events(queue, ids.inspect_err(|_| self.shared.attend())?)
    }

    fn end(&self, queue: QueueId) {
        lock(&self.shared.index).end(queue, Instant::now());
    }

    async fn append(&self, target: Target, event: NewEvent) -> Result<Appended, StoreError> {
        self.ask(|reply| Op::Append { target, event, reply }).await
    }

    async fn remove(&self, queue: QueueId, owner: &str) -> Result<(), StoreError> {
        lock(&self.shared.index).remove(queue, owner, Instant::now())?;
        self.shared.attend();
        self.ask(|reply| Op::Remove { queue, reply }).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        lock(&self.shared.index).check_open()?;
        if self.ops.is_closed() {
            return Err(StoreError::Unavailable("its committer has stopped".into()));
        }
        lock(&self.shared.health).map_err(|reason| StoreError::Unavailable(reason.into()))
    }

    fn stats(&self) -> Stats {
        Stats { queues: Some(lock(&self.shared.index).len() as u64) }
    }

    async fn close(&self) {
        self.expiry.abort();
        // Whoever closes it a second time has nothing to wait for.
        let _ = self.ask(|reply| Op::Close { reply }).await;
    }
}

// ===== impl Shared =====

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Shared {
    fn database(&self) -> Option<Arc<Database>> {
        self.db.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_database(&self, db: Option<Arc<Database>>) -> Option<Arc<Database>> {
        std::mem::replace(&mut *self.db.write().unwrap_or_else(PoisonError::into_inner), db)
    }

    fn set_health(&self, health: Result<(), &'static str>) {
        *lock(&self.health) = health;
    }

    /// Tells the committer, if there is something for it.
    fn attend(&self) {
        if lock(&self.index).has_pending() {
            self.attention.notify_one();
        }
    }

    fn take_suspicion(&self) -> bool {
        self.suspicion.swap(false, Ordering::Relaxed)
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let db = self.database();
        let db = db.ok_or_else(|| StoreError::Unavailable("its file is not open".into()))?;
        read(&db).map_err(|error| {
            tracing::error!(%error, "the store cannot read");
            self.suspicion.store(true, Ordering::Relaxed);
            self.attention.notify_one();
            StoreError::Unavailable("a read failed".into())
        })
    }
}
