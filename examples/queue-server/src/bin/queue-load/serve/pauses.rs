//! For how long the server's runtime does nothing else: tasks that tick each millisecond, and are late.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Runtime, time::sleep};

use crate::machine::now;

#[derive(Debug)]
pub(super) struct Pauses {
    late: Arc<Mutex<Vec<u64>>>,
    over: Arc<AtomicBool>,
}

/// A few, so that one of them is likely to be where a thread is kept.
const TASKS: usize = 4;
const TICK: Duration = Duration::from_millis(1);
/// More ticks are not written down.
const MOST: usize = 500_000;

impl Pauses {
    pub(super) fn begin(runtime: &Runtime) -> Self {
        let pauses = Self { late: Arc::default(), over: Arc::default() };
        for _ in 0..TASKS {
            let (late, over) = (Arc::clone(&pauses.late), Arc::clone(&pauses.over));
            runtime.spawn(async move {
                let tick = u64::try_from(TICK.as_nanos()).unwrap_or_default();
                while !over.load(Ordering::Relaxed) {
                    let begun = now();
                    sleep(TICK).await;
                    let by = now().saturating_sub(begun + tick);
                    let mut late = late.lock().unwrap_or_else(PoisonError::into_inner);
                    if late.len() < MOST {
                        late.push(by);
                    }
                }
            });
        }
        pauses
    }

    /// By how much each tick was late, in nanoseconds. Timers of tokio are late by up to a millisecond.
    pub(super) fn end(self) -> Vec<u64> {
        self.over.store(true, Ordering::Relaxed);
        self.late.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
