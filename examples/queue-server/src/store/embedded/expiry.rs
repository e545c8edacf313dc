//! Collects queues that nobody polls any more.

use std::{sync::Weak, time::Duration};

use tokio::{
    task,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{Shared, index::lock};

/// How long an expired queue may take memory. For its owner it is gone at once.
const EVERY: Duration = Duration::from_secs(1);
/// Queues that are removed under one lock, without a chance for others: some tens of microseconds.
const AT_ONCE: usize = 128;

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
            task::yield_now().await;
        }
    }
}
