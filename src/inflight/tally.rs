//! How many there are, and how many of them are shown: one number, so that nobody sees the one before and the other after a change.

use std::sync::atomic::{AtomicU64, Ordering};

/// Those that are shown in the lower half, the others in the upper.
#[derive(Debug, Default)]
pub(super) struct Tally(AtomicU64);

const SHOWN: u64 = 1;
const NOT_SHOWN: u64 = 1 << 32;

impl Tally {
    /// Counts one more. Whether there is room to show it, where `most` are shown.
    pub(super) fn enter(&self, most: usize) -> bool {
        let before = self.0.fetch_add(SHOWN, Ordering::SeqCst);
        let room = halves(before).0 < most;
        if !room {
            self.0.fetch_add(NOT_SHOWN - SHOWN, Ordering::SeqCst);
        }
        room
    }

    /// Counts one less. Whether it was the last.
    pub(super) fn leave(&self, shown: bool) -> bool {
        let one = if shown { SHOWN } else { NOT_SHOWN };
        self.0.fetch_sub(one, Ordering::SeqCst) == one
    }

    /// Those that are shown, and the others.
    pub(super) fn read(&self) -> (usize, usize) {
        halves(self.0.load(Ordering::SeqCst))
    }
}

fn halves(both: u64) -> (usize, usize) {
    let half = |half: u64| usize::try_from(half & (NOT_SHOWN - 1)).unwrap_or(usize::MAX);
    (half(both), half(both >> 32))
}
