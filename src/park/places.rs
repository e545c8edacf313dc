//! Who is parked on what.
//!
//! A seat is removed by the slot that has it, by its token, never by its key: whoever comes late removes nobody else.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, Hash, RandomState},
    mem,
    sync::{Arc, PoisonError},
};

#[cfg(lifecycle_loom)]
use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
#[cfg(not(lifecycle_loom))]
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::{Refused, Second, Token, signal::Signal};

/// One parked poll, as those see it who wake it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) token: Token,
    pub(super) signal: Signal,
}

#[derive(Debug)]
pub(super) struct Places<K, O> {
    shards: Box<[Mutex<HashMap<K, Held>>]>,
    owners: Box<[Mutex<HashMap<O, usize>>]>,
    random: RandomState,
    parked: AtomicUsize,
    closed: AtomicBool,
}

/// Nearly always it is one.
#[derive(Debug)]
enum Held {
    One(Arc<Seat>),
    Many(Vec<Arc<Seat>>),
}

/// Locks are held for less than a microsecond; so many make it unlikely that one is waited for.
const SHARDS: usize = if cfg!(lifecycle_loom) { 1 } else { 32 };

/// A crowd that has left leaves room for no more than so many in a shard.
const KEPT: usize = 64;

impl<K: Hash + Eq, O: Hash + Eq> Places<K, O> {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
            owners: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
            random: RandomState::new(),
            parked: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// A number between 0 and 1 that nobody can foresee.
    pub(super) fn chance(&self, token: Token) -> f64 {
        let bits = u32::try_from(self.random.hash_one(token) >> 32).unwrap_or(u32::MAX);
        f64::from(bits) / f64::from(u32::MAX)
    }

    pub(super) fn parked(&self) -> usize {
        self.parked.load(Ordering::Relaxed)
    }

    /// Counts one more. Returns why it is one too many, if it is and takes nobody's place.
    pub(super) fn count(
        &self,
        owner: &O,
        max_parked: usize,
        max_per_owner: usize,
    ) -> Option<Refused>
    where
        O: Clone,
    {
        // The owner first: its code may panic, and then nothing was counted.
        let owner_full = max_per_owner != usize::MAX && {
            let owner = owner.clone();
            let mut owners = self.owners(&owner);
            let held = owners.entry(owner).or_default();
            *held += 1;
            *held > max_per_owner
        };
        let full = self.parked.fetch_add(1, Ordering::Relaxed) >= max_parked;
        full.then_some(Refused::Full).or(owner_full.then_some(Refused::OwnerFull))
    }

    /// Takes back what [`Self::count`] did. Whether none is left.
    pub(super) fn uncount(&self, owner: &O, max_per_owner: usize) -> bool {
        let none_left = self.parked.fetch_sub(1, Ordering::Relaxed) == 1;
        if max_per_owner != usize::MAX {
            let mut owners = self.owners(owner);
            match owners.get_mut(owner) {
                Some(held) if *held > 1 => *held -= 1,
                _ => {
                    owners.remove(owner);
                    shrink(&mut owners);
                }
            }
        }
        none_left
    }

    /// Puts `seat` on `key`; the seat that it takes the place of is returned. `excess` says why there is no room for one
    /// that takes nobody's place.
    pub(super) fn sit(
        &self,
        key: K,
        seat: Arc<Seat>,
        second: Second,
        excess: Option<Refused>,
    ) -> Result<Option<Arc<Seat>>, Refused> {
        let mut shard = self.shard(&key);
        // Below the lock, so that whoever closes and then goes through the shards has seen all that got in.
        if self.closed.load(Ordering::Relaxed) {
            return Err(Refused::Draining);
        }
        let mut place = match shard.entry(key) {
            Entry::Vacant(place) => {
                if let Some(refused) = excess {
                    return Err(refused);
                }
                if second == Second::Share(0) {
                    return Err(Refused::KeyFull);
                }
                place.insert(Held::One(seat));
                return Ok(None);
            }
            Entry::Occupied(place) => place,
        };
        let held = place.get_mut();
        match second {
            Second::Supersede => return Ok(mem::replace(held, Held::One(seat)).first()),
            Second::Share(most) if held.len() < most => {}
            Second::Share(_) | Second::Reject => return Err(Refused::KeyFull),
        }
        if let Some(refused) = excess {
            return Err(refused);
        }
        held.push(seat);
        Ok(None)
    }

    /// Removes the seat with `token` from `key`, if it is still there.
    pub(super) fn stand(&self, key: &K, token: Token) {
        let mut shard = self.shard(key);
        if shard.get_mut(key).is_some_and(|held| held.remove(token)) {
            shard.remove(key);
            shrink(&mut shard);
        }
    }

    /// Who is on `key`.
    pub(super) fn on(&self, key: &K) -> impl Iterator<Item = Arc<Seat>> + use<K, O> {
        let shard = self.shard(key);
        let (one, many) = match shard.get(key) {
            None => (None, Vec::new()),
            Some(Held::One(seat)) => (Some(Arc::clone(seat)), Vec::new()),
            Some(Held::Many(seats)) => (None, seats.clone()),
        };
        one.into_iter().chain(many)
    }

    pub(super) fn all(&self) -> Vec<Arc<Seat>> {
        let mut all = Vec::with_capacity(self.parked());
        for shard in &self.shards {
            for held in lock(shard).values() {
                match held {
                    Held::One(seat) => all.push(Arc::clone(seat)),
                    Held::Many(seats) => all.extend(seats.iter().cloned()),
                }
            }
        }
        all
    }

    /// From here on nobody gets in.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, HashMap<K, Held>> {
        lock(&self.shards[self.index(key)])
    }

    fn owners(&self, owner: &O) -> MutexGuard<'_, HashMap<O, usize>> {
        lock(&self.owners[self.index(owner)])
    }

    fn index(&self, key: impl Hash) -> usize {
        usize::try_from(self.random.hash_one(key) % SHARDS as u64).unwrap_or(0)
    }
}

impl Held {
    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(seats) => seats.len(),
        }
    }

    fn push(&mut self, seat: Arc<Seat>) {
        match self {
            Self::One(first) => *self = Self::Many(vec![Arc::clone(first), seat]),
            Self::Many(seats) => seats.push(seat),
        }
    }

    /// Whether none is left.
    fn remove(&mut self, token: Token) -> bool {
        match self {
            Self::One(seat) => seat.token == token,
            Self::Many(seats) => {
                seats.retain(|seat| seat.token != token);
                seats.is_empty()
            }
        }
    }

    fn first(self) -> Option<Arc<Seat>> {
        match self {
            Self::One(seat) => Some(seat),
            Self::Many(seats) => seats.into_iter().next(),
        }
    }
}

fn shrink<K: Hash + Eq, V>(map: &mut HashMap<K, V>) {
    if map.len() * 8 < map.capacity() {
        map.shrink_to(KEPT);
    }
}

/// What is in there is whole after each step, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, lifecycle_loom))]
mod model;
