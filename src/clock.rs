//! The only reader of time in the crate.

use std::time::Instant;
#[cfg(any(
    feature = "access-log",
    feature = "inflight",
    feature = "opentelemetry",
    feature = "testing"
))]
use std::time::SystemTime;

#[cfg(feature = "testing")]
use crate::testing::ManualClock;

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

    /// The time of day, which durations are never taken of.
    #[cfg(any(feature = "access-log", feature = "inflight", feature = "opentelemetry"))]
    #[cfg_attr(
        not(feature = "testing"),
        expect(clippy::unused_self, reason = "there is one clock, unless a test has its own")
    )]
    pub(crate) fn time(&self) -> SystemTime {
        #[cfg(feature = "testing")]
        if let Some(manual) = &self.manual {
            return manual.time();
        }
        system_time()
    }
}

#[cfg(feature = "testing")]
impl From<ManualClock> for Clock {
    fn from(manual: ManualClock) -> Self {
        Self { manual: Some(manual) }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
pub(crate) fn system() -> Instant {
    Instant::now()
}

#[cfg(any(
    feature = "access-log",
    feature = "inflight",
    feature = "opentelemetry",
    feature = "testing"
))]
#[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
pub(crate) fn system_time() -> SystemTime {
    SystemTime::now()
}
