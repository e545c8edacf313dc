//! What of an exchange is outside its gate: known, or counted, without taking a turn.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    counter::Counter,
    live::Live,
    machine::{Calls, Cause, Role},
    marks::Mark,
    report::Direction,
    seat::Seat,
    summary::Summary,
    waits::{Stopwatch, Wait},
};
use crate::{
    Data, Interest,
    body::ErrorTypes,
    clock::Clock,
    close::{Evidence, Initiator, Reason},
};

pub(crate) struct Outside {
    role: Role,
    errors: ErrorTypes,
    clock: Clock,
    /// Of all who listen. It grows when somebody joins.
    interest: AtomicU32,
    /// When it began, if somebody wants to know.
    began: Option<Instant>,
    request: Flow,
    response: Flow,
    /// What handles see, if there are some.
    live: Option<Arc<Live>>,
    /// Its place on a connection, if that is seen.
    seat: Option<Seat>,
}

#[derive(Default)]
struct Flow {
    /// Frames in which nobody is interested.
    unheard: Counter,
    wait: Stopwatch,
    /// It was polled before somebody joined who wants waits, so these are not known.
    unwatched: AtomicBool,
}

impl Outside {
    #[inline]
    pub(crate) fn new(
        role: Role,
        interest: Interest,
        errors: ErrorTypes,
        clock: Clock,
        began: Option<Instant>,
        live: Option<Arc<Live>>,
        seat: Option<Seat>,
    ) -> Self {
        Self {
            role,
            errors,
            clock,
            interest: AtomicU32::new(interest.bits()),
            began,
            request: Flow::default(),
            response: Flow::default(),
            live,
            seat,
        }
    }

    #[inline]
    pub(crate) fn seat(&self) -> Option<&Seat> {
        self.seat.as_ref()
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(crate) fn errors(&self) -> &ErrorTypes {
        &self.errors
    }

    pub(super) fn live(&self) -> Option<&Arc<Live>> {
        self.live.as_ref()
    }

    /// Of all who listen now.
    #[inline]
    pub(crate) fn interest(&self) -> Interest {
        Interest::from_bits(self.interest.load(Ordering::Relaxed))
    }

    /// Somebody joins.
    pub(super) fn want(&self, interest: Interest) {
        self.interest.fetch_or(interest.bits(), Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// How long ago it began, if somebody wants to know.
    #[cfg(any(feature = "access-log", feature = "opentelemetry"))]
    pub(super) fn age(&self) -> Duration {
        self.began.map(|began| self.now().saturating_duration_since(began)).unwrap_or_default()
    }

    /// Of a server a drop while the thread unwinds is by a panic that passes us. A client's caller may hold many calls, and
    /// panic for a reason of its own: there only a panic of the inner service counts.
    pub(crate) fn unwinds(&self) -> bool {
        self.role == Role::Server && thread::panicking()
    }

    pub(crate) fn is_from_peer(&self, direction: Direction) -> bool {
        match self.role {
            Role::Server => direction == Direction::Request,
            Role::Client => direction == Direction::Response,
        }
    }

    /// Why a body that came from the peer failed: what its error says, and what the connection shows where that agrees or
    /// the error says nothing of it. h2 hides from its errors' sources that a connection was lost.
    pub(crate) fn cause_of(
        &self,
        error: Option<&(dyn Error + 'static)>,
        otherwise: Reason,
    ) -> Cause {
        let said = self.errors.of_peer(error, otherwise);
        let Some(seat) = &self.seat else { return said };
        let is_silent = error.is_none() || seat.is_http2() && said.reason == otherwise;
        let agrees = is_silent || matches!(said.reason, Reason::Disconnected | Reason::Reset);
        Cause::left(seat.sight()).filter(|_| agrees).unwrap_or(said)
    }

    pub(crate) fn length_mismatch(&self, direction: Direction, evidence: Evidence) -> Cause {
        let from_peer = self.is_from_peer(direction);
        let initiator = if from_peer { Initiator::Peer } else { Initiator::Local };
        Cause { reason: Reason::LengthMismatch, initiator, evidence }
    }
}

/// What a body reports that is no fact for the machine.
impl Outside {
    /// What is wanted of its frames, when it is made.
    #[inline]
    pub(crate) fn wanted(&self) -> Interest {
        let shown = if self.live.is_some() { Interest::SHOWN } else { Interest::NONE };
        self.interest() | shown
    }

    /// The same when it is polled for the first time, because somebody may have joined since.
    pub(crate) fn polled(&self, direction: Direction) -> Interest {
        let wanted = self.wanted();
        let unwatched = !wanted.contains(Interest::WAITS);
        self.flow(direction).unwatched.store(unwatched, Ordering::Relaxed);
        wanted
    }

    /// A data frame passes of which nobody hears.
    pub(crate) fn count(&self, direction: Direction, bytes: u64) {
        self.flow(direction).unheard.add(bytes);
    }

    /// What has been counted so.
    pub(super) fn unheard(&self, direction: Direction) -> Data {
        self.flow(direction).unheard.get()
    }

    /// A data frame passes, and there are handles.
    pub(crate) fn show(&self, direction: Direction, bytes: u64) {
        if let Some(live) = &self.live {
            live.count(direction, bytes);
        }
    }

    /// The consumer asks for a frame, and waits are wanted.
    pub(crate) fn ask(&self, direction: Direction) {
        self.flow(direction).wait.ask(self.since_begin());
    }

    /// The producer has delivered one that is not the last.
    pub(crate) fn deliver(&self, direction: Direction) {
        self.flow(direction).wait.deliver(self.since_begin());
    }

    /// Settles the waits of a direction that is over.
    #[cold]
    pub(super) fn waited(&self, calls: Calls, summary: &mut Summary) {
        let Summary { request, response, marks, .. } = summary;
        if calls.contains(Calls::REQUEST_CLOSE) {
            let over = marks.get(Mark::RequestClose);
            request.wait = over.and_then(|over| self.request.waited(Duration::ZERO, over));
        }
        if response.wait.is_none() {
            let over = marks.get(Mark::ResponseEnd).or(marks.get(Mark::Close));
            let lived = marks.get(Mark::Response).zip(over);
            response.wait = lived.and_then(|(head, over)| self.response.waited(head, over));
        }
    }

    fn since_begin(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| self.now().saturating_duration_since(began))
    }

    fn flow(&self, direction: Direction) -> &Flow {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }
}

impl Flow {
    fn waited(&self, from: Duration, to: Duration) -> Option<Box<Wait>> {
        let watched = !self.unwatched.load(Ordering::Relaxed);
        watched.then(|| Box::new(self.wait.read(from, to)))
    }
}
