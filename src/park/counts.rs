//! What a lot has seen.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tracing::{debug, warn};

use super::{Outcome, Refused, Unparked};
use crate::{
    ExchangeHandle, RequestClose,
    handle::{Blind, DisconnectWatch},
};

/// What a lot has seen since it was made. [`Lot::counts`](super::Lot::counts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Slots that there are now.
    pub parked: usize,
    /// Those that found something by their first check, and did not wait.
    pub at_once: u64,
    /// Those that waited and ended so, and how long they were parked in all.
    pub woken: Ended,
    /// See [`Outcome::Deadline`].
    pub deadline: Ended,
    /// See [`Outcome::Superseded`].
    pub superseded: Ended,
    /// See [`Outcome::Closed`].
    pub closed: Ended,
    /// See [`Outcome::Draining`].
    pub draining: Ended,
    /// Refused because the lot was full.
    pub full: u64,
    /// Refused because the key was.
    pub key_full: u64,
    /// Refused because the owner had as many as it may.
    pub owner_full: u64,
    /// Refused because the lot drains.
    pub refused_draining: u64,
    /// Parked while a part of their request's body was unread, seen by a watch or not: see [`Slot::of`](super::Slot::of).
    pub unread: u64,
    /// Panics of the observer that were caught: see [`Policy::on_unpark`](super::Policy::on_unpark).
    pub panics: u64,
}

/// Parks that ended in one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// How many.
    pub parks: u64,
    /// How long they were parked in all.
    pub time: Duration,
}

const TARGET: &str = "tower_lifecycle::park";

const BLIND: &str = "a poll is parked with its request's body unread, so it will not be noticed that the client leaves: \
    read the body before, by `park::drain_or_reject`";

#[derive(Debug, Default)]
pub(super) struct Counters {
    at_once: AtomicU64,
    ended: [EndedCounter; 5],
    refused: [AtomicU64; 4],
    unread: AtomicU64,
    warned: AtomicBool,
    panics: AtomicU64,
}

#[derive(Debug, Default)]
struct EndedCounter {
    parks: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Counters {
    pub(super) fn refused(&self, refused: Refused) {
        add(&self.refused[refused as usize], 1);
    }

    pub(super) fn panicked(&self) {
        add(&self.panics, 1);
    }

    /// Takes note of an exchange that parks, if a part of its request's body is unread.
    pub(super) fn parks(&self, exchange: &ExchangeHandle) {
        use RequestClose::{Partial, Unread};
        if !matches!(exchange.request_close(), None | Some(Unread | Partial)) {
            return;
        }
        add(&self.unread, 1);
        let DisconnectWatch::Blind(blind) = exchange.disconnect_watch() else { return };
        if blind == Blind::Over {
            return;
        }
        let exchange = exchange.id();
        if self.warned.swap(true, Ordering::Relaxed) {
            debug!(target: TARGET, %exchange, %blind, "{BLIND}");
        } else {
            warn!(target: TARGET, %exchange, %blind, "{BLIND}; told at the level of debug from here on");
        }
    }

    pub(super) fn unparked(&self, unparked: &Unparked) {
        if unparked.outcome == Outcome::Woken(()) && !unparked.waited {
            return add(&self.at_once, 1);
        }
        let ended = &self.ended[place(unparked.outcome)];
        add(&ended.parks, 1);
        add(&ended.nanoseconds, unparked.parked.as_nanos().try_into().unwrap_or(u64::MAX));
    }

    pub(super) fn read(&self, parked: usize) -> Counts {
        let ended = |outcome| self.ended[place(outcome)].read();
        let refused = |refused| get(&self.refused[refused as usize]);
        Counts {
            parked,
            at_once: get(&self.at_once),
            woken: ended(Outcome::Woken(())),
            deadline: ended(Outcome::Deadline),
            superseded: ended(Outcome::Superseded),
            closed: ended(Outcome::Closed),
            draining: ended(Outcome::Draining),
            full: refused(Refused::Full),
            key_full: refused(Refused::KeyFull),
            owner_full: refused(Refused::OwnerFull),
            refused_draining: refused(Refused::Draining),
            unread: get(&self.unread),
            panics: get(&self.panics),
        }
    }
}

impl EndedCounter {
    fn read(&self) -> Ended {
        Ended { parks: get(&self.parks), time: Duration::from_nanos(get(&self.nanoseconds)) }
    }
}

fn place(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Woken(()) => 0,
        Outcome::Deadline => 1,
        Outcome::Superseded => 2,
        Outcome::Closed => 3,
        Outcome::Draining => 4,
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
