//! What a connection is called.

use std::{
    fmt,
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering},
};

/// Names a connection: a number that is unique in this process, in the order of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(NonZeroU64);

impl ConnectionId {
    pub(super) fn next() -> Self {
        static ISSUED: AtomicU64 = AtomicU64::new(0);
        Self(NonZeroU64::MIN.saturating_add(ISSUED.fetch_add(1, Ordering::Relaxed)))
    }

    /// The number, from one on.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
