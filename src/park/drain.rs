//! How a lot is emptied.

use std::{
    future::{Future, poll_fn},
    hash::Hash,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

use super::{Lot, Outcome, places::Seat, policy::FOREVER};
use crate::ExchangeHandle;

/// What a [drain](Lot::drain) came to.
///
/// Where [`parked`](Self::parked) is zero and [`open`](Self::open) is empty, nothing is left of what was parked.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Drained {
    /// Polls that it ended.
    pub ended: usize,
    /// Slots that were not dropped when its patience ended.
    pub parked: usize,
    /// Exchanges that were open when its patience ended, of those that slots were [of](super::Slot::of).
    pub open: Vec<ExchangeHandle>,
}

/// Those who leave while the lot is emptied.
#[derive(Debug, Default)]
pub(super) struct Departures {
    begun: AtomicBool,
    /// At most as many as were parked when it began.
    answering: Mutex<Vec<ExchangeHandle>>,
    none_left: Notify,
}

impl Departures {
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    pub(super) fn answering(&self, exchange: ExchangeHandle) {
        if self.begun.load(Ordering::Relaxed) {
            self.exchanges().push(exchange);
        }
    }

    pub(super) fn all_left(&self) {
        self.none_left.notify_waiters();
    }

    fn exchanges(&self) -> MutexGuard<'_, Vec<ExchangeHandle>> {
        self.answering.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls `each` for all seats, in steps so small that they take `window`. One that has left meanwhile, for which it returns
/// false, takes no step: so the others are as far apart as they would be, and done sooner.
pub(super) async fn spread(
    seats: Vec<Arc<Seat>>,
    window: Duration,
    mut each: impl FnMut(&Seat) -> bool,
) {
    let all = u32::try_from(seats.len()).unwrap_or(u32::MAX).max(1);
    let window = window.min(FOREVER);
    let begun = Instant::now();
    let mut told = 0_u32;
    for seat in seats {
        let moment = begun + window.mul_f64(f64::from(told) / f64::from(all));
        if moment > Instant::now() {
            sleep_until(moment).await;
        }
        told += u32::from(each(&seat));
    }
}

pub(super) async fn drain<K, O>(lot: &Lot<K, O>, window: Duration, patience: Duration) -> Drained
where
    K: Hash + Eq + Clone,
    O: Hash + Eq + Clone,
{
    let mut drained = Drained::default();
    let end = Instant::now() + window.min(FOREVER) + patience.min(FOREVER);
    let seats = lot.0.places.all();
    let departures = &lot.0.departures;
    let mut all_left = pin!(async {
        loop {
            let none_left = departures.none_left.notified();
            if lot.parked() == 0 {
                return;
            }
            none_left.await;
        }
    });
    {
        let mut told = pin!(spread(seats, window, |seat| {
            let ended = seat.signal.decide(Outcome::Draining);
            drained.ended += usize::from(ended);
            ended
        }));
        // Who leaves last leaves nobody to be told.
        let told_or_left = poll_fn(|task| match told.as_mut().poll(task) {
            Poll::Ready(()) => Poll::Ready(false),
            Poll::Pending => all_left.as_mut().poll(task).map(|()| true),
        });
        if !told_or_left.await {
            let _ = timeout_at(end, all_left).await;
        }
    }
    // Left there, for a drain that comes after this one was dropped.
    let mut open = departures.exchanges().clone();
    for exchange in &open {
        let _ = timeout_at(end, exchange.closed()).await;
    }
    open.retain(|exchange| exchange.close_reason().is_none());
    Drained { parked: lot.parked(), open, ..drained }
}
