//! What the tests park: a source that is counted up, a wait that can be polled by hand, a waker that counts.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tower_lifecycle::park::{self, Counts, Outcome, Policy, Slot};

/// By number, for an owner by number.
pub(crate) type Lot = park::Lot<u32, u32>;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What is asked for where it does not matter.
pub(crate) const WITHIN: Duration = Duration::from_secs(30);

/// A second less.
pub(crate) const NEARLY: Duration = Duration::from_secs(29);

/// Without jitter, so that times are exact.
pub(crate) fn lot(policy: impl FnOnce(Policy) -> Policy) -> Lot {
    Lot::new(policy(Policy::new().jitter(0.0)))
}

/// How many events there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source(Arc<AtomicU64>);

impl Source {
    pub(crate) fn publish(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// What a check is made of: whether there are more than `seen`.
    pub(crate) fn after(
        &self,
        seen: u64,
    ) -> impl FnMut() -> std::future::Ready<Option<u64>> + use<> {
        let source = self.clone();
        move || std::future::ready(Some(source.get()).filter(|events| *events > seen))
    }
}

/// A wait that is polled by hand.
pub(crate) struct Parked<T>(Pin<Box<dyn Future<Output = Outcome<T>> + Send>>, Arc<Wakes>);

/// How often it was woken.
#[derive(Debug, Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl<T> Parked<T> {
    pub(crate) fn new(wait: impl Future<Output = Outcome<T>> + Send + 'static) -> Self {
        Self(Box::pin(wait), Arc::default())
    }

    /// Polls until it does not wake itself any more. `None` while it is parked.
    pub(crate) fn poll(&mut self) -> Option<Outcome<T>> {
        loop {
            let before = self.1.count();
            if let Poll::Ready(outcome) = self.poll_by(&Waker::from(Arc::clone(&self.1))) {
                return Some(outcome);
            }
            if self.1.count() == before {
                return None;
            }
        }
    }

    pub(crate) fn poll_by(&mut self, waker: &Waker) -> Poll<Outcome<T>> {
        self.0.as_mut().poll(&mut Context::from_waker(waker))
    }

    pub(crate) fn wakes(&self) -> usize {
        self.1.count()
    }
}

/// A check of a source that has nothing.
pub(crate) fn nothing() -> std::future::Ready<Option<()>> {
    std::future::ready(None)
}

/// Waits for what does not come, and has begun to.
pub(crate) fn park(slot: Slot<u32, u32>) -> Parked<()> {
    let mut parked = Parked::new(slot.wait(WITHIN, nothing));
    assert_eq!(parked.poll(), None, "it is parked");
    parked
}

/// All that have ended, at once or not.
pub(crate) fn ended(counts: &Counts) -> u64 {
    let Counts { at_once, woken, deadline, superseded, closed, draining, .. } = counts;
    let waited = [woken, deadline, superseded, closed, draining];
    at_once + waited.iter().map(|ended| ended.parks).sum::<u64>()
}

/// Polls a lot until it holds, in real time.
#[cfg_attr(
    not(all(feature = "axum", feature = "hyper")),
    expect(dead_code, reason = "for servers")
)]
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    let end = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(WITHIN, end).await.expect("it does not come to hold");
}
