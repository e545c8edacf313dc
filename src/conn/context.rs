//! One connection: its facts, the exchanges that wait for one of them, and who is to hear of it.

mod over;

use std::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context as Task, Waker},
    time::{Duration, Instant},
};

#[cfg(feature = "conn")]
use super::attend::attend;
use super::{
    About, Connection, ConnectionReason, ConnectionSummary, UpgradeSummary,
    facts::{Facts, Sight},
    id::ConnectionId,
    lock::lock,
    queue::{Queue, Waiting},
    times::{IoTimes, Stamps},
    watching::{Blind, DisconnectWatch, Watch, Watching},
};
use crate::clock::Clock;

pub(crate) use self::over::Hold;

pub(crate) struct Context {
    pub(crate) id: ConnectionId,
    pub(crate) about: About,
    pub(crate) facts: Facts,
    /// Until it is over: it may be kept by those who hear.
    hears: Mutex<Option<Arc<dyn Hears>>>,
    clock: Clock,
    half_close: bool,
    driven: bool,
    /// The task that polls it can be woken, whatever is spoken.
    wakes: bool,
    /// If times are wanted.
    began: Option<Instant>,
    /// If those of its bytes are.
    stamps: Option<Box<Stamps>>,
    /// It speaks HTTP/2.
    http2: AtomicBool,
    exchanges: AtomicU64,
    upgraded: AtomicU64,
    /// Held by tasks of upgraded streams.
    guards: AtomicU64,
    /// The transport, while there is one, the services that may begin an exchange, and the exchanges that the server holds.
    open: AtomicUsize,
    /// Of those the exchanges.
    exchanges_open: AtomicUsize,
    /// The connection ended before something on it did.
    cut: AtomicBool,
    /// How much was sent when the last exchange closed.
    answered: AtomicU64,
    pub(super) queue: Queue,
    watching: Watching,
    /// The task that polls the transport.
    task: Mutex<Option<Waker>>,
    /// What the server said of its end.
    told: OnceLock<ConnectionReason>,
}

/// What a seam wants of its connections.
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
pub(crate) struct Settings {
    pub(crate) hears: Arc<dyn Hears>,
    pub(crate) clock: Clock,
    /// Times are wanted.
    pub(crate) timed: bool,
    /// Those of bytes too.
    pub(crate) stamped: bool,
    /// It may be cut.
    pub(crate) wakes: bool,
    /// A peer that sends no more is not gone.
    pub(crate) half_close: bool,
    /// Somebody tells those who wait after each poll of the connection.
    pub(crate) driven: bool,
}

/// Who is to hear of connections.
pub(crate) trait Hears: Send + Sync {
    fn opened(&self, connection: &Connection);
    fn closed(&self, summary: &ConnectionSummary);
    fn upgrade_closed(&self, summary: &UpgradeSummary);
}

impl Context {
    pub(crate) fn new(
        settings: Settings,
        about: About,
        watch: Option<Box<dyn Watch>>,
    ) -> Arc<Self> {
        let Settings { hears, clock, timed, stamped, wakes, half_close, driven } = settings;
        let context = Arc::new(Self {
            id: ConnectionId::next(),
            about,
            facts: Facts::default(),
            hears: Mutex::new(Some(Arc::clone(&hears))),
            began: (timed || stamped).then(|| clock.now()),
            stamps: stamped.then(Box::default),
            clock,
            half_close,
            driven,
            wakes,
            http2: AtomicBool::new(false),
            exchanges: AtomicU64::new(0),
            upgraded: AtomicU64::new(0),
            guards: AtomicU64::new(0),
            open: AtomicUsize::new(1),
            exchanges_open: AtomicUsize::new(0),
            cut: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            queue: Queue::default(),
            watching: Watching::new(watch),
            task: Mutex::default(),
            told: OnceLock::new(),
        });
        hears.opened(&Connection(Arc::clone(&context)));
        context
    }

    /// What is known that bears on an exchange.
    pub(crate) fn sight(&self) -> Sight {
        let sight = self.facts.sight();
        if self.allows_half_close() { sight.without(Sight::EOF) } else { sight }
    }

    #[cfg(feature = "inflight")]
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// If times are wanted.
    pub(super) fn now(&self) -> Option<Instant> {
        self.began.map(|_| self.clock.now())
    }

    /// When its bytes passed, if that is wanted.
    pub(super) fn times(&self) -> Option<IoTimes> {
        self.stamps.as_deref().map(Stamps::read)
    }
}

// ===== What passes =====

/// As the transport's reader and writer see it.
impl Context {
    #[inline]
    pub(crate) fn received(&self, bytes: usize) {
        self.facts.receive(bytes);
        self.stamp(Stamps::receive);
    }

    #[inline]
    pub(crate) fn sent(&self, bytes: usize) {
        self.facts.send(bytes);
        self.stamp(Stamps::send);
    }

