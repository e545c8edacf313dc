//! One exchange, shared by its future and its two bodies, which report to it.

use std::{
    collections::VecDeque,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use http::{HeaderMap, StatusCode};

use super::{
    gate::Gate,
    machine::{Calls, Cause, Fact, Machine, Role},
    marks::Mark,
    summary::{Summary, Transfer},
};
use crate::{
    Data, End, Failure, Finish, Interest, Listener, ResponseHead, clock,
    close::{Evidence, Reason},
};

/// What the future and the bodies of an exchange hold of it.
pub(crate) type Link = Arc<Exchange<dyn Listener>>;

pub(crate) struct Exchange<L: ?Sized> {
    interest: Interest,
    /// Frames of a direction in whose data nobody is interested: counted without taking a turn.
    request: Counter,
    response: Counter,
    gate: Gate<Queued, Core<L>>,
}

/// What is inside the gate.
struct Core<L: ?Sized> {
    machine: Machine,
    summary: Summary,
    listener: L,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// Written by one body wrapper, which is borrowed mutably when it counts: so no read-modify-write is needed.
#[derive(Default)]
struct Counter {
    bytes: AtomicU64,
    frames: AtomicU64,
}

/// A fact with what its hooks are handed.
#[derive(Clone, Copy)]
pub(crate) struct Report<'a> {
    fact: Fact,
    data: Data,
    status: StatusCode,
    headers: Option<&'a HeaderMap>,
    error: Option<&'a (dyn Error + 'static)>,
}

/// A report that waits for its turn: the headers are copied, the error has moved on.
struct Queued {
    fact: Fact,
    data: Data,
    status: StatusCode,
    headers: Option<HeaderMap>,
    at: Option<Instant>,
}

// ===== impl Exchange =====

impl<L: Listener> Exchange<L> {
    pub(crate) fn begin(role: Role, interest: Interest, summary: Summary, listener: L) -> Link {
        Arc::new(Self {
            interest,
            request: Counter::default(),
            response: Counter::default(),
            gate: Gate::new(Core { machine: Machine::new(role), summary, listener }),
        })
    }
}

impl Exchange<dyn Listener> {
    /// A data frame passed. It takes a turn only if somebody is interested in it, or in the time of the first.
    #[inline]
    pub(crate) fn data(&self, direction: Direction, bytes: u64, first: bool) {
        let (fact, wanted, counter) = match direction {
            Direction::Request => (Fact::RequestData, Interest::REQUEST_DATA, &self.request),
            Direction::Response => (Fact::ResponseData, Interest::RESPONSE_DATA, &self.response),
        };
        let timed = first && self.interest.contains(Interest::MARKS);
        if timed || self.interest.contains(wanted) {
            let data = Data { bytes, frames: 1 };
            self.enter(Report { data, ..Report::from(fact) }, timed.then(clock::now));
        } else {
            counter.add(bytes);
        }
    }

    pub(crate) fn report<'a>(&self, report: impl Into<Report<'a>>) {
        let timed = self.interest.contains(Interest::MARKS);
        self.enter(report.into(), timed.then(clock::now));
    }

    #[inline]
    fn enter(&self, report: Report<'_>, at: Option<Instant>) {
        self.gate.enter(
            |core| core.step(self, report, at),
            |queue| Queued::push(queue, report, at),
            |core, queued| core.step(self, queued.report(), queued.at),
        );
    }
}

impl Counter {
    #[inline]
    fn add(&self, bytes: u64) {
        for (counter, more) in [(&self.bytes, bytes), (&self.frames, 1)] {
            let sum = counter.load(Ordering::Relaxed).saturating_add(more);
            counter.store(sum, Ordering::Relaxed);
        }
    }

    fn add_to(&self, transfer: &mut Transfer) {
        let data = Data {
            bytes: self.bytes.load(Ordering::Relaxed),
            frames: self.frames.load(Ordering::Relaxed),
        };
        transfer.add(data);
    }
}

impl Transfer {
    fn add(&mut self, data: Data) {
        self.bytes = self.bytes.saturating_add(data.bytes);
        self.frames = self.frames.saturating_add(data.frames);
    }

    fn end(&mut self, trailers: Option<&HeaderMap>, keep: bool) {
        self.complete = true;
        self.trailers = trailers.filter(|_| keep).map(|trailers| Box::new(trailers.clone()));
    }

    fn ended<'a>(&self, trailers: Option<&'a HeaderMap>) -> End<'a> {
        End { bytes: self.bytes, frames: self.frames, trailers }
    }

    fn failed<'a>(&self, reason: Reason, error: Option<&'a (dyn Error + 'static)>) -> Failure<'a> {
        Failure { reason, error, bytes: self.bytes, frames: self.frames }
    }
}

// ===== impl Core =====

