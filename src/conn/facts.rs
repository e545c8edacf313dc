//! What was seen of a transport: recorded by its one reader and writer, looked at by anybody.

use std::{
    io,
    sync::atomic::{AtomicI32, AtomicU16, AtomicU64, Ordering},
};

#[derive(Debug, Default)]
pub(crate) struct Facts {
    received: AtomicU64,
    sent: AtomicU64,
    flushed: AtomicU64,
    /// How often the transport was asked for bytes: whoever goes on to ask is alive.
    polls: AtomicU64,
    seen: AtomicU16,
    /// The system's number of the first error, zero for none.
    errno: AtomicI32,
}

/// What was seen of a transport up to one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight(u16);

macro_rules! sights {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)+) => {
        impl Sight {
            $($(#[$doc])* pub(crate) const $name: Self = Self(1 << $bit);)+
        }
    };
}

sights! {
    /// The peer will send no more: its end of file was read, or a watch saw it coming.
    EOF = 0;
    /// The connection was reset, or a write found it broken.
    RESET = 1;
    /// It failed in another way.
    FAILED = 2;
    /// Its owner has dropped it.
    DROPPED = 3;
    /// Its owner has dropped it while a panic unwound.
    UNWOUND = 4;
    /// We have made it fail, because the peer is gone.
    POISONED = 5;
    /// We have made it fail, to be rid of it.
    CUT = 7;
    /// What was sent first was an answer of HTTP/1.
    SPEAKS_HTTP1 = 6;
}

impl Sight {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn has(self, any_of: Self) -> bool {
        self.0 & any_of.0 != 0
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What an error of the transport says.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::RESET,
            // TLS whose peer has closed without a word.
            io::ErrorKind::UnexpectedEof => Self::EOF,
            _ => Self::FAILED,
        }
    }
}

/// A transport has one reader and one writer, and mostly both are one task: what is counted is stored, not added.
impl Facts {
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn flushed(&self) -> u64 {
        self.flushed.load(Ordering::Relaxed)
    }

    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Acquire)
    }

    pub(crate) fn sight(&self) -> Sight {
        Sight(self.seen.load(Ordering::Acquire))
    }

    pub(crate) fn errno(&self) -> Option<i32> {
        Some(self.errno.load(Ordering::Relaxed)).filter(|errno| *errno != 0)
    }

    pub(crate) fn see(&self, sight: Sight) {
        if sight == Sight::NONE {
            return;
        }
        self.seen.fetch_or(sight.0, Ordering::AcqRel);
    }

    pub(crate) fn fail(&self, error: &io::Error) {
        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
            return;
        }
        let number = error.raw_os_error().unwrap_or_default();
        let _ = self.errno.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed);
        self.see(Sight::of(error));
    }

    pub(crate) fn polled(&self) {
        self.polls.store(self.polls.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    pub(crate) fn receive(&self, bytes: usize) {
        add(&self.received, bytes);
    }

    pub(crate) fn send(&self, bytes: usize) {
        add(&self.sent, bytes);
    }

    pub(crate) fn flush(&self) {
        self.flushed.store(self.sent(), Ordering::Relaxed);
    }
}

fn add(counter: &AtomicU64, bytes: usize) {
    counter.store(counter.load(Ordering::Relaxed).saturating_add(bytes as u64), Ordering::Relaxed);
}
