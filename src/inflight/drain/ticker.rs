//! A thread that wakes who waits when it is time, whether tokio's timers run or not.
//!
//! A timer of tokio fires if some thread waits for the driver. The one that did may have been woken for a handler which then blocks
//! it, while all others sleep: nobody is woken for a timer until it goes on. A drain is for such handlers.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    thread::{self, Thread},
    time::Duration,
};

use crate::{clock, conn::lock};

#[derive(Debug)]
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<Thread>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Option<Waker>>,
    over: AtomicBool,
}

impl Ticker {
    /// It ticks so long after now, each time.
    pub(super) fn start(ticks: [Duration; 3]) -> Self {
        let shared = Arc::<Shared>::default();
        let began = clock::system();
        let waits = Arc::clone(&shared);
        let thread = thread::Builder::new().name("drain-ticker".to_owned()).spawn(move || {
            for tick in ticks {
                loop {
                    let left =
                        tick.saturating_sub(clock::system().saturating_duration_since(began));
                    if waits.over.load(Ordering::Acquire) {
                        return;
                    }
                    if left.is_zero() {
                        break;
                    }
                    thread::park_timeout(left);
                }
                let waiting = lock(&waits.waiting).take();
                if let Some(waiting) = waiting {
                    waiting.wake();
                }
            }
        });
        // Without it there are the timers.
        Self { shared, thread: thread.ok().map(|thread| thread.thread().clone()) }
    }

    /// Wakes it at the next tick, and nobody else.
    pub(super) fn wake_next(&self, waker: &Waker) {
        let old = lock(&self.shared.waiting).replace(waker.clone());
        drop(old);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}
