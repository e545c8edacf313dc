//! What observers write from any thread, and a test waits for.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time};

/// Nothing in a test should take so long, and no test should hang for longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A value that is shared, changed and waited for. Clones share it.
#[derive(Debug, Default)]
pub(super) struct Book<T>(Arc<Shared<T>>);

#[derive(Debug, Default)]
struct Shared<T> {
    page: Mutex<T>,
    /// Wakes threads that wait.
    turned: Condvar,
    /// Wakes tasks that wait.
    told: Notify,
}

impl<T> Book<T> {
    pub(super) fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock())
    }

    pub(super) fn write<R>(&self, write: impl FnOnce(&mut T) -> R) -> R {
        let written = write(&mut self.lock());
        self.0.turned.notify_all();
        self.0.told.notify_waiters();
        written
    }

    /// Blocks the thread until `holds`, and says whether it does.
    pub(super) fn wait_blocking(&self, patience: Duration, holds: impl Fn(&T) -> bool) -> bool {
        let waited = self.0.turned.wait_timeout_while(self.lock(), patience, |page| !holds(page));
        let (page, _) = waited.unwrap_or_else(PoisonError::into_inner);
        holds(&page)
    }

    /// Waits until `holds`, and says whether it does.
    pub(super) async fn wait(&self, patience: Duration, holds: impl Fn(&T) -> bool) -> bool {
        let held = async {
            loop {
                // Made before the look, so that no change after it is missed.
                let told = self.0.told.notified();
                if self.read(&holds) {
                    return;
                }
                told.await;
            }
        };
        time::timeout(patience, held).await.is_ok()
    }

    /// A page that was being written when a test failed can still be read.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// Not derived: `T` need not be `Clone`.
impl<T> Clone for Book<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
