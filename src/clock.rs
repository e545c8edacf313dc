//! The only reader of time in the crate.

use std::time::Instant;

/// The monotonic clock, or a test's own. A read costs some 20 ns, so callers ask only for what somebody wants to see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    #[cfg(feature = "testing")]
    manual: Option<ManualClock>,
}

impl Clock {
    #[inline]
    #[cfg_attr(
        not(feature = "testing"),
        expect(clippy::unused_self, reason = "there is one clock, unless a test has its own")
    )]
    pub(crate) fn now(&self) -> Instant {
        #[cfg(feature = "testing")]
        if let Some(manual) = &self.manual {
            return manual.now();
        }
        system()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
fn system() -> Instant {
    Instant::now()
}

#[cfg(feature = "testing")]
pub use self::manual::ManualClock;

#[cfg(feature = "testing")]
mod manual {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::{Duration, Instant},
    };

    use super::{Clock, system};

    /// A clock that stands still until it is told to advance, for tests that are exact about times.
    ///
    /// Clones show the same time. A layer is given one by
    /// [`LifecycleLayer::with_clock`](crate::LifecycleLayer::with_clock).
    #[derive(Clone, Debug)]
    pub struct ManualClock(Arc<Shown>);

    #[derive(Debug)]
    struct Shown {
        start: Instant,
        nanos: AtomicU64,
    }

    impl ManualClock {
        /// A clock of its own.
        pub fn new() -> Self {
            Self(Arc::new(Shown { start: system(), nanos: AtomicU64::new(0) }))
        }

        /// Its time.
        pub fn now(&self) -> Instant {
            self.0.start + Duration::from_nanos(self.0.nanos.load(Ordering::Relaxed))
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

    impl From<ManualClock> for Clock {
        fn from(manual: ManualClock) -> Self {
            Self { manual: Some(manual) }
        }
    }
}
