//! What of an exchange is outside its gate: known, or counted, without taking a turn.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
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
    view::Shown,
    waits::{Party, Stopwatch, Wait},
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
    /// Of all who listen, and of handles. It grows when somebody joins.
    interest: AtomicU32,
    /// When it began, if somebody wants to know.
    began: Option<Instant>,
    request: Flow,
    response: Flow,
    /// What views see, if there are some.
    shown: Shown,
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
    /// What of the turns nobody wanted to know when it was first polled, so that it is not known if somebody has joined since.
    unwatched: AtomicU32,
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
        let shown = if live.is_some() { Interest::SHOWN } else { Interest::NONE };
        Self {
            role,
            errors,
            clock,
            interest: AtomicU32::new(interest.union(shown).bits()),
            began,
            request: Flow::default(),
            response: Flow::default(),
            shown: Shown::default(),
            live,
            seat,
        }
    }

    #[inline]
    pub(crate) fn seat(&self) -> Option<&Seat> {
        self.seat.as_ref()
    }

    pub(super) fn shown(&self) -> &Shown {
        &self.shown
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
        let all = self.interest().union(interest).completed();
        self.interest.fetch_or(all.bits(), Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// How long ago it began, if somebody wants to know.
    pub(super) fn age(&self) -> Option<Duration> {
        self.began.map(|began| self.now().saturating_duration_since(began))
    }

    /// When it began, if somebody wants to know.
    pub(super) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// Since it began, or zero where nobody wants to know.
    pub(super) fn since(&self, at: Instant) -> Duration {
        self.began.map_or(Duration::ZERO, |began| at.saturating_duration_since(began))
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
    /// What is wanted of its frames, when it is polled for the first time: somebody may have joined since it was made.
    pub(crate) fn polled(&self, direction: Direction) -> Interest {
        let wanted = self.interest();
        let unwatched = Interest::TURNS - wanted;
        self.flow(direction).unwatched.store(unwatched.bits(), Ordering::Relaxed);
        wanted
    }

    /// A data frame passes of which nobody hears.
    #[inline]
    pub(crate) fn count(&self, direction: Direction, bytes: u64) {
        self.flow(direction).unheard.add(bytes);
    }

    /// What has been counted so.
    pub(super) fn unheard(&self, direction: Direction) -> Data {
        self.flow(direction).unheard.get()
    }

    /// The same where whose turn it is is wanted, and no more.
    #[inline]
    pub(crate) fn pass(&self, direction: Direction, bytes: u64) {
        let Flow { unheard, wait, .. } = self.flow(direction);
        unheard.add(bytes);
        wait.turn_to(Party::Consumer);
    }

    /// A data frame passes, and there are handles.
    #[inline]
    pub(crate) fn show(&self, direction: Direction, bytes: u64) {
        if let Some(live) = &self.live {
            live.count(direction, bytes);
        }
    }

    /// A data frame passes that is not just counted, and there is a view and no handles.
    #[inline]
    pub(crate) fn view(&self, direction: Direction, bytes: u64) {
        self.shown.heard(direction).add(bytes);
    }

    /// All that has passed, where there is a view.
    pub(super) fn passed(&self, direction: Direction) -> Data {
        if let Some(live) = &self.live {
            // All of it, also what passed before somebody joined who wants a view.
            return live.passed(direction);
        }
        let mut passed = self.shown.heard(direction).get();
        passed += self.unheard(direction);
        passed
    }

    /// The consumer asks for a frame, and waits are wanted.
    pub(crate) fn ask(&self, direction: Direction) {
        self.flow(direction).wait.ask(self.since_begin());
    }

    /// The producer has delivered one that is not the last.
    pub(crate) fn deliver(&self, direction: Direction) {
        self.flow(direction).wait.deliver(self.since_begin());
    }

    /// The same where only whose turn it is is wanted.
    #[inline]
    pub(crate) fn turn_to(&self, direction: Direction, party: Party) {
        self.flow(direction).wait.turn_to(party);
    }

    /// Whose turn it is, if that is known.
    pub(super) fn turn(&self, direction: Direction) -> Option<Party> {
        let flow = self.flow(direction);
        (!flow.is_unwatched(Interest::TURNS)).then(|| flow.wait.turn())
    }

    /// Who waited on whom between two moments, if that is known.
    pub(super) fn wait(&self, direction: Direction, from: Duration, to: Duration) -> Option<Wait> {
        let flow = self.flow(direction);
        let watched = self.interest().contains(Interest::WAITS);
        (watched && !flow.is_unwatched(Interest::WAITS)).then(|| flow.wait.read(from, to))
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

    #[inline]
    fn flow(&self, direction: Direction) -> &Flow {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }
}

impl Flow {
    /// Whether all of `turns` is unknown.
    fn is_unwatched(&self, turns: Interest) -> bool {
        Interest::from_bits(self.unwatched.load(Ordering::Relaxed)).contains(turns)
    }

    fn waited(&self, from: Duration, to: Duration) -> Option<Box<Wait>> {
        (!self.is_unwatched(Interest::WAITS)).then(|| Box::new(self.wait.read(from, to)))
    }
}
