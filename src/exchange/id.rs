//! What an exchange is called.

use std::{
    fmt,
    num::NonZeroU64,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Names an exchange: a number that is unique in this process, in the order in which they were asked for.
///
/// It costs an atomic addition, so an exchange has one only if somebody asks:
/// [`RequestHead::id`](crate::RequestHead::id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(NonZeroU64);

/// An id that is made when it is asked for.
#[derive(Debug, Default)]
pub(crate) struct LazyId(OnceLock<ExchangeId>);

impl ExchangeId {
    fn next() -> Self {
        static ISSUED: AtomicU64 = AtomicU64::new(0);
        let issued = ISSUED.fetch_add(1, Ordering::Relaxed);
        Self(NonZeroU64::MIN.saturating_add(issued))
    }

    /// The number, from one on.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl LazyId {
    pub(crate) fn get(&self) -> ExchangeId {
        *self.0.get_or_init(ExchangeId::next)
    }

    pub(crate) fn asked(&self) -> Option<ExchangeId> {
        self.0.get().copied()
    }
}

impl From<ExchangeId> for LazyId {
    fn from(id: ExchangeId) -> Self {
        Self(id.into())
    }
}
