//! The lot: gives slots, and wakes those that have one.

use std::{
    fmt,
    future::Future,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Counts, Drained, Outcome, Policy, Refused, Slot, Token,
    counts::Counters,
    drain::{Departures, spread},
    places::{Places, Seat},
    signal::Signal,
};

/// Where polls are parked, each by its key, in one of as many slots as the [`Policy`] allows.
///
/// Cheap to clone: clones are the same lot. `O` is whose the polls are, where that is to be bounded.
///
/// Keys and owners are hashed, compared and dropped under a lock of the lot: what they do there must not come back to it.
pub struct Lot<K, O = ()>(pub(super) Arc<Shared<K, O>>);

pub(super) struct Shared<K, O> {
    pub(super) policy: Policy,
    pub(super) places: Places<K, O>,
    pub(super) counters: Counters,
    pub(super) departures: Departures,
    tokens: AtomicU64,
}

impl<K: Hash + Eq + Clone> Lot<K> {
    /// Registers a poll on `key`. From here on no wake is missed: look at the source now, by [`Slot::wait`].
    ///
    /// A poll that is parked there already is superseded, if the policy is [`Supersede`](super::Second::Supersede). Who takes
    /// the place of another this way needs no other: it is let in when the lot or its owner has no room left.
    ///
    /// # Errors
    /// When there is no place: [`Refused`] says which.
    pub fn park(&self, key: K) -> Result<Slot<K>, Refused> {
        self.park_for(key, ())
    }
}

impl<K: Hash + Eq + Clone, O: Hash + Eq + Clone> Lot<K, O> {
    /// A lot with nobody in it.
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(Shared {
            policy,
            places: Places::new(),
            counters: Counters::default(),
            departures: Departures::default(),
            tokens: AtomicU64::new(0),
        }))
    }

    /// The same as `park`, and counts the poll among those of `owner`: see [`Policy::max_per_owner`].
    ///
    /// # Errors
    /// When there is no place: [`Refused`] says which.
    pub fn park_for(&self, key: K, owner: O) -> Result<Slot<K, O>, Refused> {
        self.enter(key, owner).inspect_err(|refused| self.0.counters.refused(*refused))
    }

    fn enter(&self, key: K, owner: O) -> Result<Slot<K, O>, Refused> {
        let Shared { policy, places, tokens, .. } = &*self.0;
        if places.is_closed() {
            return Err(Refused::Draining);
        }
        let excess = places.count(&owner, policy.max_parked, policy.max_per_owner);
        // Takes it back, whatever happens below.
        let counted = Counted { lot: self.clone(), owner };
        let token = Token(tokens.fetch_add(1, Ordering::Relaxed));
        let seat = Arc::new(Seat { token, signal: Signal::new() });
        let before = places.sit(key.clone(), Arc::clone(&seat), policy.second, excess)?;
        let slot = Slot::new(counted, key, seat, Instant::now());
        if let Some(before) = before {
            before.signal.decide(Outcome::Superseded);
        }
        Ok(slot)
    }

    /// Wakes who is parked on `key`, to look at its source again. Whether there was anybody who was in time.
    ///
    /// Who was in time looks again, unless its wait ends otherwise first: its client leaves, it is superseded, or its
    /// deadline comes while a check of it still runs. The source keeps what it has, so the next poll finds it.
    ///
    /// It blocks for no more than a lock that is held for a moment, and may be called from anywhere.
    pub fn wake(&self, key: &K) -> bool {
        let mut woken = false;
        for seat in self.0.places.on(key) {
            woken |= seat.signal.call();
        }
        woken
    }

    /// Wakes who is parked on one of `keys`. On how many of them there was anybody.
    pub fn wake_many<'a>(&self, keys: impl IntoIterator<Item = &'a K>) -> usize
    where
        K: 'a,
    {
        keys.into_iter().filter(|key| self.wake(key)).count()
    }

    /// Wakes everybody who is parked now, evenly spread over `window`; at once if it is zero. How many were woken.
    ///
    /// Dropped halfway, the rest is not woken. Needs a runtime of tokio with time, unless the window is zero.
    pub async fn wake_all(&self, window: Duration) -> usize {
        let mut woken = 0;
        spread(self.0.places.all(), window, |seat| {
            let in_time = seat.signal.call();
            woken += usize::from(in_time);
            in_time
        })
        .await;
        woken
    }

    /// Ends what is parked on `key` by [`Closed`](Outcome::Closed): there is nothing to wait for any more. How many it ended.
    ///
    /// Who parks there later is not concerned. Until what was ended is dropped, it keeps its place: where a second poll is not
    /// to supersede, one may be refused for that long.
    pub fn close(&self, key: &K) -> usize {
        self.0.places.on(key).filter(|seat| seat.signal.decide(Outcome::Closed)).count()
    }

    /// Lets nobody in any more, ends what is parked by [`Draining`](Outcome::Draining), evenly spread over `window`, and
    /// waits until all slots are dropped, and the exchanges that they were [of](Slot::of) are over, but no longer than
    /// `patience` after the window.
    ///
    /// Nobody is let in from the call on, and for good; the rest is done by the future. Dropped halfway, what it has not ended
    /// yet stays parked until its deadline; another drain goes on with it. What is not over when the patience ends is
    /// [reported](Drained) and still lives: whoever serves the connections [drops it](super#stopping).
    ///
    /// Needs a runtime of tokio with time.
    pub fn drain(
        &self,
        window: Duration,
        patience: Duration,
    ) -> impl Future<Output = Drained> + Send + use<K, O>
    where
        K: Send + Sync + 'static,
        O: Send + Sync + 'static,
    {
        self.0.departures.begin();
        self.0.places.close();
        let lot = self.clone();
        async move { super::drain::drain(&lot, window, patience).await }
    }

    /// How many slots there are now.
    pub fn parked(&self) -> usize {
        self.0.places.parked()
    }

    /// Whether it [drains](Self::drain), or has.
    pub fn is_draining(&self) -> bool {
        self.0.places.is_closed()
    }

    /// What it has seen.
    pub fn counts(&self) -> Counts {
        self.0.counters.read(self.parked())
    }
}

/// One poll that was counted, until it is dropped.
pub(super) struct Counted<K: Hash + Eq, O: Hash + Eq> {
    pub(super) lot: Lot<K, O>,
    owner: O,
}

impl<K: Hash + Eq, O: Hash + Eq> Drop for Counted<K, O> {
    fn drop(&mut self) {
        let Shared { policy, places, departures, .. } = &*self.lot.0;
        if places.uncount(&self.owner, policy.max_per_owner) {
            departures.all_left();
        }
    }
}

impl<K, O> Clone for Lot<K, O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Hash + Eq + Clone, O: Hash + Eq + Clone> Default for Lot<K, O> {
    fn default() -> Self {
        Self::new(Policy::new())
    }
}

impl<K, O> fmt::Debug for Lot<K, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lot").field("policy", &self.0.policy).finish_non_exhaustive()
    }
}
