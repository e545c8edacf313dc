//! What passed, counted without a turn.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Data;

/// Written by one body wrapper, which is borrowed mutably when it counts: so no read-modify-write is needed.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    bytes: AtomicU64,
    frames: AtomicU64,
}

impl Counter {
    /// One frame more.
    #[inline]
    pub(super) fn add(&self, bytes: u64) {
        let add = |to: &AtomicU64, more| {
            to.store(to.load(Ordering::Relaxed).saturating_add(more), Ordering::Relaxed);
        };
        add(&self.bytes, bytes);
        add(&self.frames, 1);
    }

    /// Zero frames where nothing has passed.
    #[inline]
    pub(crate) fn get(&self) -> Data {
        Data {
            bytes: self.bytes.load(Ordering::Relaxed),
            frames: self.frames.load(Ordering::Relaxed),
        }
    }
}