impl Core<dyn Listener> {
    /// The machine decides, the summary remembers, the listener is called.
    #[inline]
    fn step(&mut self, exchange: &Exchange<dyn Listener>, report: Report<'_>, at: Option<Instant>) {
        let calls = self.machine.apply(report.fact);
        match calls {
            Calls::NONE => {}
            Calls::REQUEST_DATA => {
                self.summary.request.add(report.data);
                self.mark(Mark::RequestData, at);
                self.listener.on_request_data(report.data);
            }
            Calls::RESPONSE_DATA => {
                self.summary.response.add(report.data);
                self.mark(Mark::ResponseData, at);
                self.listener.on_response_data(report.data);
            }
            _ => {
                self.note(calls, exchange, report, at);
                self.call(calls, report);
            }
        }
    }

    #[inline]
    fn mark(&mut self, mark: Mark, at: Option<Instant>) {
        if let Some(at) = at {
            self.summary.marks.set(mark, at);
        }
    }

    fn note(
        &mut self,
        calls: Calls,
        exchange: &Exchange<dyn Listener>,
        report: Report<'_>,
        at: Option<Instant>,
    ) {
        let Self { machine, summary, .. } = self;
        let keep_trailers = exchange.interest.contains(Interest::TRAILERS);
        if calls.contains(Calls::REQUEST_END) {
            summary.request.end(report.headers, keep_trailers);
        }
        if calls.contains(Calls::RESPONSE) {
            summary.status = Some(report.status);
        }
        if calls.contains(Calls::RESPONSE_END) {
            summary.response.end(report.headers, keep_trailers);
        }
        if let (true, Some(how)) = (calls.contains(Calls::REQUEST_CLOSE), machine.request_close()) {
            exchange.request.add_to(&mut summary.request);
            summary.request_close = how;
        }
        if let Some(verdict) = machine.verdict() {
            exchange.response.add_to(&mut summary.response);
            summary.close = verdict;
        }
        for (call, mark) in MARKED {
            if calls.intersects(call) {
                self.mark(mark, at);
            }
        }
    }

    fn call(&mut self, calls: Calls, report: Report<'_>) {
        let Self { summary, listener, .. } = self;
        let Report { fact, status, headers, error, .. } = report;
        if calls.contains(Calls::REQUEST_END) {
            listener.on_request_end(&summary.request.ended(headers));
        }
        if let (true, Some(reason)) = (calls.contains(Calls::REQUEST_ERROR), fact.failure()) {
            listener.on_request_error(&summary.request.failed(reason, error));
        }
        if let (true, Some(headers)) = (calls.contains(Calls::RESPONSE), headers) {
            listener.on_response(&ResponseHead { status, headers });
        }
        if calls.contains(Calls::RESPONSE_END) {
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

const MARKED: [(Calls, Mark); 6] = [
    (Calls::REQUEST_END.union(Calls::REQUEST_ERROR), Mark::RequestEnd),
    (Calls::REQUEST_CLOSE, Mark::RequestClose),
    (Calls::RESPONSE, Mark::Response),
    (Calls::RESPONSE_END.union(Calls::RESPONSE_ERROR), Mark::ResponseEnd),
    (Calls::FINISH, Mark::Finish),
    (Calls::CLOSE, Mark::Close),
];

// ===== impl Report =====

impl From<Fact> for Report<'_> {
    #[inline]
    fn from(fact: Fact) -> Self {
        Self {
            fact,
            data: Data { bytes: 0, frames: 0 },
            status: StatusCode::OK,
            headers: None,
            error: None,
        }
    }
}

impl<'a> Report<'a> {
    pub(crate) fn head(status: StatusCode, headers: &'a HeaderMap) -> Self {
        Self { status, headers: Some(headers), ..Self::from(Fact::Head) }
    }

    pub(crate) fn end(direction: Direction, trailers: Option<&'a HeaderMap>) -> Self {
        let fact = match direction {
            Direction::Request => Fact::RequestEnd,
            Direction::Response => Fact::ResponseEnd(Evidence::Frame),
        };
        Self { headers: trailers, ..Self::from(fact) }
    }

    pub(crate) fn error(
        direction: Direction,
        cause: Cause,
        error: Option<&'a (dyn Error + 'static)>,
    ) -> Self {
        let fact = match direction {
            Direction::Request => Fact::RequestError(cause),
            Direction::Response => Fact::ResponseError(cause),
        };
        Self { error, ..Self::from(fact) }
    }

    pub(crate) fn service_error(error: Option<&'a (dyn Error + 'static)>) -> Self {
        Self { error, ..Self::from(Fact::ServiceError) }
    }
}

impl Queued {
    /// Data of a direction is added to what waits already: a direction's end comes after all its data, so the queue
    /// holds at most one entry for each kind of fact.
    fn push(queue: &mut VecDeque<Self>, report: Report<'_>, at: Option<Instant>) {
        let Report { fact, data, status, headers, .. } = report;
        if matches!(fact, Fact::RequestData | Fact::ResponseData) {
            if let Some(waiting) = queue.iter_mut().find(|waiting| waiting.fact == fact) {
                waiting.data.bytes = waiting.data.bytes.saturating_add(data.bytes);
                waiting.data.frames += data.frames;
                return;
            }
        }
        queue.push_back(Self { fact, data, status, headers: headers.cloned(), at });
    }

    fn report(&self) -> Report<'_> {
        let Self { fact, data, status, ref headers, .. } = *self;
        Report { fact, data, status, headers: headers.as_ref(), error: None }
    }
}
