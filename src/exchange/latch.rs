//! A value that is set once and waited for by many.
//!
//! Invariants:
//! 1. The value is set before the waiters are called, and a waiter looks for it after it has registered: so either the
//!    call finds the waiter, or the waiter finds the value. Registering and calling are ordered by the bell itself.
//! 2. A value that is set stays: whoever comes later has it at once.
//!
//! The waiters are a list of tokio's, in which each is a part of its own future: no allocation, no bound to overrun.

#[cfg(lifecycle_loom)]
use self::model::{Notify, OnceLock};
#[cfg(not(lifecycle_loom))]
use std::sync::OnceLock;
#[cfg(not(lifecycle_loom))]
use tokio::sync::Notify;

#[derive(Debug)]
pub(crate) struct Latch<T> {
    value: OnceLock<T>,
    bell: Notify,
}

impl<T: Copy> Latch<T> {
    pub(crate) fn new() -> Self {
        Self { value: OnceLock::new(), bell: Notify::new() }
    }

    pub(crate) fn get(&self) -> Option<T> {
        self.value.get().copied()
    }

    /// Sets the value, unless it was set before. [`Self::call`] is to be called next.
    pub(crate) fn set(&self, value: T) {
        let _ = self.value.set(value);
    }

    /// Wakes everybody: user code.
    pub(crate) fn call(&self) {
        self.bell.notify_waiters();
    }

    /// Cancel safe.
    pub(crate) async fn wait(&self) -> T {
        loop {
            let called = self.bell.notified();
            if let Some(value) = self.get() {
                return value;
            }
            called.await;
        }
    }
}

#[cfg(lifecycle_loom)]
mod model;
