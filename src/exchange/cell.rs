//! One exchange, shared by its future and its two bodies, which report to it.

use std::{
    panic::{RefUnwindSafe, UnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use super::{
    gate::Gate,
    machine::{Calls, Cause, Fact, Machine, Role},
    report::{Direction, Queued, Report},
    summary::{Summary, Transfer},
};
use crate::{
    Data, Finish, Interest, Listener, ResponseHead,
    body::ErrorTypes,
    clock,
    close::{Evidence, Initiator, Reason},
};

/// What the future and the bodies of an exchange hold of it.
pub(crate) type Link = Arc<dyn Cell>;

/// Where facts are reported. A trait only to forget the type of the observer's state, so that bodies need not name it.
///
/// A panic never leaves a hook, so an exchange is as it should be after any.
pub(crate) trait Cell: Send + Sync + UnwindSafe + RefUnwindSafe {
    /// A data frame passed in which nobody is interested. Takes no turn.
    fn count(&self, direction: Direction, bytes: u64);

    /// A data frame passed.
    fn data(&self, direction: Direction, bytes: u64);

    /// The first data frame of a direction passed, and its time is wanted.
    fn first_data(&self, direction: Direction, bytes: u64);

    fn report(&self, report: &Report<'_>);

    fn interest(&self) -> Interest;

    fn role(&self) -> Role;

    fn errors(&self) -> &ErrorTypes;
}

pub(crate) struct Exchange<L> {
    role: Role,
    interest: Interest,
    errors: ErrorTypes,
    /// Frames of a direction in whose data nobody is interested: counted without taking a turn.
    request: Counter,
    response: Counter,
    gate: Gate<Queued, Core<L>>,
}

/// What is inside the gate.
struct Core<L> {
    machine: Machine,
    summary: Summary,
    listener: L,
}

/// Written by one body wrapper, which is borrowed mutably when it counts: so no read-modify-write is needed.
#[derive(Default)]
struct Counter {
    bytes: AtomicU64,
    frames: AtomicU64,
}

// ===== impl Exchange =====

impl<L: Listener> Exchange<L> {
    #[inline]
    pub(crate) fn begin(
        role: Role,
        interest: Interest,
        errors: ErrorTypes,
        summary: Summary,
        listener: L,
    ) -> Link {
        Arc::new(Self {
            role,
            interest,
            errors,
            request: Counter::default(),
            response: Counter::default(),
            gate: Gate::new(Core { machine: Machine::new(role), summary, listener }),
        })
    }
}

impl<L> UnwindSafe for Exchange<L> {}
impl<L> RefUnwindSafe for Exchange<L> {}

impl<L: Listener> Cell for Exchange<L> {
    fn count(&self, direction: Direction, bytes: u64) {
        match direction {
            Direction::Request => self.request.add(bytes),
            Direction::Response => self.response.add(bytes),
        }
    }

    fn data(&self, direction: Direction, bytes: u64) {
        let Some(mut core) = self.gate.enter() else {
            return self.queue_data(direction, bytes, None);
        };
        core.data(direction, Data { bytes, frames: 1 });
        drop(core);
        self.settle();
    }

    fn first_data(&self, direction: Direction, bytes: u64) {
        let at = clock::now();
        let Some(mut core) = self.gate.enter() else {
            return self.queue_data(direction, bytes, Some(at));
        };
        core.first_data(direction, Data { bytes, frames: 1 }, at);
        drop(core);
        self.settle();
    }

    fn report(&self, report: &Report<'_>) {
        let at = self.interest.contains(Interest::MARKS).then(clock::now);
        let Some(mut core) = self.gate.enter() else {
            return self.queue(report, at);
        };
        core.step(self, report, at);
        drop(core);
        self.settle();
    }

    fn interest(&self) -> Interest {
        self.interest
    }

    fn role(&self) -> Role {
        self.role
    }

    fn errors(&self) -> &ErrorTypes {
        &self.errors
    }
}

/// Somebody else is inside, or was. Apart, so that what is usual stays cheap.
impl<L: Listener> Exchange<L> {
    #[cold]
    fn queue(&self, report: &Report<'_>, at: Option<Instant>) {
        let report = report.own();
        self.gate.queue(|queue| queue.push(Queued::Report(report, at)));
        self.work_off();
    }

    #[cold]
    fn queue_data(&self, direction: Direction, bytes: u64, at: Option<Instant>) {
        let data = Data { bytes, frames: 1 };
        self.gate.queue(|queue| Queued::push_data(queue, direction, data, at));
        self.work_off();
    }

    #[inline]
    fn settle(&self) {
        if self.gate.has_waiting() {
            self.work_off();
        }
    }

    #[cold]
    fn work_off(&self) {
        self.gate.work_off(|core, queued| core.queued(self, &queued));
    }
}

impl dyn Cell {
    /// Whether a drop now is by a panic that passes us. A client's caller may hold many calls, and panic for a reason of its
    /// own: there only a panic of the inner service counts.
    pub(crate) fn unwinds(&self) -> bool {
        self.role() == Role::Server && thread::panicking()
    }

    pub(crate) fn is_from_peer(&self, direction: Direction) -> bool {
        match self.role() {
            Role::Server => direction == Direction::Request,
            Role::Client => direction == Direction::Response,
        }
    }

    pub(crate) fn length_mismatch(&self, direction: Direction, evidence: Evidence) -> Cause {
        let from_peer = self.is_from_peer(direction);
        let initiator = if from_peer { Initiator::Peer } else { Initiator::Local };
        Cause { reason: Reason::LengthMismatch, initiator, evidence }
    }
}

impl Counter {
    #[inline]
    fn add(&self, bytes: u64) {
        let sum = self.bytes.load(Ordering::Relaxed).saturating_add(bytes);
        self.bytes.store(sum, Ordering::Relaxed);
        self.frames.store(self.frames.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
    }

    #[inline]
    fn add_to(&self, transfer: &mut Transfer) {
        let data = Data {
            bytes: self.bytes.load(Ordering::Relaxed),
            frames: self.frames.load(Ordering::Relaxed),
        };
        transfer.add(data);
    }
}

// ===== impl Core =====

impl<L: Listener> Core<L> {
    #[inline]
    fn data(&mut self, direction: Direction, data: Data) {
        match direction {
            Direction::Request if self.machine.apply(Fact::RequestData) == Calls::REQUEST_DATA => {
                self.summary.request.add(data);
                self.listener.on_request_data(data);
            }
            Direction::Response
                if self.machine.apply(Fact::ResponseData) == Calls::RESPONSE_DATA =>
            {
                self.summary.response.add(data);
                self.listener.on_response_data(data);
            }
            _ => {}
        }
    }

    fn first_data(&mut self, direction: Direction, data: Data, at: Instant) {
        if self.machine.verdict().is_none() {
            self.summary.marks.set(direction.first_data(), at);
        }
        self.data(direction, data);
    }

    /// The machine decides, the summary remembers, the listener is called.
    fn step(&mut self, exchange: &Exchange<L>, report: &Report<'_>, at: Option<Instant>) {
        let calls = self.machine.apply(report.fact);
        if !calls.is_empty() {
            self.call(calls, exchange, report, at);
        }
    }

    fn queued(&mut self, exchange: &Exchange<L>, queued: &Queued) {
        match queued {
            Queued::Data(direction, data, None) => self.data(*direction, *data),
            Queued::Data(direction, data, Some(at)) => self.first_data(*direction, *data, *at),
            Queued::Report(report, at) => self.step(exchange, &report.borrow(), *at),
        }
    }

    /// In the order of the hooks, each with what the summary is to remember of it.
    fn call(
        &mut self,
        calls: Calls,
        exchange: &Exchange<L>,
        report: &Report<'_>,
        at: Option<Instant>,
    ) {
        let Self { machine, summary, listener } = self;
        let Report { fact, status, headers, error } = *report;
        let keep = exchange.interest.contains(Interest::TRAILERS);
        if let Some(at) = at {
            summary.marks.set_all(calls, at);
        }
        if let (true, Some(how)) = (calls.contains(Calls::REQUEST_CLOSE), machine.request_close()) {
            exchange.request.add_to(&mut summary.request);
            summary.request_close = how;
        }
        if let (true, Some(verdict)) = (calls.contains(Calls::CLOSE), machine.verdict()) {
            exchange.response.add_to(&mut summary.response);
            summary.close = verdict;
        }

        if calls.contains(Calls::REQUEST_END) {
            summary.request.end(headers, keep);
            listener.on_request_end(&summary.request.ended(headers));
        }
        if let (true, Some(reason)) = (calls.contains(Calls::REQUEST_ERROR), fact.failure()) {
            listener.on_request_error(&summary.request.failed(reason, error));
        }
        if let (true, Some(headers)) = (calls.contains(Calls::RESPONSE), headers) {
            summary.status = Some(status);
            listener.on_response(&ResponseHead { status, headers });
        }
        if calls.contains(Calls::RESPONSE_END) {
            summary.response.end(headers, keep);
            listener.on_response_end(&summary.response.ended(headers));
        }
        if let (true, Some(reason)) = (calls.contains(Calls::RESPONSE_ERROR), fact.failure()) {
            listener.on_response_error(&summary.response.failed(reason, error));
        }
        if calls.contains(Calls::FINISH) {
            listener.on_finish(Finish::Released);
        }
        if calls.contains(Calls::REQUEST_CLOSE) {
            listener.on_request_close(summary.request_close);
        }
        if calls.contains(Calls::CLOSE) {
            listener.on_close(summary);
        }
    }
}
