//! Waiters before, during and after the value is set: all return it. `scripts/loom` runs these.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use loom::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// What std's does, with its orderings: the flag alone says whether there is a value.
#[derive(Debug)]
pub(super) struct OnceLock<T> {
    is_set: AtomicBool,
    value: Mutex<Option<T>>,
}

impl<T: Copy> OnceLock<T> {
    pub(super) fn new() -> Self {
        Self { is_set: AtomicBool::new(false), value: Mutex::new(None) }
    }

    /// Leaks a copy, because loom's lock hands out no plain reference.
    pub(super) fn get(&self) -> Option<&T> {
        let set = self.is_set.load(Ordering::Acquire);
        let value = || self.value.lock().unwrap().expect("set before the flag");
        set.then(|| &*Box::leak(Box::new(value())))
    }

    pub(super) fn set(&self, value: T) -> Result<(), T> {
        let mut inside = self.value.lock().unwrap();
        if inside.is_some() {
            return Err(value);
        }
        *inside = Some(value);
        self.is_set.store(true, Ordering::Release);
        Ok(())
    }
}

/// What tokio promises of `notified` and `notify_waiters`: a future made before the call is woken by it, polled or not.
#[derive(Debug)]
pub(super) struct Notify {
    calls: AtomicUsize,
    waiters: Mutex<Vec<Waker>>,
}

pub(super) struct Notified<'a> {
    notify: &'a Notify,
    calls: usize,
}

impl Notify {
    pub(super) fn new() -> Self {
        Self { calls: AtomicUsize::new(0), waiters: Mutex::new(Vec::new()) }
    }

    pub(super) fn notified(&self) -> Notified<'_> {
        Notified { notify: self, calls: self.calls.load(Ordering::SeqCst) }
    }

    pub(super) fn notify_waiters(&self) {
        let mut waiters = self.waiters.lock().unwrap();
        self.calls.fetch_add(1, Ordering::SeqCst);
        let called = std::mem::take(&mut *waiters);
        drop(waiters);
        called.into_iter().for_each(Waker::wake);
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiters = self.notify.waiters.lock().unwrap();
        if self.notify.calls.load(Ordering::SeqCst) != self.calls {
            return Poll::Ready(());
        }
        waiters.push(cx.waker().clone());
        Poll::Pending
    }
}

#[test]
fn waiters_that_come_at_any_time_are_woken_with_the_same_value() {
    loom::model(|| {
        let latch = loom::sync::Arc::new(super::Latch::new());
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let latch = loom::sync::Arc::clone(&latch);
                loom::thread::spawn(move || loom::future::block_on(latch.wait()))
            })
            .collect();
        latch.set(7);
        latch.set(8);
        latch.call();
        assert_eq!(latch.get(), Some(7));
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 7);
        }
        assert_eq!(loom::future::block_on(latch.wait()), 7);
    });
}

#[test]
fn whoever_sets_second_changes_nothing_and_wakes_nobody_too_early() {
    loom::model(|| {
        let latch = loom::sync::Arc::new(super::Latch::new());
        let setters: Vec<_> = [1, 2]
            .map(|value| {
                let latch = loom::sync::Arc::clone(&latch);
                loom::thread::spawn(move || {
                    latch.set(value);
                    latch.call();
                })
            })
            .into();
        let value = loom::future::block_on(latch.wait());
        for setter in setters {
            setter.join().unwrap();
        }
        assert_eq!(latch.get(), Some(value));
    });
}
