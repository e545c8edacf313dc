//! What can be seen of an exchange from outside, while it lives and after.
//!
//! Handles hold this and nothing else, so whoever keeps one keeps no body, no observer's state and no exchange alive.
//!
//! The desk's lock orders who comes to the desk and the close: what is left there before the close is taken by it, what
//! comes later is turned away. It is held to put something down or to take it up, never while user code runs.

use std::{
    collections::BTreeMap,
    mem,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU8, Ordering},
    },
};

#[cfg(feature = "tokio-util")]
use tokio_util::sync::CancellationToken;

use super::{
    counter::Counter, id::ExchangeId, join::Join, latch::Latch, machine::Role, marks::NamedMark,
    report::Direction,
};
use crate::{
    Close, Connection, Data, Disconnect, Finish, RequestClose, Stage,
    clock::Clock,
    observe::{Panics, shield},
};

pub(crate) struct Live {
    pub(crate) id: ExchangeId,
    role: Role,
    /// The layer that made it.
    maker: LayerId,
    clock: Clock,
    panics: Panics,
    pub(crate) connection: Option<Connection>,
    /// The template of the route that was chosen.
    pub(crate) route: OnceLock<Arc<str>>,
    stage: AtomicU8,
    /// Set when the request side is over.
    pub(crate) request_close: OnceLock<RequestClose>,
    request: Counter,
    response: Counter,
    /// What the summary says: a task may read on after the close, and is counted no more.
    totals: OnceLock<[Data; 2]>,
    pub(crate) closed: Latch<Close>,
    /// `None` when the exchange closed without.
    pub(crate) finished: Latch<Option<Finish>>,
    /// `None` when the exchange closed without.
    pub(crate) disconnected: Latch<Option<Disconnect>>,
    desk: Mutex<Desk>,
}

/// What is left for the close to take.
#[derive(Default)]
struct Desk {
    closed: Option<Close>,
    /// The summary has the marks: there can be no more.
    summed_up: bool,
    marks: Vec<NamedMark>,
    /// By their keys, which are in the order of their registration.
    callbacks: BTreeMap<u64, Callback>,
    next_key: u64,
    /// The way back in, for a layer that joins.
    exchange: Option<Weak<dyn Join>>,
    /// The layers that did.
    joined: Vec<LayerId>,
    #[cfg(feature = "tokio-util")]
    token: Option<CancellationToken>,
}

/// The address of what a layer and its services share.
pub(crate) type LayerId = usize;

/// A function that is to hear of the close.
pub(crate) struct Callback {
    /// What it is called in the report of its panic.
    pub(crate) name: &'static str,
    pub(crate) run: Box<dyn FnOnce(Close) + Send>,
}

/// What became of a callback.
pub(crate) enum Registered {
    /// It will be called; the key takes it back.
    Waiting(u64),
    /// The exchange was closed: it was called.
    Called,
    /// There are too many.
    Refused,
}

/// By their numbers.
pub(super) const STAGES: [Stage; 5] =
    [Stage::Request, Stage::Handler, Stage::Response, Stage::Flush, Stage::Done];

impl Live {
    /// How many callbacks can wait.
    pub(crate) const MAX_CALLBACKS: usize = 64;
    /// How many layers can join.
    const MAX_JOINED: usize = 16;
    /// How many names can be marked.
    pub(crate) const MAX_MARKS: usize = 32;

