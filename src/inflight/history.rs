//! Exchanges that have closed: the last ones, and of the last minutes the slowest and those that failed. All of it bounded.

use std::{
    cmp::Reverse,
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Closed, closed::Past};
use crate::{Class, ExchangeId, conn::lock};

#[derive(Debug)]
pub(super) struct History {
    /// In nanoseconds.
    window: u64,
    /// When the first began.
    start: OnceLock<Instant>,
    recent: Ring,
    failed: Ring,
    slowest: Slowest,
}

/// The last ones, each in a slot of its own, so that those who close at once do not wait for each other.
#[derive(Debug)]
struct Ring {
    slots: Box<[Slot]>,
    closed: AtomicU64,
}

/// With the how-manieth it was.
type Slot = Mutex<Option<(u64, Past)>>;

impl History {
    pub(super) fn new(recent: usize, notable: usize, window: Duration) -> Self {
        Self {
            window: nanos(window),
            start: OnceLock::new(),
            recent: Ring::new(recent),
            failed: Ring::new(notable),
            slowest: Slowest::new(notable, window),
        }
    }

    /// Nanoseconds since the first began.
    pub(super) fn since(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(*self.start.get_or_init(|| at)))
    }

    #[inline]
    pub(super) fn push(&self, past: Past) {
        if matches!(past.class, Class::Failure(_)) {
            self.failed.push(past.clone());
        }
        self.slowest.push(&past);
        self.recent.push(past);
    }

    /// How many have closed so far.
    pub(super) fn closed(&self) -> u64 {
        self.recent.closed.load(Ordering::Relaxed)
    }

    /// Those that have closed since `seen` did, oldest first, and how many of them are not there any more.
    #[cfg(feature = "inspector")]
    pub(super) fn closed_since(&self, seen: &mut u64, most: usize) -> (Vec<Arc<Closed>>, u64) {
        self.recent.since(seen, most)
    }

    pub(super) fn recent(&self) -> Vec<Arc<Closed>> {
        told(&self.recent.all())
    }

    pub(super) fn failed(&self, now: Instant) -> Vec<Arc<Closed>> {
        let mut failed = self.failed.all();
        let now = self.since(now);
        failed.retain(|past| now.saturating_sub(past.ended()) <= self.window);
        told(&failed)
    }

    pub(super) fn slowest(&self, now: Instant) -> Vec<Arc<Closed>> {
        told(&self.slowest.all(self.since(now)))
    }

    pub(super) fn find(&self, id: ExchangeId, now: Instant) -> Option<Arc<Closed>> {
        let is = |past: &Past| past.id() == id;
        let found = self.recent.find(id).or_else(|| self.failed.find(id));
        found.or_else(|| self.slowest.all(self.since(now)).into_iter().find(is))?.told()
    }
}

/// One whose hooks are being called has not quite closed.
fn told(past: &[Past]) -> Vec<Arc<Closed>> {
    past.iter().filter_map(Past::told).collect()
}

impl Ring {
    fn new(slots: usize) -> Self {
        let slots = (0..slots).map(|_| Mutex::default()).collect();
        Self { slots, closed: AtomicU64::new(0) }
    }

    fn slot(&self, number: u64) -> Option<&Slot> {
        let slots = u64::try_from(self.slots.len()).ok().filter(|slots| *slots > 0)?;
        self.slots.get(usize::try_from(number % slots).ok()?)
    }

    fn push(&self, past: Past) {
        let number = self.closed.fetch_add(1, Ordering::Relaxed);
        let Some(slot) = self.slot(number) else { return };
        let mut slot = lock(slot);
        // One that has closed later may have been faster.
        let before = match &*slot {
            Some((there, _)) if *there > number => None,
            _ => slot.replace((number, past)),
        };
        drop(slot);
        drop(before);
    }

    /// Newest first.
    fn all(&self) -> Vec<Past> {
        let mut all: Vec<_> = self.slots.iter().filter_map(|slot| lock(slot).clone()).collect();
        all.sort_unstable_by_key(|(number, _)| Reverse(*number));
        all.into_iter().map(|(_, past)| past).collect()
    }

