//! A clock that a test advances.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use crate::clock::{system, system_time};

/// A clock that stands still until it is told to advance, for tests that are exact about times.
///
/// Clones show the same time. A layer is given one by
/// [`LifecycleLayer::with_clock`](crate::LifecycleLayer::with_clock).
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Shown>);

#[derive(Debug)]
struct Shown {
    start: Instant,
    start_time: SystemTime,
    nanos: AtomicU64,
}

impl ManualClock {
    /// A clock of its own.
    pub fn new() -> Self {
        Self(Arc::new(Shown {
            start: system(),
            start_time: system_time(),
            nanos: AtomicU64::new(0),
        }))
    }

    /// Its time.
    pub fn now(&self) -> Instant {
        self.0.start + self.passed()
    }

    /// The time of day that it shows: the system's when the clock was made, and what was advanced since.
    pub fn time(&self) -> SystemTime {
        self.0.start_time + self.passed()
    }

    fn passed(&self) -> Duration {
        Duration::from_nanos(self.0.nanos.load(Ordering::Relaxed))
    }

    /// Lets time pass. Nobody is woken by it.
    ///
    /// # Panics
    /// After 584 years.
    pub fn advance(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).expect("a test takes less than 584 years");
        self.0.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}
