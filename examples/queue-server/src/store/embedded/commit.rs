//! The committer: the only writer of the file, which gathers what came in while it wrote into the next transaction.
//!
//! 1. An id is given by the committer alone, and is in the file before anybody sees it. So it is never given twice.
//! 2. There is one batch at a time. After a failure it is undecided: whether the file has it, its sequence number tells
//!    when the file is open again. Until then nothing is written.
//! 3. Who waits for a batch that failed is told that it failed, even where the file turns out to have it.
//! 4. A failed file is not written again before a pause: a full disk would else have it opened again for each call.

use std::{collections::VecDeque, future::pending, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task,
    time::{Instant, sleep_until},
};

use super::{
    Shared,
    batch::{Batch, OPERATIONS, Op, Reply, Waiter},
    index::lock,
    open, tables,
};
use crate::store::Notice;

/// How long a removal or an acknowledgement may wait for others to be written with.
const LAZY: Duration = Duration::from_secs(1);
/// When thousands of queues expire together, their removal is spread: so many at a time, and a pause. Each is a page of the file
/// to be written, and a send waits for the batch before its own.
const REMOVALS: usize = 64;
const BETWEEN: Duration = Duration::from_millis(20);
/// The pause after a failure, which doubles while calls fail.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What callers are told. The cause is for the log.
const FAILED: &str = "the last write failed";

#[derive(Debug)]
pub(super) struct Committer {
    shared: Arc<Shared>,
    ops: mpsc::Receiver<Op>,
    /// Taken from `ops`, for the next batches. As many as one batch may have.
    backlog: VecDeque<Op>,
    sequence: u64,
    /// When something pending is to be written.
    lazy_at: Option<Instant>,
    /// Removals of it in a batch.
    removals: usize,
    trouble: Option<Trouble>,
    /// After the next failure.
    pause: Duration,
}

