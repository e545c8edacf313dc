//! What observers see of an exchange while it is open.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;

use super::{
    counter::Counter,
    id::TraceIds,
    link::Link,
    live::STAGES,
    machine::{Calls, Role},
    marks::{Mark, Marks},
    report::Direction,
    seat::Seat,
    summary::Summary,
    waits::{Party, Wait},
};
use crate::{Connection, Stage, conn::lock, handle::Progress};

/// A view of one exchange while it is open, for observers: what [`Listener::opened`](crate::Listener::opened) is handed, if
/// asked for by [`Interest::VIEW`](crate::Interest::VIEW).
///
/// Unlike a [handle](crate::ExchangeHandle) it costs no allocation of its own, and shows what observers have asked for, at the
/// moment it is asked. What it says may be a step behind: nobody is held up to look. It keeps the exchange's memory, but no
/// body and no socket.
///
/// Where there are views, the summary lets go of target, trailers and a method of more than 32 characters (then it is `_OTHER`) once
/// the hooks of the close were called.
#[derive(Clone)]
pub struct ExchangeView {
    link: Link,
    trace: Option<TraceIds>,
}

/// Where views read, and one exchange writes, if there are some.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    stage: AtomicU8,
    /// Zero for none.
    status: AtomicU16,
    /// Nanoseconds since begin, plus one; zero for not passed.
    passed: [AtomicU64; SHOWN.len()],
    /// What passed of which somebody hears or the time is wanted, where there are no handles; the rest is counted anyway.
    heard: [Counter; 2],
    /// Held by who reads the summary, so that of two who look at once neither finds the other in its way.
    looks: Mutex<()>,
}

const SHOWN: [(Calls, Mark); 4] = [
    (Calls::DISCONNECT, Mark::Disconnect),
    (Calls::REQUEST_CLOSE, Mark::RequestClose),
    (Calls::RESPONSE, Mark::Response),
    (Calls::RESPONSE_END.union(Calls::RESPONSE_ERROR), Mark::ResponseEnd),
];

impl Shown {
    /// A fact calls these hooks, and has been marked.
    #[inline]
    pub(super) fn step(&self, calls: Calls, stage: Stage, status: StatusCode, marks: &Marks) {
        self.stage.store(stage as u8, Ordering::Relaxed);
        if calls.contains(Calls::RESPONSE) {
            self.status.store(status.as_u16(), Ordering::Relaxed);
        }
        for ((call, mark), passed) in SHOWN.iter().zip(&self.passed) {
            if calls.intersects(*call) {
                passed.store(marks.offset(*mark).max(1), Ordering::Relaxed);
            }
        }
    }

