//! One parked poll.

use std::{
    fmt,
    future::{Future, poll_fn},
    hash::Hash,
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    Outcome, Unparked,
    lot::{Counted, Shared},
    places::Seat,
};
use crate::{ExchangeHandle, observe::shield};

/// The place of one poll. Dropping it gives the place free, and never that of another.
///
/// It has no deadline before it [waits](Self::wait), so do that at once.
#[must_use = "dropping a slot gives it up: `wait` on it"]
pub struct Slot<K: Hash + Eq, O: Hash + Eq = ()> {
    counted: Counted<K, O>,
    key: K,
    seat: Arc<Seat>,
    since: Instant,
    waited: bool,
    exchange: Option<ExchangeHandle>,
}

/// Which slot it is: no two of a lot have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub(super) u64);

impl<K: Hash + Eq + Clone, O: Hash + Eq + Clone> Slot<K, O> {
    pub(super) fn new(counted: Counted<K, O>, key: K, seat: Arc<Seat>, since: Instant) -> Self {
        Self { counted, key, seat, since, waited: false, exchange: None }
    }

    /// Which slot it is.
    pub fn token(&self) -> Token {
        self.seat.token
    }

    /// What it is parked on.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Says whose exchange it is. Then
    ///
    /// - it also ends, by [`Closed`](Outcome::Closed), when the client is [known to be gone](ExchangeHandle::disconnected), where
    ///   nobody drops the handler, as in a task of its own;
    /// - a [drain](super::Lot::drain) waits for the end of the exchange;
    /// - the exchange is [marked](ExchangeHandle::mark) with `parked` when the first check has found nothing, and with `unparked`
    ///   when that is over, for the [times](crate::Marks::named) of its summary;
    /// - it is counted, in [`Counts::unread`](super::Counts), if a part of the request's body is unread when the first check has
    ///   found nothing. Where the [watch](ExchangeHandle::disconnect_watch) is blind then, as it is without a seam, this is
    ///   told to `tracing`, with the target `tower_lifecycle::park`: as a warning the first time in a lot, and then at the level
    ///   of debug. hyper does not notice the client leave, so the slot is held until its deadline.
    ///   [`drain_or_reject`](super::drain_or_reject) reads the body before.
    pub fn of(self, exchange: &ExchangeHandle) -> Self {
        let mut slot = self;
        slot.exchange = Some(exchange.clone());
        slot
    }

    /// Looks at the source by `check`, at once and after each wake, until it finds something, for about `within`: at least
    /// that, and longer by the jitter of the [policy](super::Policy::jitter), but no longer than its [longest](super::Policy::longest).
    ///
    /// A check that finds nothing returns `None`; the next one is made when it has, and not while it runs. It is polled in the
    /// task of the wait, and is dropped where the wait ends while it runs: so it should be cancel safe. What is found counts
    /// if nothing else has ended the wait by then; else it is dropped, and should still be in the source.
    ///
    /// The deadline holds whatever the check does. Who wakes before it is heard: a check that is ready when polled is made
    /// once more. One that still runs when the deadline comes is dropped, the first one too, so `within` is to be longer than
    /// it takes.
    ///
    /// # Cancel safety
    /// Dropping the future, polled or not, gives the place free at once, as its end does. It takes nothing with it, if the
    /// check does not.
    ///
    /// # Panics
    /// If it is polled outside of a runtime of tokio with time. A panic of the check passes, and gives the place free.
    pub fn wait<T, F, C>(self, within: Duration, mut check: F) -> impl Future<Output = Outcome<T>>
    where
        F: FnMut() -> C,
        C: Future<Output = Option<T>>,
    {
        // Used where it was captured: an argument of an `async fn` is stored twice.
        let mut slot = self;
        async move {
            let signal = &slot.seat.signal;
            let mut deadline = pin!(sleep(slot.counted.deadline(slot.seat.token, within)));
            // Boxed, because most have none, or find something at once.
            let mut gone: Option<Pin<Box<_>>> = None;
            let mut checking = pin!(Some(check()));
            let found = poll_fn(|cx| {
                if signal.look(cx.waker()) {
                    return Poll::Ready(None);
                }
                // Before the check, which may use up what tokio lets a task do in one poll.
                let late = deadline.as_mut().poll(cx).is_ready();
                let mut again =
                    if late { signal.last_call() } else { checking.is_none() && signal.take() };
                loop {
                    if let Some(running) = checking.as_mut().as_pin_mut() {
                        match running.poll(cx) {
                            Poll::Ready(Some(found)) => return Poll::Ready(Some(found)),
                            Poll::Ready(None) => checking.set(None),
                            Poll::Pending => break,
                        }
                        if !mem::replace(&mut slot.waited, true) {
                            let exchange = slot.exchange.as_ref();
                            gone = exchange.map(|of| Box::pin(slot.counted.parks(of)));
                        }
                    } else if mem::take(&mut again) {
                        checking.set(Some(check()));
                    } else {
                        break;
                    }
                }
                if late {
                    signal.settle(Outcome::Deadline);
                    return Poll::Ready(None);
                }
                if gone.as_mut().is_some_and(|gone| gone.as_mut().poll(cx).is_ready()) {
                    signal.settle(Outcome::Closed);
                    return Poll::Ready(None);
                }
                if checking.is_none() && signal.is_called() {
                    // Who called while a check ran called the waker of then. Others have their turn first.
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            })
            .await;
            match found {
                Some(found) if signal.settle(Outcome::Woken(())) == Outcome::Woken(()) => {
                    Outcome::Woken(found)
                }
                _ => match signal.settle(Outcome::Closed) {
                    Outcome::Deadline => Outcome::Deadline,
                    Outcome::Superseded => Outcome::Superseded,
                    Outcome::Draining => Outcome::Draining,
                    Outcome::Closed | Outcome::Woken(()) => Outcome::Closed,
                },
            }
        }
    }
}

impl<K: Hash + Eq, O: Hash + Eq> Counted<K, O> {
    fn deadline(&self, token: Token, within: Duration) -> Duration {
        let Shared { policy, places, .. } = &*self.lot.0;
        policy.spread(within, places.chance(token))
    }

    /// The first check has found nothing. Returns what ends when the client is gone.
    fn parks(&self, exchange: &ExchangeHandle) -> impl Future + Send + use<K, O> {
        exchange.mark("parked");
        self.lot.0.counters.parks(exchange);
        exchange.disconnected()
    }
}

impl<K: Hash + Eq, O: Hash + Eq> Drop for Slot<K, O> {
    fn drop(&mut self) {
        let outcome = self.seat.signal.settle(Outcome::Closed);
        let shared = &*self.counted.lot.0;
        shared.places.stand(&self.key, self.seat.token);
        if let Some(exchange) = self.exchange.take() {
            if self.waited {
                exchange.mark("unparked");
            }
            shared.departures.answering(exchange);
        }
        let unparked = Unparked { outcome, parked: self.since.elapsed(), waited: self.waited };
        shared.counters.unparked(&unparked);
        if let Some(observer) = &shared.policy.on_unpark {
            if shield(|| observer(&unparked)).is_none() {
                shared.counters.panicked();
            }
        }
        // Counted no more when all of this is done: a drain waits for it.
    }
}

impl<K: Hash + Eq, O: Hash + Eq> fmt::Debug for Slot<K, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("token", &self.seat.token).finish_non_exhaustive()
    }
}
