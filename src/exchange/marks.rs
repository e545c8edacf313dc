//! When the milestones of an exchange were passed.

use std::{
    fmt,
    num::NonZeroU64,
    time::{Duration, Instant},
};

use super::machine::Calls;
use crate::close::words;

/// A milestone of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mark {
    /// The peer was known to be gone.
    Disconnect,
    /// The first data frame of the request left for the handler.
    RequestData,
    /// The request ended, or failed.
    RequestEnd,
    /// Nothing more will happen on the request side.
    RequestClose,
    /// The response head was returned.
    Response,
    /// The first data frame of the response left for the server.
    ResponseData,
    /// The response ended, or failed.
    ResponseEnd,
    /// The response was handed over.
    Finish,
    /// The exchange is over.
    Close,
}

words! {
    Mark {
        Disconnect => "disconnect",
        RequestData => "request_data",
        RequestEnd => "request_end",
        RequestClose => "request_close",
        Response => "response",
        ResponseData => "response_data",
        ResponseEnd => "response_end",
        Finish => "finish",
        Close => "close",
    }
}

/// Monotonic times of an exchange's milestones, each set once, none earlier than one set before it.
///
/// Empty unless some observer asked for [`Interest::MARKS`](crate::Interest::MARKS), or the layer has handles, which can
/// mark.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Marks {
    begin: Option<Instant>,
    /// Nanoseconds since `begin`, plus one.
    offsets: [Option<NonZeroU64>; Mark::ALL.len()],
    latest: u64,
    /// What handles have marked, in the order of time.
    named: Box<[(&'static str, Duration)]>,
}

impl Mark {
    /// All of them: first what an ordinary exchange does not pass, then in the order in which it passes them.
    pub const ALL: &'static [Self] = &[
        Self::Disconnect,
        Self::RequestData,
        Self::RequestEnd,
        Self::RequestClose,
        Self::Response,
        Self::ResponseData,
        Self::ResponseEnd,
        Self::Finish,
        Self::Close,
    ];
}

/// A mark that a handle has set.
pub(super) type NamedMark = (&'static str, Instant);

/// Data is marked apart, its first frame only.
const MARKED: [(Calls, Mark); 7] = [
    (Calls::DISCONNECT, Mark::Disconnect),
    (Calls::REQUEST_END.union(Calls::REQUEST_ERROR), Mark::RequestEnd),
    (Calls::REQUEST_CLOSE, Mark::RequestClose),
    (Calls::RESPONSE, Mark::Response),
    (Calls::RESPONSE_END.union(Calls::RESPONSE_ERROR), Mark::ResponseEnd),
    (Calls::FINISH, Mark::Finish),
    (Calls::CLOSE, Mark::Close),
];

impl Marks {
    #[inline]
    pub(crate) fn start(begin: Option<Instant>) -> Self {
        Self { begin, ..Self::default() }
    }

    /// Sets `mark` unless it is set. `at` may have been read by a thread that came second: it is not allowed to make
    /// time run backwards.
    pub(crate) fn set(&mut self, mark: Mark, at: Instant) {
        let Some(begin) = self.begin else { return };
        let offset = &mut self.offsets[mark as usize];
        if offset.is_none() {
            let nanos = at.saturating_duration_since(begin).as_nanos();
            self.latest = self.latest.max(u64::try_from(nanos).unwrap_or(u64::MAX - 1));
            *offset = NonZeroU64::new(self.latest + 1);
        }
    }

    /// Sets what a step passes that calls these hooks.
    pub(super) fn set_all(&mut self, calls: Calls, at: Instant) {
        for (call, mark) in MARKED {
            if calls.intersects(call) {
                self.set(mark, at);
            }
        }
    }

    pub(super) fn name(&mut self, named: Vec<NamedMark>) {
        let Some(begin) = self.begin else { return };
        // A handle may have marked while the close was on its way.
        let last = self.get(Mark::Close).unwrap_or(Duration::MAX);
        let since = |at: Instant| at.saturating_duration_since(begin).min(last);
        let since = |(name, at): NamedMark| (name, since(at));
        self.named = named.into_iter().map(since).collect();
    }

    /// When the exchange began.
    pub fn begin(&self) -> Option<Instant> {
        self.begin
    }

    /// Nanoseconds since begin, plus one; zero for not passed.
    #[inline]
    pub(crate) fn offset(&self, mark: Mark) -> u64 {
        self.offsets[mark as usize].map_or(0, NonZeroU64::get)
    }

    /// Time from begin to `mark`; `None` when it was not passed, or times were not asked for.
    pub fn get(&self, mark: Mark) -> Option<Duration> {
        self.offsets[mark as usize].map(|nanos| Duration::from_nanos(nanos.get() - 1))
    }

    /// Time from one mark to another; `None` when either was not passed, zero when they were passed the other way.
    pub fn between(&self, from: Mark, to: Mark) -> Option<Duration> {
        Some(self.get(to)?.saturating_sub(self.get(from)?))
    }

    /// Time from begin to the mark that [`ExchangeHandle::mark`](crate::ExchangeHandle::mark) set by that name.
    pub fn named(&self, name: &str) -> Option<Duration> {
        self.named.iter().find(|(named, _)| *named == name).map(|(_, at)| *at)
    }

    /// What [`ExchangeHandle::mark`](crate::ExchangeHandle::mark) set, by time.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        self.named.iter().copied()
    }

    /// The marks that were passed, by time. Those with a name of their own are apart: [`Self::names`].
    pub fn iter(&self) -> impl Iterator<Item = (Mark, Duration)> {
        let mut passed: Vec<_> =
            Mark::ALL.iter().filter_map(|mark| Some((*mark, self.get(*mark)?))).collect();
        passed.sort_by_key(|(_, at)| *at);
        passed.into_iter()
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_mark_is_set_once_and_never_before_an_earlier_one() {
        let begin = Clock::default().now();
        let mut marks = Marks::start(Some(begin));
        let at = |millis| begin + Duration::from_millis(millis);
        marks.set(Mark::Response, at(20));
        marks.set(Mark::Response, at(30));
        marks.set(Mark::RequestEnd, at(10));
        marks.set(Mark::Close, at(40));
        assert_eq!(marks.get(Mark::Response), Some(Duration::from_millis(20)));
        assert_eq!(marks.get(Mark::RequestEnd), Some(Duration::from_millis(20)));
        assert_eq!(marks.between(Mark::Response, Mark::Close), Some(Duration::from_millis(20)));
        assert_eq!(marks.get(Mark::Finish), None);
        assert_eq!(
            marks.iter().map(|(mark, _)| mark).collect::<Vec<_>>(),
            [Mark::RequestEnd, Mark::Response, Mark::Close]
        );
    }

    #[test]
    fn marks_nobody_asked_for_stay_empty() {
        let mut marks = Marks::start(None);
        marks.set(Mark::Close, Clock::default().now());
        assert_eq!(marks, Marks::default());
    }

    #[test]
    fn a_mark_at_the_very_beginning_is_set() {
        let begin = Clock::default().now();
        let mut marks = Marks::start(Some(begin));
        marks.set(Mark::RequestEnd, begin);
        assert_eq!(marks.get(Mark::RequestEnd), Some(Duration::ZERO));
    }
}
