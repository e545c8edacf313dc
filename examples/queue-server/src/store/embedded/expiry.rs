//! Collects queues that nobody polls any more.

use std::{sync::Weak, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::{Shared, index::lock};

/// How long an expired queue may take memory. For its owner it is gone at once.
const EVERY: Duration = Duration::from_secs(1);
/// Queues that are removed under one lock, without a chance for others: some tens of microseconds.
const AT_ONCE: usize = 128;

/// Between two of them. To yield would not do: a worker of tokio that always has something to run looks for what has arrived on
/// its sockets after sixty such steps.
const REST: Duration = Duration::from_millis(1);

/// Until the store is gone.
pub(super) async fn run(shared: Weak<Shared>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        loop {
            let Some(shared) = shared.upgrade() else { return };
            let now = Instant::now();
            let more = lock(&shared.index).expire(now, AT_ONCE);
            shared.attend();
            drop(shared);
            if !more {
                break;
            }
            sleep(REST).await;
        }
    }
}
