//! The course of a drain: what is done when, by whoever waits for it.
//!
//! 1. It begins once. Its times are set then, and who comes later joins.
//! 2. It is done by the futures that wait for it, one at a time, and what was done is written down before the next wait: if the one
//!    that does it is dropped, another goes on where it was left.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use super::{Report, lots::Lots, signal::Signal, ticker::Ticker};
use crate::{
    ExchangeId,
    clock::system_time,
    exchange::Names,
    inflight::{Filter, InFlight, LiveState, Open, OpenConnection, Snapshot},
};

/// What all that belongs to one drain share.
#[derive(Debug)]
pub(super) struct Shared {
    inflight: InFlight,
    pub(super) begun: Arc<Signal>,
    pub(super) cancel: Arc<Signal>,
    refused: AtomicU64,
    course: OnceLock<Arc<Mutex<Course>>>,
}

pub(super) struct Course {
    began: Instant,
    /// When what is open is cancelled,
    patience: Instant,
    /// and cut, if that has not helped,
    moment: Instant,
    /// and given up.
    deadline: Instant,
    /// How many were open when it began, and what comes after them.
    open: usize,
    fence: ExchangeId,
    lots: Lots,
    /// Until it is over.
    ticker: Option<Ticker>,
    step: Step,
    report: Report,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Waits,
    Cancels,
    Cuts,
    Over,
}

/// Of the time that there is, what is kept for cancelling and cutting: a tenth, but no more than this.
const MOST_FOR_THE_END: Duration = Duration::from_millis(500);

/// Longer than any drain, and not too long for a timer.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

// ===== impl Shared =====

impl Shared {
    pub(super) fn new(inflight: InFlight) -> Self {
        let (begun, cancel) = Default::default();
        Self { inflight, begun, cancel, refused: AtomicU64::new(0), course: OnceLock::new() }
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// From here on nothing is let in. `lots` begins to empty them, with that much time.
    pub(super) fn begin(
        &self,
        deadline: Duration,
        lots: impl FnOnce(Duration) -> Lots,
    ) -> Arc<Mutex<Course>> {
        let course = self.course.get_or_init(|| {
            let time = deadline.min(YEAR);
            let for_the_end = (time / 10).min(MOST_FOR_THE_END);
            let [patience, moment] =
                [for_the_end, for_the_end / 2].map(|end| time.saturating_sub(end));
            let fence = Names::default().id();
            let open = self.inflight.open();
            let lots = lots(patience);
            let began = Instant::now();
            Arc::new(Mutex::new(Course {
                began,
                patience: began + patience,
                moment: began + moment,
                deadline: began + time,
                ticker: Some(Ticker::start([patience, moment, time])),
                open,
                fence,
                lots,
                step: Step::Waits,
                report: Report::new(system_time()),
            }))
        });
        // Who is woken may call back.
        self.begun.tell();
        Arc::clone(course)
    }
}

// ===== impl Course =====

impl Course {
    /// Does what is still to be done.
    pub(super) async fn run(&mut self, drain: &Shared) -> Report {
        let inflight = &drain.inflight;
        if self.step == Step::Waits {
            self.idle(inflight, self.patience).await;
            let open = all(inflight);
            let old = open.exchanges.iter().filter(|exchange| exchange.id < self.fence).count();
            // Of those that are not shown nobody knows which began before.
            let not_shown = open.counts.not_shown;
            self.report.ended = self.open.saturating_sub(old + not_shown) as u64;
            self.report.cancelled_not_shown = not_shown;
            (self.report.cancelled, self.report.upgraded) = named(open);
            self.step = Step::Cancels;
            drain.cancel.tell();
        }
        if self.step == Step::Cancels {
            self.idle(inflight, self.moment).await;
            cut(&all(inflight));
            self.step = Step::Cuts;
        }
        if self.step == Step::Cuts {
            self.idle(inflight, self.deadline).await;
            let open = all(inflight);
            self.report.not_shown = open.counts.not_shown;
            (self.report.left, self.report.left_upgraded) = named(open);
            self.report.refused = drain.refused.load(Ordering::Relaxed);
            self.report.took = self.began.elapsed();
            #[cfg(feature = "park")]
            {
                self.report.lots = self.lots.drained();
            }
            self.ticker = None;
            self.step = Step::Over;
        }
        self.report.clone()
    }

    /// Waits until nothing is open, and all lots are empty; no longer than `until`.
    async fn idle(&mut self, inflight: &InFlight, until: Instant) {
        let Self { lots, ticker, .. } = self;
        let mut idle = pin!(async {
            poll_fn(|task| lots.poll(task)).await;
            inflight.idle().await;
        });
        let mut sleep = pin!(sleep_until(until));
        poll_fn(|task| {
            if let Some(ticker) = ticker {
                ticker.wake_next(task.waker());
            }
            if idle.as_mut().poll(task).is_ready() || Instant::now() >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().poll(task)
        })
        .await;
    }
}

/// Connections that are not shown, too: what they were upgraded to is waited for.
fn all(inflight: &InFlight) -> Snapshot {
    let shown = inflight.select(&Filter::new().limit(usize::MAX));
    Snapshot { connections: inflight.all_connections(), ..shown }
}

/// What a report names.
fn named(open: Snapshot) -> (Vec<Open>, Vec<OpenConnection>) {
    let is_upgraded = |open: &OpenConnection| open.state == LiveState::Upgraded;
    (open.exchanges, open.connections.into_iter().filter(is_upgraded).collect())
}

/// Cuts every connection that has something open. One whose last exchange is over may look busy for a moment, and is to say
/// goodbye in its own way.
fn cut(open: &Snapshot) {
    let not_shown = open.counts.not_shown > 0;
    let has_something =
        |state| state == LiveState::Upgraded || not_shown && state == LiveState::Busy;
    let connections = open.connections.iter().filter(|open| has_something(open.state));
    let exchanges = open.exchanges.iter().filter_map(|open| open.connection.as_ref());
    for connection in connections.map(|open| &open.connection).chain(exchanges) {
        connection.cut();
    }
}

impl fmt::Debug for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Course").field("step", &self.step).finish_non_exhaustive()
    }
}
