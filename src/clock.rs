//! The only reader of time in the crate.

use std::time::Instant;

/// The monotonic clock. A read costs some 20 ns, so callers ask only for what somebody wants to see.
#[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
