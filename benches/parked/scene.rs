//! One server with its clients, and what is heard of them.

use std::{
    ops::Range,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use tokio::runtime::{self, Runtime};

use crate::{
    Failed,
    client::{Clients, OF_ADDRESS},
    os::now,
    record::Record,
    script::Script,
    server::{self, Fact, Facts, What},
    words::{Shape, Subject, Way},
};

/// Clients that connect before the server is waited for: fewer than tokio's backlog, beyond which a connect takes a second.
const BATCH: usize = 100;
/// For all clients of a batch to be answered by the handler.
const PARKED_WITHIN: Duration = Duration::from_secs(10);
/// Between two that leave: a server of parked polls is idle, whether more follows from the first or not.
const MOMENT: Duration = Duration::from_millis(1);
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) struct Scene {
    subject: Subject,
    patience: Duration,
    runtime: Runtime,
    clients: Clients,
    facts: Receiver<Fact>,
    /// How many handlers wait, or have waited.
    parked: usize,
    /// By the ids of their clients.
    records: Vec<Record>,
}

impl Scene {
    pub(crate) fn start(script: &Script) -> Result<Self, Failed> {
        let (sender, facts) = channel();
        let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
        let addresses = u8::try_from(script.clients.div_ceil(OF_ADDRESS))?;
        let addresses =
            runtime.block_on(server::serve(script.subject, addresses, &Facts(sender)))?;
        Ok(Self {
            subject: script.subject,
            patience: script.patience,
            runtime,
            clients: Clients::start(&addresses)?,
            facts,
            parked: 0,
            records: Vec::new(),
        })
    }

    /// Adds clients, and waits until their handlers wait.
    pub(crate) fn park(&mut self, shape: Shape, count: usize) -> Result<Range<usize>, Failed> {
        let first = self.records.len();
        let end = first + count;
        for start in (first..end).step_by(BATCH) {
            let ids = start..end.min(start + BATCH);
            self.records.resize(ids.end, Record::default());
            self.clients.park(shape, ids)?;
            if !self.hear_until(PARKED_WITHIN, |scene| scene.parked == scene.records.len()) {
                return Err("not every client has reached its handler".into());
            }
        }
        Ok(first..end)
    }

    /// These clients leave, each when the one before has been noticed.
    pub(crate) fn leave(
        &mut self,
        leaving: impl Iterator<Item = (usize, Way)>,
    ) -> Result<(), Failed> {
        let mut patience = self.patience;
        for (id, way) in leaving {
            self.records[id].left = Some(self.clients.leave(id, way)?);
            if !self.hear_until(patience, |scene| scene.record(id).noticed().is_some()) {
                // Nobody will notice the next ones either: they are waited for together.
                patience = Duration::ZERO;
            }
            self.hear_until(patience.min(MOMENT), |_| false);
        }
        Ok(())
    }

    /// All clients leave at once.
    pub(crate) fn vanish(&mut self) -> Result<(), Failed> {
        let last = self.clients.vanish()?;
        for record in &mut self.records {
            record.left = Some(last);
        }
        Ok(())
    }

    /// Waits for what follows from all leaving, as long as anything happens.
    pub(crate) fn settle(&mut self) {
        let mut quiet = Duration::ZERO;
        while quiet < self.patience && !self.is_settled() {
            // Not woken by each fact: the server shall have the processors.
            thread::sleep(PAUSE);
            quiet = if self.hear_all() { Duration::ZERO } else { quiet + PAUSE };
        }
    }

    pub(crate) fn record(&self, id: usize) -> &Record {
        &self.records[id]
    }

    fn is_settled(&self) -> bool {
        self.records.iter().all(|record| record.left.is_none() || self.is_over(record))
    }

    fn is_over(&self, record: &Record) -> bool {
        record.dropped.is_some() && (record.closed.is_some() || !self.subject.is_observed())
    }

    /// Whether that came true in time.
    fn hear_until(&mut self, patience: Duration, mut is_true: impl FnMut(&Self) -> bool) -> bool {
        let deadline = Deadline::after(patience);
        loop {
            if is_true(self) {
                return true;
            }
            let Ok(fact) = self.facts.recv_timeout(deadline.left()) else { return false };
            self.write_down(&fact);
        }
    }

    fn hear_all(&mut self) -> bool {
        let facts: Vec<Fact> = self.facts.try_iter().collect();
        for fact in &facts {
            self.write_down(fact);
        }
        !facts.is_empty()
    }

    fn write_down(&mut self, fact: &Fact) {
        let Some(record) = self.records.get_mut(fact.id) else { return };
        match fact.what {
            What::Parked => self.parked += 1,
            What::Disconnected => record.disconnected = Some(fact.at),
            What::Dropped => record.dropped = Some(fact.at),
            What::Closed => record.closed = Some(fact.at),
        }
    }

    pub(crate) fn end(self) -> Result<(), Failed> {
        self.clients.end()?;
        self.runtime.shutdown_background();
        Ok(())
    }
}

struct Deadline(u64);

impl Deadline {
    fn after(patience: Duration) -> Self {
        Self(now().saturating_add(u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX)))
    }

    fn left(&self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(now()))
    }
}