/// The file is not written until it is retried.
#[derive(Debug)]
struct Trouble {
    retry_at: Instant,
    undecided: Option<Batch>,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, ops: mpsc::Receiver<Op>, sequence: u64) -> Self {
        let backlog = VecDeque::with_capacity(OPERATIONS);
        Self {
            shared,
            ops,
            backlog,
            sequence,
            lazy_at: None,
            removals: REMOVALS,
            trouble: None,
            pause: PAUSE,
        }
    }

    /// Until it is closed, or nobody is left who could ask for something.
    pub(super) async fn run(mut self) {
        let mut closers = Vec::new();
        while self.gather().await {
            self.round(&mut closers).await;
            if !closers.is_empty() {
                break;
            }
        }
        self.finish(closers).await;
    }

    /// Waits for something to do. Whether there will ever be more.
    async fn gather(&mut self) -> bool {
        if !self.backlog.is_empty() {
            return true;
        }
        let mut ops = Vec::new();
        let retry_at = self.trouble.as_ref().map(|trouble| trouble.retry_at);
        let lazy_at = self.lazy_at.filter(|_| retry_at.is_none());
        tokio::select! {
            biased;
            taken = self.ops.recv_many(&mut ops, OPERATIONS) => {
                self.backlog.extend(ops);
                return taken > 0;
            }
            () = self.shared.attention.notified(), if self.lazy_at.is_none() => {
                self.lazy_at.get_or_insert_with(|| Instant::now() + LAZY);
            }
            () = until(lazy_at) => {}
            () = until(retry_at) => {}
        }
        true
    }

    async fn round(&mut self, closers: &mut Vec<Reply<()>>) {
        let now = Instant::now();
        if self.shared.take_suspicion() && self.trouble.is_none() {
            self.fail("a read failed", None).await;
        }
        if self.trouble.as_ref().is_some_and(|trouble| trouble.retry_at <= now) {
            self.retry().await;
        }
        let (mut batch, waiters) = self.plan(now, closers);
        if self.trouble.is_some() {
            batch.give_back(&mut lock(&self.shared.index));
            return answer_all(waiters, |waiter| waiter.fail(FAILED));
        }
        let due = self.lazy_at.is_some_and(|at| at <= now);
        if due || !waiters.is_empty() {
            let removals = if due { self.removals } else { 0 };
            batch.take_pending(&mut lock(&self.shared.index), removals);
        }
        if due {
            self.lazy_at = None;
        }
        if self.commit(batch, waiters).await && lock(&self.shared.index).has_pending() {
            // What did not fit, or has come meanwhile.
            self.lazy_at.get_or_insert(now + if due { BETWEEN } else { LAZY });
        }
    }

    /// Makes a batch of the operations in the backlog, as many as fit.
    fn plan(&mut self, now: Instant, closers: &mut Vec<Reply<()>>) -> (Batch, Vec<Waiter>) {
        let mut batch = Batch::default();
        let mut waiters = Vec::with_capacity(self.backlog.len());
        while !batch.is_full() {
            let Some(op) = self.backlog.pop_front() else { break };
            // A lock for each: a poll waits for one operation at most.
            let mut index = lock(&self.shared.index);
            waiters.push(match op {
                Op::Create { queue, session, reply } => {
                    Waiter::Creator(batch.create(&mut index, queue, session, now), reply)
                }
                Op::Append { target, event, reply } => {
                    Waiter::Sender(batch.append(&index, &target, &event, now), reply)
                }
                Op::Remove { queue, reply } => {
                    batch.remove(&mut index, queue);
                    Waiter::Remover(reply)
                }
                Op::Close { reply } => {
                    closers.push(reply);
                    continue;
                }
            });
        }
        (batch, waiters)
    }

    /// Writes a batch, shows it, and answers. Whether it worked.
    async fn commit(&mut self, batch: Batch, waiters: Vec<Waiter>) -> bool {
        if !batch.is_empty() {
            match self.write(batch).await {
                Ok(mut batch) => batch.apply(&self.shared.index, Instant::now()),
                Err((error, batch)) => {
                    answer_all(waiters, |waiter| waiter.fail(FAILED));
                    self.fail(&error, Some(batch)).await;
                    return false;
                }
            }
            if !waiters.is_empty() {
                self.pause = PAUSE;
            }
        }
        answer_all(waiters, |waiter| waiter.succeed(&self.shared.index));
        true
    }

    /// Tries whether the file can be written: with what is pending, which also makes space on a full disk.
    async fn retry(&mut self) {
        if self.shared.database().is_none() {
            self.reopen().await;
        }
        let Some(trouble) = self.trouble.take() else { return };
        if trouble.undecided.is_some() {
            return self.fail("its file is not open", trouble.undecided).await;
        }
        let mut batch = Batch::default();
        batch.take_pending(&mut lock(&self.shared.index), OPERATIONS);
        match self.write(batch).await {
            Ok(_) => {
                self.shared.set_health(Ok(()));
                tracing::info!("the store writes again");
            }
            Err((error, batch)) => self.fail(&error, Some(batch)).await,
        }
    }

    async fn write(&mut self, mut batch: Batch) -> Result<Batch, (String, Batch)> {
        let Some(db) = self.shared.database() else {
            return Err(("its file is not open".into(), batch));
        };
        batch.sequence = self.sequence + 1;
        let batch = Arc::new(batch);
        let written = {
            let batch = Arc::clone(&batch);
            // redb panics on what it thinks impossible.
            task::spawn_blocking(move || tables::write(&db, &batch).map_err(|e| e.to_string()))
        };
        let written = written.await.unwrap_or_else(|panic| Err(panic.to_string()));
        let batch = Arc::into_inner(batch).unwrap_or_default();
        match written {
            Ok(()) => {
                self.sequence = batch.sequence;
                Ok(batch)
            }
            Err(error) => Err((error, batch)),
        }
    }

    /// The file is of no use as it is open now. What was stored before is readable when it is open again.
    async fn fail(&mut self, error: &str, undecided: Option<Batch>) {
        tracing::error!(error, pause = ?self.pause, "the store cannot write, and tries again");
        self.shared.set_health(Err(FAILED));
        self.trouble = Some(Trouble { retry_at: Instant::now() + self.pause, undecided });
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        self.reopen().await;
    }

    /// Opens the file again, and decides what was undecided.
    async fn reopen(&mut self) {
        let (path, old) = (self.shared.path.clone(), self.shared.set_database(None));
        let opened = task::spawn_blocking(move || {
            drop(old);
            open::again(&path)
        });
        let (db, sequence) = match opened.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return tracing::error!(%error, "the store's file does not open"),
            Err(panic) => return tracing::error!(%panic, "the store's file does not open"),
        };
        self.shared.set_database(Some(Arc::new(db)));
        self.sequence = sequence;
        if let Some(mut batch) = self.trouble.as_mut().and_then(|trouble| trouble.undecided.take())
        {
            if batch.sequence == sequence {
                batch.apply(&self.shared.index, Instant::now());
                if let Some(on_notice) = self.shared.on_notice.get() {
                    on_notice(Notice::LookAtAll);
                }
            } else {
                batch.give_back(&mut lock(&self.shared.index));
            }
        }
    }

    /// Writes what is left, and lets go of the file.
    async fn finish(mut self, mut closers: Vec<Reply<()>>) {
        self.ops.close();
        self.removals = OPERATIONS;
        // Else the next start would give them a life more.
        while lock(&self.shared.index).expire(Instant::now(), OPERATIONS) {}
        lock(&self.shared.index).close();
        if let Some(trouble) = &mut self.trouble {
            trouble.retry_at = Instant::now();
        }
        while !self.backlog.is_empty() || self.gather().await {
            self.round(&mut closers).await;
        }
        while self.trouble.is_none() && lock(&self.shared.index).has_pending() {
            self.lazy_at = Some(Instant::now());
            self.round(&mut closers).await;
        }
        let db = self.shared.set_database(None);
        // It writes once more. If it fails, the next start has a little more to do.
        let _ = task::spawn_blocking(move || drop(db)).await;
        drop(lock(&self.shared.guard).take());
        for reply in closers {
            drop(reply.send(Ok(())));
        }
    }
}

fn answer_all(waiters: Vec<Waiter>, answer: impl Fn(Waiter)) {
    for waiter in waiters {
        answer(waiter);
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
