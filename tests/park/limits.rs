//! Limits, and that nobody who is refused is counted.

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
};

use tower_lifecycle::park::{Lot, Outcome, Policy, Refused, Second};

use crate::{
    rig::{lot, park},
    support::panics::{boom, catch, quiet},
};

#[tokio::test(start_paused = true)]
async fn the_lot_and_each_owner_have_their_limits() {
    let lot = lot(|policy| policy.max_parked(3).max_per_owner(2));
    let held = [(1, 1), (2, 1), (3, 2)].map(|(key, owner)| lot.park_for(key, owner).unwrap());
    assert_eq!(lot.park_for(4, 2).unwrap_err(), Refused::Full);
    let [first, ..] = held;
    drop(first);
    let again = lot.park_for(4, 1).unwrap();
    drop(again);
    let second = lot.park_for(4, 2).unwrap();
    assert_eq!(lot.park_for(5, 2).unwrap_err(), Refused::Full);
    drop(second);
    let counts = lot.counts();
    assert_eq!((counts.full, counts.owner_full), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn an_owner_who_has_as_many_as_it_may_is_refused_and_others_are_not() {
    let lot = lot(|policy| policy.max_per_owner(1));
    let _held = lot.park_for(1, 1).unwrap();
    for _ in 0..3 {
        assert_eq!(lot.park_for(2, 1).unwrap_err(), Refused::OwnerFull);
    }
    drop(lot.park_for(2, 2).unwrap());
    assert_eq!((lot.parked(), lot.counts().owner_full), (1, 3));
}

/// Who reconnects because its connection broke unseen would else be locked out by itself.
#[tokio::test(start_paused = true)]
async fn who_supersedes_needs_no_room_and_who_is_refused_leaves_no_trace() {
    let lot = lot(|policy| policy.max_parked(1).max_per_owner(1));
    let mut first = park(lot.park_for(1, 1).unwrap());
    assert_eq!(lot.park_for(2, 1).unwrap_err(), Refused::Full);
    assert_eq!(first.wakes(), 0);
    let second = lot.park_for(1, 1).unwrap();
    assert_eq!(first.poll(), Some(Outcome::Superseded));
    assert_eq!(lot.parked(), 1);
    assert_eq!(lot.park_for(2, 2).unwrap_err(), Refused::Full);
    drop(second);
    assert_eq!(lot.parked(), 0);
    drop(lot.park_for(2, 1).unwrap());
}

#[tokio::test(start_paused = true)]
async fn who_shares_a_key_needs_room() {
    let lot = lot(|policy| policy.max_parked(1).second(Second::Share(2)));
    let held = lot.park_for(1, 1).unwrap();
    assert_eq!(lot.park_for(1, 1).unwrap_err(), Refused::Full);
    drop(held);
    assert_eq!(lot.parked(), 0);
}

thread_local! {
    static PANICS: Cell<bool> = const { Cell::new(false) };
}

/// A key, or an owner, whose code panics.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Panics(u32);

impl Hash for Panics {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if PANICS.get() {
            boom();
        }
        self.0.hash(state);
    }
}

#[test]
fn a_key_or_an_owner_that_panics_is_not_counted() {
    quiet();
    let keys: Lot<Panics> = Lot::new(Policy::new());
    let owners: Lot<u32, Panics> = Lot::new(Policy::new().max_per_owner(1));
    PANICS.set(true);
    assert!(catch(|| keys.park(Panics(1))).is_err());
    assert!(catch(|| owners.park_for(1, Panics(1))).is_err());
    PANICS.set(false);
    assert_eq!((keys.parked(), owners.parked()), (0, 0));
    drop(keys.park(Panics(1)).unwrap());
    drop(owners.park_for(1, Panics(1)).unwrap());
}
