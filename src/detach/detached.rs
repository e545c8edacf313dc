//! The count of what runs in tasks of its own, and how to wait for its end.
//!
//! No wake-up is lost: [`Detached::idle`] registers before it reads the count, and [`Ticket`] changes the count before it
//! notifies. So either the notification comes after the registration, or the count was read after its change.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::sync::Notify;

use super::shield;

/// What runs in tasks of its own: the handlers of a [`DetachLayer`](super::DetachLayer), and the sections that are
/// [shielded](Self::shield) through it.
///
/// For a program that shuts down: a server waits for its connections, and what runs here has lost its own. Cheap to clone;
/// clones count the same. `Detached::default()` belongs to no layer, for sections alone.
#[derive(Clone, Default)]
pub struct Detached(Arc<Count>);

#[derive(Default)]
struct Count {
    running: AtomicUsize,
    none_left: Notify,
}

pin_project! {
    /// A future that counts until it is dropped.
    pub(super) struct Counted<F> {
        #[pin]
        future: F,
        // Declared last, so that it is dropped when the future is gone.
        ticket: Ticket,
    }
}

struct Ticket(Arc<Count>);

impl Detached {
    /// How many handlers and sections have not ended. A handler counts whether its client left or not, from the call on.
    pub fn running(&self) -> usize {
        self.0.running.load(Ordering::Acquire)
    }

    /// Waits until nothing runs: resolves when that was so at any time since its first poll, which may be at once.
    ///
    /// Call it when nothing new comes in, which means after the server has ended. A handler whose client left is over after
    /// the grace at the latest; for a section there is no bound, and a handler that blocks its thread cannot be dropped. So
    /// put a timeout around it.
    ///
    /// Any number of tasks may wait. Cancel safe.
    pub async fn idle(&self) {
        let none_left = self.0.none_left.notified();
        if self.running() > 0 {
            none_left.await;
        }
    }

    /// [`shield`], counted from this call until the section ends, or is dropped unpolled.
    #[must_use = "a section does not begin before it is polled"]
    pub fn shield<F>(&self, section: F) -> impl Future<Output = F::Output> + Send + use<F>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        shield(self.count(section))
    }

    pub(super) fn count<F>(&self, future: F) -> Counted<F> {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        Counted { future, ticket: Ticket(Arc::clone(&self.0)) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

impl fmt::Debug for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detached").field("running", &self.running()).finish()
    }
}