    /// Somebody wants a view of an exchange that nobody had one of.
    pub(super) fn catch_up(&self, stage: Stage, summary: &Summary) {
        self.stage.store(stage as u8, Ordering::Relaxed);
        if let Some(status) = summary.status {
            self.status.store(status.as_u16(), Ordering::Relaxed);
        }
        for ((_, mark), passed) in SHOWN.iter().zip(&self.passed) {
            let at = summary.marks.offset(*mark);
            if at > 0 {
                passed.store(at, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn heard(&self, direction: Direction) -> &Counter {
        &self.heard[direction as usize]
    }

    /// To read the summary, which is there once the exchange is done.
    pub(super) fn look(&self) -> Option<MutexGuard<'_, ()>> {
        (self.stage() == Stage::Done).then(|| lock(&self.looks))
    }

    fn stage(&self) -> Stage {
        STAGES[usize::from(self.stage.load(Ordering::Relaxed))]
    }

    fn passed(&self, mark: Mark) -> Option<Duration> {
        let place = SHOWN.iter().position(|(_, shown)| *shown == mark)?;
        self.passed[place].load(Ordering::Relaxed).checked_sub(1).map(Duration::from_nanos)
    }
}

impl ExchangeView {
    pub(super) fn new(link: Link, trace: Option<TraceIds>) -> Self {
        Self { link, trace }
    }

    /// The same, with the name by which others know it if it has none.
    pub(super) fn known_as(self, trace: Option<TraceIds>) -> Self {
        Self { trace: self.trace.or(trace), ..self }
    }

    /// What became of the exchange, without target and trailers: once it has closed, and the hooks of that were called.
    pub fn summary(&self) -> Option<Summary> {
        self.link.summary()
    }

    /// The side that the service is on.
    pub fn role(&self) -> Role {
        self.link.outside().role()
    }

    /// By what a distributed trace knows it, if an observer has said so when it began.
    pub fn trace(&self) -> Option<TraceIds> {
        self.trace
    }

    /// The connection, if it came through a seam.
    pub fn connection(&self) -> Option<&Connection> {
        self.link.outside().seat().map(Seat::connection)
    }

    /// Whether the server itself calls the layer, so that nothing on this side stands between it and the connection.
    pub fn is_outermost(&self) -> bool {
        self.link.outside().seat().is_some_and(|seat| seat.place.outermost)
    }

    /// Where it is.
    pub fn stage(&self) -> Stage {
        self.link.outside().shown().stage()
    }

    /// The response's status, once there is a response.
    pub fn status(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.link.outside().shown().status.load(Ordering::Relaxed)).ok()
    }

    /// The route's template, if somebody further in has told.
    pub fn route(&self) -> Option<Arc<str>> {
        self.link.outside().live()?.route.get().cloned()
    }

    /// The time by its clock.
    #[cfg(feature = "inflight")]
    pub(crate) fn now(&self) -> Instant {
        self.link.outside().now()
    }

    /// When it began, if somebody has asked for [`Interest::MARKS`](crate::Interest::MARKS).
    pub fn began(&self) -> Option<Instant> {
        self.link.outside().began()
    }

    /// How long ago it began, in the same case.
    pub fn age(&self) -> Option<Duration> {
        self.link.outside().age()
    }

    /// Time from begin to one of four milestones, in the same case: [`Disconnect`](Mark::Disconnect),
    /// [`RequestClose`](Mark::RequestClose), [`Response`](Mark::Response) and [`ResponseEnd`](Mark::ResponseEnd). `None` for
    /// one that was not passed, and for all others: these are for the summary. Zero where nobody has asked for times.
    pub fn passed(&self, mark: Mark) -> Option<Duration> {
        self.link.outside().shown().passed(mark)
    }

    /// What handles have [marked](crate::ExchangeHandle::mark), by time; empty where there are none.
    pub fn marks(&self) -> Vec<(&'static str, Duration)> {
        let outside = self.link.outside();
        let marks = outside.live().map(|live| live.marks()).unwrap_or_default();
        marks.into_iter().map(|(name, at)| (name, outside.since(at))).collect()
    }

    /// Whether a poll of it is parked: `park` has marked it with `parked`, and not yet with `unparked`.
    pub fn is_parked(&self) -> bool {
        let Some(live) = self.link.outside().live() else { return false };
        live.is_marked("parked") && !live.is_marked("unparked")
    }

    /// What of the request body has left for the handler. A task may read on after the close, which the summary does not count.
    pub fn request_progress(&self) -> Progress {
        self.link.outside().passed(Direction::Request).into()
    }

    /// What of the response body has left for the server.
    pub fn response_progress(&self) -> Progress {
        self.link.outside().passed(Direction::Response).into()
    }

    /// Whose turn it is in the request's body: the producer's while a frame is asked for and not there. `None` of a body that
    /// was polled before anybody wanted to know.
    pub fn request_turn(&self) -> Option<Party> {
        self.link.outside().turn(Direction::Request)
    }

    /// The same in the response's body.
    pub fn response_turn(&self) -> Option<Party> {
        self.link.outside().turn(Direction::Response)
    }

    /// Who waited on whom for the request's body so far, if somebody has asked for
    /// [`Interest::WAITS`](crate::Interest::WAITS). From begin until it was over, or now.
    pub fn request_wait(&self) -> Option<Wait> {
        let over = self.passed(Mark::RequestClose).or_else(|| self.age())?;
        self.link.outside().wait(Direction::Request, Duration::ZERO, over)
    }

    /// The same for the response's: from its head until it was over, or now. `None` before there is a head.
    pub fn response_wait(&self) -> Option<Wait> {
        let head = self.passed(Mark::Response)?;
        let over = self.passed(Mark::ResponseEnd).or_else(|| self.age())?;
        self.link.outside().wait(Direction::Response, head, over)
    }
}

impl fmt::Debug for ExchangeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeView")
            .field("stage", &self.stage())
            .field("connection", &self.connection())
            .field("trace", &self.trace)
            .finish_non_exhaustive()
    }
}
