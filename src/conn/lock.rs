//! Locks that are held for a moment, and never by a user's code.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Nothing that may panic runs under it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
