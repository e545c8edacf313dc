//! What is inside the gate of an exchange: the machine decides, the summary remembers, the listeners are called, and
//! handles are told.

use std::time::Instant;

use http::StatusCode;

use super::{
    join::Newcomer,
    listeners::Listeners,
    live::Live,
    machine::{Calls, Fact, Machine, Role},
    outside::Outside,
    report::{Direction, Queued, Report},
    summary::Summary,
    view::ExchangeView,
};
use crate::{Data, Interest, Listener, Reason, ResponseHead, TraceIds};

pub(super) struct Core<L> {
    machine: Machine,
    summary: Summary,
    listeners: Listeners<L>,
}

impl<L: Listener> Core<L> {
    #[inline]
    pub(super) fn new(role: Role, summary: Summary, listener: L) -> Self {
        Self { machine: Machine::new(role), summary, listeners: Listeners::new(listener) }
    }

    pub(super) fn trace(&mut self, trace: TraceIds) {
        self.summary.trace = Some(trace);
    }

    pub(super) fn opened(&mut self, view: &ExchangeView) {
        self.listeners.opened(view);
    }

    /// Once it has closed.
    pub(super) fn summary(&self) -> Option<&Summary> {
        self.machine.verdict().map(|_| &self.summary)
    }

    #[inline]
    pub(super) fn data(&mut self, direction: Direction, data: Data) {
        match direction {
            Direction::Request if self.machine.apply(Fact::RequestData) == Calls::REQUEST_DATA => {
                self.summary.request.add(data);
                self.listeners.on_request_data(data);
            }
            Direction::Response
                if self.machine.apply(Fact::ResponseData) == Calls::RESPONSE_DATA =>
            {
                self.summary.response.add(data);
                self.listeners.on_response_data(data);
            }
            _ => {}
        }
    }

    pub(super) fn first_data(&mut self, direction: Direction, data: Data, at: Instant) {
        if self.machine.verdict().is_none() {
            self.summary.marks.set(direction.first_data(), at);
        }
        self.data(direction, data);
    }

    pub(super) fn step(&mut self, outside: &Outside, report: &Report<'_>, at: Option<Instant>) {
        let calls = self.machine.apply(report.fact);
        if calls.is_empty() {
            return;
        }
        let interest = outside.interest();
        if let Some(at) = at {
            self.summary.marks.set_all(calls, at);
            if interest.contains(Interest::WAITS) {
                outside.waited(calls, &mut self.summary);
            }
        }
        let seen = interest.intersects(Interest::SEEN);
        if seen {
            self.show(calls, outside, interest, report.status);
        }
        self.call(calls, outside, interest, report);
        if seen {
            self.wake(calls, outside, interest, report.fact);
        }
        if calls.contains(Calls::CLOSE) {
            if let Some(seat) = outside.seat() {
                seat.leave(self.summary.close.reason);
            }
        }
    }

    pub(super) fn queued(&mut self, outside: &Outside, queued: Queued) {
        match queued {
            Queued::Data(direction, data, None) => self.data(direction, data),
            Queued::Data(direction, data, Some(at)) => self.first_data(direction, data, at),
            Queued::Report(report, at) => self.step(outside, &report.borrow(), at),
            Queued::Join(newcomer) => self.join(outside, newcomer),
        }
    }

    /// In the order of the hooks, each with what the summary is to remember of it.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "there is one caller")]
    fn call(&mut self, calls: Calls, outside: &Outside, interest: Interest, report: &Report<'_>) {
        let Self { machine, summary, listeners } = self;
        let Report { fact, version, status, headers, error } = *report;
        let keep = interest.contains(Interest::TRAILERS);
        if let (true, Some(how)) = (calls.contains(Calls::REQUEST_CLOSE), machine.request_close()) {
            summary.request.add(outside.unheard(Direction::Request));
            summary.request_close = how;
        }
        if let (true, Some(verdict)) = (calls.contains(Calls::CLOSE), machine.verdict()) {
            summary.response.add(outside.unheard(Direction::Response));
            summary.close = verdict;
            if let (Reason::Upgraded, Some(seat)) = (verdict.reason, outside.seat()) {
                seat.upgrade();
            }
            if let Some(live) = outside.live() {
                summary.marks.name(live.take_marks());
                summary.route = live.route.get().cloned();
            }
        }

        if let (true, Some(disconnect)) = (calls.contains(Calls::DISCONNECT), machine.disconnect())
        {
            listeners.on_disconnect(disconnect);
        }
        if calls.contains(Calls::REQUEST_END) {
            summary.request.end(headers, keep);
            listeners.on_request_end(&summary.request.ended(headers));
        }
        if let (true, Some(reason)) = (calls.contains(Calls::REQUEST_ERROR), fact.failure()) {
            listeners.on_request_error(&summary.request.failed(reason, error));
        }
        if let (true, Some(headers)) = (calls.contains(Calls::RESPONSE), headers) {
            let head = ResponseHead { version, status, headers };
            summary.head(&head, keep);
            listeners.on_response(&head);
        }
        if calls.contains(Calls::RESPONSE_END) {
            summary.end(headers, keep);
            listeners.on_response_end(&summary.response.ended(headers));
        }
        if let (true, Some(reason)) = (calls.contains(Calls::RESPONSE_ERROR), fact.failure()) {
            listeners.on_response_error(&summary.response.failed(reason, error));
        }
        if calls.contains(Calls::FINISH) {
            listeners.on_finish(fact.finish());
        }
        if calls.contains(Calls::REQUEST_CLOSE) {
            listeners.on_request_close(summary.request_close);
        }
        if calls.contains(Calls::CLOSE) {
            listeners.on_close(summary);
        }
    }
}

