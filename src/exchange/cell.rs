//! One exchange, shared by its future and its two bodies, which report to it.

use std::{
    panic::{RefUnwindSafe, UnwindSafe},
    sync::Arc,
    time::Instant,
};

use super::{
    core::Core,
    gate::Gate,
    join::{Join, Newcomer},
    link::{Cell, Link},
    machine::Fact,
    outside::Outside,
    report::{Direction, Queued, Report},
    summary::Summary,
    view::ExchangeView,
};
use crate::{
    Data, Interest, Listener, TraceIds,
    conn::{Sight, Waiter},
};

pub(crate) struct Exchange<L> {
    outside: Outside,
    gate: Gate<Queued, Core<L>>,
}

impl<L: Listener> Exchange<L> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call would move all of it once more")]
    pub(crate) fn begin(outside: Outside, summary: Summary, listener: L) -> Link {
        let gate = Gate::new(Core::new(outside.role(), summary, listener));
        let exchange = Arc::new(Self { outside, gate });
        if exchange.outside.live().is_some() {
            Self::open(&exchange);
        }
        exchange
    }

    #[cold]
    fn open(exchange: &Arc<Self>) {
        if let Some(live) = exchange.outside.live() {
            let exchange: Arc<dyn Join> = Arc::<Self>::clone(exchange);
            live.open(Arc::downgrade(&exchange));
        }
    }
}

impl<L> UnwindSafe for Exchange<L> {}
impl<L> RefUnwindSafe for Exchange<L> {}

impl<L: Listener> Cell for Exchange<L> {
    fn outside(&self) -> &Outside {
        &self.outside
    }

    fn trace(&self, trace: TraceIds) {
        if let Some(mut core) = self.gate.enter() {
            core.trace(trace);
            drop(core);
            self.settle();
        }
    }

    #[cold]
    fn opened(self: Arc<Self>, trace: Option<TraceIds>) {
        let view = ExchangeView::new(Arc::<Self>::clone(&self), trace);
        if let Some(mut core) = self.gate.enter() {
            core.opened(&view);
            drop(core);
            self.settle();
        }
    }

    #[cold]
    fn summary(&self) -> Option<Summary> {
        // Who looks at what is open would stand in the way of its facts, and call their hooks.
        let look = self.outside.shown().look()?;
        let core = self.gate.enter()?;
        let summary = core.summary().cloned();
        drop(core);
        drop(look);
        self.settle();
        summary
    }

    fn data(&self, direction: Direction, bytes: u64) {
        let data = Data { bytes, frames: 1 };
        let Some(mut core) = self.gate.enter() else {
            return self.queue_data(direction, data, None);
        };
        core.data(direction, data);
        drop(core);
        self.settle();
    }

    fn first_data(&self, direction: Direction, bytes: u64) {
        let at = self.outside.now();
        let data = Data { bytes, frames: 1 };
        let Some(mut core) = self.gate.enter() else {
            return self.queue_data(direction, data, Some(at));
        };
        core.first_data(direction, data, at);
        drop(core);
        self.settle();
    }

    fn report(&self, report: &Report<'_>) {
        let timed = self.outside.interest().contains(Interest::MARKS);
        let at = timed.then(|| self.outside.now());
        let Some(mut core) = self.gate.enter() else {
            return self.queue(report, at);
        };
        core.step(&self.outside, report, at);
        drop(core);
        self.settle();
    }

    fn waiter(self: Arc<Self>) -> Arc<dyn Waiter> {
        self
    }
}

impl<L: Listener> Waiter for Exchange<L> {
    fn flushed(&self) {
        self.report(&Fact::Flushed.into());
    }

    fn released(&self) {
        self.report(&Fact::Released.into());
    }

    fn settled(&self, sight: Option<Sight>) {
        self.report(&Fact::Settled(sight).into());
    }
}

impl<L: Listener> Join for Exchange<L> {
    fn join(self: Arc<Self>, mut newcomer: Newcomer) {
        self.outside.want(newcomer.interest);
        if newcomer.interest.contains(Interest::VIEW) {
            newcomer.view = Some(ExchangeView::new(Arc::<Self>::clone(&self), newcomer.trace));
        }
        self.gate.queue(|queue| queue.push(Queued::Join(newcomer)));
        self.work_off();
    }

    #[cfg(any(feature = "access-log", feature = "opentelemetry"))]
    fn age(&self) -> std::time::Duration {
        self.outside.age().unwrap_or_default()
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
    fn queue_data(&self, direction: Direction, data: Data, at: Option<Instant>) {
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
        self.gate.work_off(|core, queued| core.queued(&self.outside, queued));
    }
}
