//! Alarms: a function that is called when there is too much, or something takes too long.

use std::{fmt, future::Future, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{InFlight, LiveState, Open, observer::Shared};
use crate::observe::shield;

/// When to call a function: when more are open, or parked, or for longer, than is good.
///
/// ```no_run
/// # #[tokio::main] async fn main() {
/// use std::time::Duration;
/// use tower_lifecycle::inflight::{Alarms, InFlight};
///
/// let inflight = InFlight::new();
/// let alarms = Alarms::new().open(5_000).parked(20_000).oldest(Duration::from_secs(300));
/// tokio::spawn(alarms.watch(&inflight, |alarm| eprintln!("{alarm}")));
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "`watch` makes the task that looks"]
pub struct Alarms {
    open: Option<usize>,
    parked: Option<usize>,
    oldest: Option<Duration>,
    every: Duration,
    cool_down: Duration,
}

/// What there is too much of. Displayed, it is a line for a log, in ASCII.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Alarm {
    /// So many exchanges are open, and the limit.
    Open(usize, usize),
    /// So many polls are parked, and the limit.
    Parked(usize, usize),
    /// This exchange has been open for longer than the limit: the oldest of those that are not parked.
    Oldest(Box<Open>, Duration),
}

impl Alarms {
    /// Nothing is too much; looks once a second, and repeats itself once a minute.
    pub fn new() -> Self {
        let (every, cool_down) = (Duration::from_secs(1), Duration::from_secs(60));
        Self { open: None, parked: None, oldest: None, every, cool_down }
    }

    /// When so many exchanges are open, or more, parked polls too.
    pub fn open(self, exchanges: usize) -> Self {
        Self { open: Some(exchanges), ..self }
    }

    /// When so many polls are parked, or more, of those that [are shown](super::InFlightBuilder::max_open).
    pub fn parked(self, polls: usize) -> Self {
        Self { parked: Some(polls), ..self }
    }

    /// When an exchange that is shown has been open for so long. One whose poll is parked is not meant: it is to take long.
    pub fn oldest(self, age: Duration) -> Self {
        Self { oldest: Some(age), ..self }
    }

    /// How often to look; at least every millisecond. What comes and goes in between is not seen.
    pub fn every(self, period: Duration) -> Self {
        Self { every: period.max(Duration::from_millis(1)), ..self }
    }

    /// How long an alarm is not repeated, whether it lasts or comes back. Each kind by itself.
    pub fn cool_down(self, time: Duration) -> Self {
        Self { cool_down: time, ..self }
    }

    /// Looks, and calls `call` for each alarm, at once when there is reason to, and again after the cool-down as long as there is.
    ///
    /// A future without end, for a task of its own; dropping it ends the watch. `call` runs in it, so it must not block. A
    /// panic of it is caught, and the watch goes on. It keeps the registry.
    ///
    /// # Panics
    /// If it is polled outside of a runtime of tokio with time.
    pub fn watch<F>(
        self,
        inflight: &InFlight,
        mut call: F,
    ) -> impl Future<Output = ()> + Send + use<F>
    where
        F: FnMut(&Alarm) + Send,
    {
        let inflight = inflight.clone();
        async move {
            let mut ticks = interval(self.every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut last = [None::<Instant>; 3];
            loop {
                let now = ticks.tick().await;
                for (alarm, last) in self.look(&inflight).into_iter().zip(&mut last) {
                    let cool = last.is_none_or(|last| now - last >= self.cool_down);
                    let Some(alarm) = alarm.filter(|_| cool) else { continue };
                    *last = Some(now);
                    let _ = shield(|| call(&alarm));
                }
            }
        }
    }

    fn look(&self, inflight: &InFlight) -> [Option<Alarm>; 3] {
        let open = self.open.and_then(|limit| {
            let (open, _) = inflight.0.registry.open();
            (open >= limit).then_some(Alarm::Open(open, limit))
        });
        let parked = self.parked.and_then(|limit| {
            let parked = inflight.counts().state(LiveState::Parked);
            (parked >= limit).then_some(Alarm::Parked(parked, limit))
        });
        let oldest = self.oldest.and_then(|limit| {
            let oldest = oldest(inflight).filter(|open| open.age >= limit)?;
            Some(Alarm::Oldest(Box::new(oldest), limit))
        });
        [open, parked, oldest]
    }
}

/// Of those that are not parked.
fn oldest(inflight: &InFlight) -> Option<Open> {
    let Shared { registry, kept, .. } = &*inflight.0;
    let entries = registry.entries();
    let unparked = entries.iter().filter(|entry| !entry.view.is_parked());
    let oldest = unparked.min_by_key(|entry| (entry.began, entry.head.id))?;
    Some(Open::new(oldest, kept.times))
}

impl Default for Alarms {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(open, limit) => write!(f, "{open} exchanges are open (limit {limit})"),
            Self::Parked(parked, limit) => write!(f, "{parked} polls are parked (limit {limit})"),
            Self::Oldest(open, limit) => {
                let Open { id, method, state, age, .. } = &**open;
                let (path, age) = (open.path().escape_default(), age.as_secs_f64());
                let limit = limit.as_secs_f64();
                write!(
                    f,
                    "{method} {path} (exchange {id}, {state}) is open for {age:.1}s (limit {limit}s)"
                )
            }
        }
    }
}