/// What views and handles see.
impl<L: Listener> Core<L> {
    /// Before the hooks are called.
    #[inline(never)]
    fn show(&self, calls: Calls, outside: &Outside, interest: Interest, status: StatusCode) {
        if interest.contains(Interest::VIEW) {
            outside.shown().step(calls, self.machine.stage(), status, &self.summary.marks);
        }
        if let Some(live) = outside.live() {
            self.show_handles(calls, live);
        }
    }

    /// The last stage comes with the verdict.
    #[cold]
    fn show_handles(&self, calls: Calls, live: &Live) {
        if let (true, Some(how)) =
            (calls.contains(Calls::REQUEST_CLOSE), self.machine.request_close())
        {
            let _ = live.request_close.set(how);
        }
        if !calls.contains(Calls::CLOSE) {
            live.set_stage(self.machine.stage());
        }
    }

    /// After the hooks were called, so that whoever is woken finds told what there was to tell.
    #[inline]
    fn wake(&mut self, calls: Calls, outside: &Outside, interest: Interest, fact: Fact) {
        if let Some(live) = outside.live() {
            self.wake_handles(calls, live, fact);
        }
        if calls.contains(Calls::CLOSE)
            && interest.contains(Interest::VIEW)
            && self.summary.is_large()
        {
            self.summary.shrink();
        }
    }

    #[inline(never)]
    fn wake_handles(&self, calls: Calls, live: &Live, fact: Fact) {
        let disconnect = self.machine.disconnect();
        if let (true, Some(disconnect)) = (calls.contains(Calls::DISCONNECT), disconnect) {
            live.disconnected(disconnect);
        }
        if calls.contains(Calls::FINISH) {
            live.finished(fact.finish());
        }
        if calls.contains(Calls::CLOSE) {
            let Summary { close, request, response, .. } = &self.summary;
            live.close(*close, [request.passed(), response.passed()]);
        }
    }
}

/// A layer further in.
impl<L: Listener> Core<L> {
    /// The newcomer is told what it has missed of the request. It comes before there is a response: if not after all,
    /// because another thread answered meanwhile, it hears nothing of that but the close.
    fn join(&mut self, outside: &Outside, newcomer: Newcomer) {
        let Newcomer { mut listener, uri, trace, view, .. } = newcomer;
        let Self { machine, summary, listeners } = self;
        summary.trace = summary.trace.or(trace);
        summary.uri = summary.uri.take().or(uri);

        if let Some(view) = view {
            outside.shown().catch_up(machine.stage(), summary);
            listener.opened(&view.known_as(summary.trace));
        }
        let mut passed = summary.request.passed();
        if machine.request_close().is_none() {
            passed += outside.unheard(Direction::Request);
        }
        if let Some(disconnect) = machine.disconnect() {
            listener.on_disconnect(disconnect);
        }
        if passed.frames > 0 {
            listener.on_request_data(passed);
        }
        if summary.request.complete {
            let trailers = summary.request.trailers.as_deref();
            listener.on_request_end(&summary.request.ended(trailers));
        }
        if let Some(reason) = machine.request_failure() {
            listener.on_request_error(&summary.request.failed(reason, None));
        }
        if let Some(how) = machine.request_close() {
            listener.on_request_close(how);
        }
        if machine.verdict().is_some() {
            listener.on_close(summary);
            return summary.shrink();
        }
        listeners.join(listener, machine.has_answered());
    }
}
