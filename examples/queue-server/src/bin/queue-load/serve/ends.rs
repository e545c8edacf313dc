//! When polls and exchanges ended.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::{machine::now, orders::End};

/// Written down where it happens.
#[derive(Debug, Default)]
pub(super) struct Ends {
    parks: Mutex<Vec<u64>>,
    exchanges: Mutex<Vec<u64>>,
    /// Not before somebody asks for them: the minimal server writes down parks alone, and does not pay for more either.
    wants_exchanges: AtomicBool,
}

/// Of each kind; what ends later is not looked at.
const MOST: usize = 200_000;

impl Ends {
    pub(super) fn ended(&self, what: End) {
        if what == End::Exchange && !self.wants_exchanges.load(Ordering::Relaxed) {
            return;
        }
        let now = now();
        let mut ends = self.of(what);
        if ends.len() < MOST {
            ends.push(now);
        }
    }

    pub(super) fn after(&self, what: End, after: usize) -> Vec<u64> {
        if what == End::Exchange {
            self.wants_exchanges.store(true, Ordering::Relaxed);
        }
        self.of(what).get(after..).unwrap_or_default().to_vec()
    }

    fn of(&self, what: End) -> MutexGuard<'_, Vec<u64>> {
        let ends = match what {
            End::Park => &self.parks,
            End::Exchange => &self.exchanges,
        };
        ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
