//! Who waited on whom.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::close::words;

/// Who waited on whom, in one direction of an exchange: asked for by [`Interest::WAITS`](crate::Interest::WAITS).
///
/// Producer and consumer add up to the direction's duration: of the request from begin until its end, error, drop or
/// the close, of the response from its head until its end, error or the close.
///
/// | | producer | consumer |
/// |---|---|---|
/// | request | the client, and what lies between | the handler |
/// | response | the service that makes the body | the server, which asks for no more while its client reads no more |
///
/// In the client role the inner service is the consumer of the request and the producer of the response.
///
/// It is a wait of the *body*: what the operating system buffers, nobody waits for here. A response of a few megabytes may
/// have left for the socket's buffers at once, however slow its reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wait {
    /// How long a frame was asked for and not ready.
    pub producer: Duration,
    /// How long nobody asked for a frame: before the first was, and after each was delivered.
    pub consumer: Duration,
    /// Whose turn it was when the direction was over.
    pub last: Party,
}

/// A side of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Where the frames come from.
    Producer,
    /// Where they go to.
    Consumer,
}

words! { Party { Producer => "producer", Consumer => "consumer" } }

/// How long the producer of one direction was waited for.
///
/// Whose turn it is and since when, in one word, so that whoever closes the exchange reads both at once: the lowest bit says
/// that a frame is asked for; above it are nanoseconds, then of the moment from which on all was waiting, else of all
/// waiting so far. All other time is the consumer's. Written by one body wrapper, so no read-modify-write is needed.
#[derive(Debug, Default)]
pub(super) struct Stopwatch(AtomicU64);

impl Stopwatch {
    /// A frame is asked for; `at` is since the begin of the exchange.
    pub(super) fn ask(&self, at: Duration) {
        let waited = self.0.load(Ordering::Relaxed) >> 1;
        self.0.store((nanos(at).saturating_sub(waited)) << 1 | 1, Ordering::Relaxed);
    }

    /// A frame was delivered.
    pub(super) fn deliver(&self, at: Duration) {
        let from = self.0.load(Ordering::Relaxed) >> 1;
        self.0.store((nanos(at).saturating_sub(from)) << 1, Ordering::Relaxed);
    }

    /// Whose turn it is, where nobody wants to know for how long.
    #[inline]
    pub(super) fn turn_to(&self, party: Party) {
        self.0.store(u64::from(party == Party::Producer), Ordering::Relaxed);
    }

    /// Whose turn it is.
    pub(super) fn turn(&self) -> Party {
        if self.0.load(Ordering::Relaxed) & 1 == 1 { Party::Producer } else { Party::Consumer }
    }

    /// Who waited on whom between two moments, the first of which is when the direction began.
    pub(super) fn read(&self, from: Duration, to: Duration) -> Wait {
        let word = self.0.load(Ordering::Relaxed);
        let nanos = Duration::from_nanos(word >> 1);
        let total = to.saturating_sub(from);
        let (producer, last) = if word & 1 == 1 {
            (to.saturating_sub(nanos), Party::Producer)
        } else {
            (nanos, Party::Consumer)
        };
        let producer = producer.min(total);
        Wait { producer, consumer: total.saturating_sub(producer), last }
    }
}

/// For 292 years, with a bit to spare. Not `as_nanos`, whose 128 bits cost more than the rest.
fn nanos(time: Duration) -> u64 {
    let seconds = time.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(time.subsec_nanos().into()) & (u64::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn wait(producer: u64, consumer: u64, last: Party) -> Wait {
        Wait { producer: ms(producer), consumer: ms(consumer), last }
    }

    #[test]
    fn a_body_that_nobody_asks_for_waits_for_its_consumer() {
        assert_eq!(Stopwatch::default().read(ms(5), ms(12)), wait(0, 7, Party::Consumer));
    }

    #[test]
    fn each_interval_is_added_to_the_side_whose_turn_it_was() {
        let watch = Stopwatch::default();
        watch.ask(ms(12));
        watch.deliver(ms(15));
        watch.ask(ms(35));
        watch.deliver(ms(36));
        assert_eq!(watch.read(ms(10), ms(40)), wait(4, 26, Party::Consumer));
        watch.ask(ms(40));
        assert_eq!(watch.read(ms(10), ms(140)), wait(104, 26, Party::Producer));
    }

    #[test]
    fn a_clock_that_runs_back_never_makes_more_than_the_whole() {
        let watch = Stopwatch::default();
        watch.ask(ms(10));
        watch.deliver(ms(5));
        watch.ask(ms(3));
        assert_eq!(watch.read(ms(10), ms(8)), wait(0, 0, Party::Producer));
        let wait = watch.read(ms(0), ms(8));
        assert_eq!(wait.producer + wait.consumer, ms(8));
    }
}