    fn find(&self, id: ExchangeId) -> Option<Past> {
        let of = |slot: &Slot| {
            lock(slot).as_ref().map(|(_, past)| past).filter(|past| past.id() == id).cloned()
        };
        self.slots.iter().find_map(of)
    }

    #[cfg(feature = "inspector")]
    fn since(&self, seen: &mut u64, most: usize) -> (Vec<Arc<Closed>>, u64) {
        let until = self.closed.load(Ordering::Relaxed);
        let slots = self.slots.len() as u64;
        let kept = slots.min(most as u64);
        let from = (*seen).max(until.saturating_sub(kept));
        let mut missed = from - (*seen).min(from);
        let mut found = Vec::new();
        for number in from..until {
            let there = self.slot(number).and_then(|slot| lock(slot).clone());
            let told = match &there {
                Some((there, past)) if *there == number => past.told(),
                // Put there by one that has closed much later.
                Some((there, _)) if *there > number => {
                    missed += 1;
                    continue;
                }
                _ => None,
            };
            let Some(told) = told else {
                // About to close.
                *seen = number;
                return (found, missed);
            };
            found.push(told);
        }
        *seen = until;
        (found, missed)
    }
}

/// The slowest of the window, in parts of it: each keeps its own slowest, and goes as a whole when it is too old. So what is kept
/// is exact for a window that is up to a part longer.
#[derive(Debug)]
struct Slowest {
    most: usize,
    /// How long a part is, in nanoseconds.
    part: u64,
    /// When the part that is being filled begins, and what one has to be slower than to come into it, in nanoseconds: so that most
    /// do not come to the lock.
    begins: AtomicU64,
    floor: AtomicU64,
    parts: Mutex<VecDeque<(u64, Vec<Past>)>>,
}

const PARTS: u32 = 5;

impl Slowest {
    fn new(most: usize, window: Duration) -> Self {
        Self {
            most,
            part: nanos(window / PARTS).max(1),
            begins: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            parts: Mutex::default(),
        }
    }

    #[inline]
    fn push(&self, past: &Past) {
        // In this order: a floor is that of the part, or of a later one.
        let current = past.ended().wrapping_sub(self.begins.load(Ordering::Acquire)) < self.part;
        let fast = current && past.lasted < self.floor.load(Ordering::Relaxed);
        if !fast && self.most > 0 {
            self.keep(past);
        }
    }

    #[cold]
    fn keep(&self, past: &Past) {
        let at = past.ended() / self.part;
        // What goes is dropped outside of the lock: with it may go the last of somebody's layer.
        let mut old = Vec::new();
        let mut parts = lock(&self.parts);
        if parts.back().is_none_or(|(last, _)| *last < at) {
            parts.push_back((at, Vec::new()));
            while parts.front().is_some_and(|(first, _)| at - first > u64::from(PARTS)) {
                old.extend(parts.pop_front());
            }
        }
        let Some((last, slowest)) = parts.back_mut() else { return };
        let place = slowest.partition_point(|there| there.lasted >= past.lasted);
        slowest.insert(place, past.clone());
        let fastest = slowest.split_off(self.most.min(slowest.len()));
        let full = slowest.len() == self.most;
        let floor = slowest.last().filter(|_| full).map_or(0, |last| last.lasted);
        self.floor.store(floor, Ordering::Relaxed);
        self.begins.store(*last * self.part, Ordering::Release);
        drop(parts);
        drop((old, fastest));
    }

    fn all(&self, now: u64) -> Vec<Past> {
        let now = now / self.part;
        let parts = lock(&self.parts);
        let young = parts.iter().filter(|(part, _)| now.saturating_sub(*part) <= PARTS.into());
        let mut slowest: Vec<_> = young.flat_map(|(_, slowest)| slowest.iter().cloned()).collect();
        drop(parts);
        slowest.sort_by_key(|past| Reverse(past.lasted));
        slowest.truncate(self.most);
        slowest
    }
}

/// Not `as_nanos`, whose 128 bits cost more than the rest.
pub(super) fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(duration.subsec_nanos().into())
}

#[cfg(all(test, feature = "inspector"))]
mod tests;
