//! When bytes passed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// When bytes of a connection passed, by [`Interest::IO_TIMES`](crate::Interest::IO_TIMES): times since it was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IoTimes {
    /// The first byte was received.
    pub first_received: Option<Duration>,
    /// The last byte so far was received.
    pub last_received: Option<Duration>,
    /// The first byte was sent.
    pub first_sent: Option<Duration>,
    /// The last byte so far was sent.
    pub last_sent: Option<Duration>,
    /// How long, in all, the transport did not take what was to be sent: because its peer did not read, mostly.
    pub refused: Duration,
}

/// As the transport's reader and writer record it: nanoseconds plus one, zero for never.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    received: [AtomicU64; 2],
    sent: [AtomicU64; 2],
    refuses_since: AtomicU64,
    refused: AtomicU64,
}

impl Stamps {
    pub(super) fn receive(&self, at: Duration) {
        pass(&self.received, at);
    }

    pub(super) fn send(&self, at: Duration) {
        self.accept(at);
        pass(&self.sent, at);
    }

    /// It does not take more.
    pub(super) fn refuse(&self, at: Duration) {
        let _ = set_once(&self.refuses_since, nanos(at) + 1);
    }

    fn accept(&self, at: Duration) {
        let since = self.refuses_since.swap(0, Ordering::Relaxed);
        if since > 0 {
            self.refused.fetch_add((nanos(at) + 1).saturating_sub(since), Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> IoTimes {
        let [first_received, last_received] = self.received.each_ref().map(time);
        let [first_sent, last_sent] = self.sent.each_ref().map(time);
        let refused = Duration::from_nanos(self.refused.load(Ordering::Relaxed));
        IoTimes { first_received, last_received, first_sent, last_sent, refused }
    }
}

fn pass([first, last]: &[AtomicU64; 2], at: Duration) {
    let now = nanos(at) + 1;
    let _ = set_once(first, now);
    last.store(now, Ordering::Relaxed);
}

fn set_once(stamp: &AtomicU64, now: u64) -> Result<u64, u64> {
    stamp.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed)
}

fn time(stamp: &AtomicU64) -> Option<Duration> {
    stamp.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_nanos)
}

fn nanos(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX - 1)
}