    /// The transport does not take more.
    #[inline]
    pub(crate) fn refused(&self) {
        self.stamp(Stamps::refuse);
    }

    #[inline]
    fn stamp(&self, stamp: fn(&Stamps, Duration)) {
        if let (Some(stamps), Some(began)) = (&self.stamps, self.began) {
            stamp(stamps, self.clock.now().saturating_duration_since(began));
        }
    }
}

// ===== Waiting =====

impl Context {
    /// `waiter` hears when everything sent so far is flushed.
    pub(crate) fn await_flush(&self, waiter: Waiting) {
        self.queue.await_flush(waiter, || self.sight());
    }

    /// `waiter` hears what the connection shows next.
    pub(crate) fn await_cause(self: &Arc<Self>, waiter: Waiting) {
        if self.queue.await_cause(waiter, self.facts.polls(), || self.sight()) {
            self.wake();
            if !self.driven {
                self.attend();
            }
        }
    }

    /// The last of a response was let go by the connection, all of it taken or not. It may be called under a lock of h2.
    pub(crate) fn taken(self: &Arc<Self>, waiter: Waiting, all: bool) {
        if self.queue.taken(waiter, self.facts.polls(), all) {
            self.attend();
        }
    }

    #[cfg_attr(not(feature = "conn"), expect(clippy::unused_self, reason = "there is no runtime"))]
    fn attend(self: &Arc<Self>) {
        #[cfg(feature = "conn")]
        attend(self);
    }

    /// Everything sent was flushed. It may be called under a lock of h2.
    pub(crate) fn flushed(&self) {
        self.facts.flush();
        self.queue.flushed();
    }

    /// Tells those of whom something is known now. Whether others wait still. Not to be called under a lock of h2.
    pub(crate) fn settle(&self) -> bool {
        self.queue.settle(self.facts.polls(), self.sight())
    }

    /// The same once the transport is dropped: who comes then finds nobody who would.
    pub(crate) fn settle_late(&self) {
        if self.facts.sight().has(Sight::DROPPED) {
            self.settle();
        }
    }

    /// Wakes the task that polls the transport, which then shows that it lives.
    pub(crate) fn wake(&self) {
        let task = lock(&self.task).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

// ===== Watching =====

impl Context {
    /// Whether an exchange is to [look](Self::look).
    pub(crate) fn watches(&self, outermost: bool, wanted: bool) -> bool {
        self.watching.takes(outermost, wanted)
    }

    /// Looks whether the peer has left, and has the task woken when it does, unless nothing can see that.
    pub(crate) fn look(&self, task: &mut Task<'_>) {
        self.facts.see(self.watching.look(task));
    }

    /// Makes the transport fail. Where the end of the connection would be taken for the end of an `answer`, it is a reset.
    pub(crate) fn poison(&self, answer: bool) {
        self.facts.see(Sight::POISONED);
        if answer {
            self.watching.reset();
        }
    }

    /// Makes the transport fail, whatever is on it.
    pub(crate) fn cut(&self) {
        self.facts.see(Sight::CUT);
        if self.open_exchanges() > 0 || self.open_upgrades() > 0 {
            self.cut.store(true, Ordering::Relaxed);
            if !self.is_http2() {
                // The end of the connection is that of an answer without a length, and of whatever it was upgraded to.
                self.watching.reset();
            }
        }
        self.wake();
    }

    /// How long ago it was accepted, if times are wanted.
    pub(super) fn age(&self) -> Option<Duration> {
        self.now().zip(self.began).map(|(now, began)| now.saturating_duration_since(began))
    }

    /// Lets go of the socket.
    pub(crate) fn unwatch(&self) {
        self.watching.end();
    }

    /// Whether the peer would be seen to leave.
    pub(crate) fn disconnect_watch(&self) -> DisconnectWatch {
        let gone = Sight::RESET.and(Sight::FAILED).and(Sight::EOF);
        let sight = self.facts.sight();
        if sight.has(Sight::EOF) && self.allows_half_close() {
            DisconnectWatch::Blind(Blind::HalfClosed)
        } else if sight.has(gone) || self.is_http2() || self.watching.is_looking() {
            DisconnectWatch::Armed
        } else {
            DisconnectWatch::Blind(Blind::NotWatchable)
        }
    }

    /// Remembers the task that polls the transport, where it may have to be woken.
    pub(crate) fn polled_by(&self, task: &Waker) {
        if !self.wakes && !self.is_http2() {
            return;
        }
        let mut known = lock(&self.task);
        if known.as_ref().is_none_or(|known| !known.will_wake(task)) {
            *known = Some(task.clone());
        }
    }

    /// HTTP/2 knows no half of a connection.
    fn allows_half_close(&self) -> bool {
        self.half_close && !self.is_http2()
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }
}

/// Nothing of it is left half done by a panic of user code, which runs outside of its locks.
impl UnwindSafe for Context {}
impl RefUnwindSafe for Context {}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.id)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}