    pub(crate) fn new(
        id: ExchangeId,
        role: Role,
        maker: LayerId,
        clock: Clock,
        panics: Panics,
        connection: Option<Connection>,
    ) -> Self {
        Self {
            id,
            role,
            maker,
            clock,
            panics,
            connection,
            route: OnceLock::new(),
            stage: AtomicU8::new(Stage::Request as u8),
            request_close: OnceLock::new(),
            request: Counter::default(),
            response: Counter::default(),
            totals: OnceLock::new(),
            closed: Latch::new(),
            finished: Latch::new(),
            disconnected: Latch::new(),
            desk: Mutex::default(),
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.closed.get() {
            Some(_) => Stage::Done,
            None => STAGES[usize::from(self.stage.load(Ordering::Relaxed))],
        }
    }

    /// What passed in a direction so far.
    pub(crate) fn passed(&self, direction: Direction) -> Data {
        match (self.totals.get(), direction) {
            (Some([request, _]), Direction::Request) => *request,
            (Some([_, response]), Direction::Response) => *response,
            (None, Direction::Request) => self.request.get(),
            (None, Direction::Response) => self.response.get(),
        }
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    pub(super) fn count(&self, direction: Direction, bytes: u64) {
        match direction {
            Direction::Request => self.request.add(bytes),
            Direction::Response => self.response.add(bytes),
        }
    }

    /// Whether it was set: not when it was before, when there are too many, nor after the close.
    pub(crate) fn mark(&self, name: &'static str) -> bool {
        let mut desk = self.desk();
        let room = !desk.summed_up && desk.marks.len() < Self::MAX_MARKS;
        let wanted = room && desk.marks.iter().all(|(set, _)| *set != name);
        if wanted {
            desk.marks.push((name, self.clock.now()));
        }
        wanted
    }

    /// What was marked so far.
    pub(super) fn marks(&self) -> Vec<NamedMark> {
        self.desk().marks.clone()
    }

    pub(super) fn is_marked(&self, name: &str) -> bool {
        self.desk().marks.iter().any(|(set, _)| *set == name)
    }

    pub(super) fn take_marks(&self) -> Vec<NamedMark> {
        let mut desk = self.desk();
        desk.summed_up = true;
        mem::take(&mut desk.marks)
    }

    /// Calls `callback` at the close, or at once if that was before.
    pub(crate) fn register(&self, callback: Callback) -> Registered {
        let mut desk = self.desk();
        if let Some(close) = desk.closed {
            drop(desk);
            self.call(callback, close);
            return Registered::Called;
        }
        if desk.callbacks.len() >= Self::MAX_CALLBACKS {
            return Registered::Refused;
        }
        let key = desk.next_key;
        desk.next_key += 1;
        desk.callbacks.insert(key, callback);
        Registered::Waiting(key)
    }

    /// `None` when it was called, or is about to be.
    pub(crate) fn deregister(&self, key: u64) -> Option<Callback> {
        self.desk().callbacks.remove(&key)
    }

    #[cfg(feature = "tokio-util")]
    pub(crate) fn token(&self) -> CancellationToken {
        let mut desk = self.desk();
        if desk.closed.is_none() {
            return desk.token.get_or_insert_default().child_token();
        }
        let token = CancellationToken::new();
        token.cancel();
        token
    }

    /// Lets layers further in join.
    pub(super) fn open(&self, exchange: Weak<dyn Join>) {
        self.desk().exchange = Some(exchange);
    }

    /// The exchange, for a layer of the same role to join once, as long as there is no response.
    pub(crate) fn join(&self, role: Role, layer: LayerId) -> Option<Arc<dyn Join>> {
        if self.role != role || !matches!(self.stage(), Stage::Request | Stage::Handler) {
            return None;
        }
        let mut desk = self.desk();
        let known = layer == self.maker || desk.joined.contains(&layer);
        if known || desk.joined.len() >= Self::MAX_JOINED {
            return None;
        }
        let exchange = desk.exchange.as_ref()?.upgrade()?;
        desk.joined.push(layer);
        Some(exchange)
    }

    pub(super) fn disconnected(&self, disconnect: Disconnect) {
        self.disconnected.set(Some(disconnect));
        wake(|| self.disconnected.call());
    }

    pub(super) fn finished(&self, finish: Finish) {
        self.finished.set(Some(finish));
        wake(|| self.finished.call());
    }

    /// Everybody is woken, then the callbacks are called, in the order of their registration.
    pub(super) fn close(&self, close: Close, totals: [Data; 2]) {
        let _ = self.totals.set(totals);
        let mut desk = self.desk();
        desk.closed = Some(close);
        desk.exchange = None;
        desk.joined = Vec::new();
        #[cfg(feature = "tokio-util")]
        let token = desk.token.take();
        // While the desk is locked: whoever sees the verdict and comes to the desk finds it closed. The verdict first:
        // whoever is told that there was no more to come finds it.
        self.closed.set(close);
        self.finished.set(None);
        self.disconnected.set(None);
        drop(desk);
        #[cfg(feature = "tokio-util")]
        if let Some(token) = token {
            wake(|| token.cancel());
        }
        wake(|| self.disconnected.call());
        wake(|| self.finished.call());
        wake(|| self.closed.call());
        // One at a time, so that one of them can take another back.
        while let Some(callback) = self.next_callback() {
            self.call(callback, close);
        }
    }

    fn next_callback(&self) -> Option<Callback> {
        let mut desk = self.desk();
        let next = desk.callbacks.pop_first();
        if next.is_none() {
            // An emptied map keeps memory, and a handle may be kept for ever.
            desk.callbacks = BTreeMap::new();
        }
        Some(next?.1)
    }

    fn call(&self, Callback { name, run }: Callback, close: Close) {
        self.panics.catch_callback(name, || run(close));
    }

    /// Nothing panics while it is held.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing in it is left half done by a panic of user code, which runs outside of its lock.
impl UnwindSafe for Live {}
impl RefUnwindSafe for Live {}

/// A waker is an executor's code: when it panics, that is not the exchange's concern.
fn wake(wake: impl FnOnce()) {
    let _ = shield(wake);
}
