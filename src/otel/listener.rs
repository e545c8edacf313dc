//! One exchange: what is told of it as it goes, and at its close.

use std::{
    any::type_name,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    KeyValue, Value,
    metrics::UpDownCounter,
    trace::{SpanRef, Status, TraceContextExt},
};

use super::{Shared, instruments::Exchanges, labels, labels::Labels, span, span::Attached};
use crate::{
    Failure, Listener, ResponseHead, Role, Summary, Transfer, Wait,
    observe::{Panics, Scope},
    semconv::{
        Outcome, Seen, Text,
        names::{attribute as name, own},
        span_name,
    },
};

/// The state of an [`Otel`](super::Otel) for one exchange: its span, and what its metrics will say.
pub struct OtelState {
    pub(super) otel: Arc<Shared>,
    pub(super) panics: Panics,
    pub(super) labels: Labels,
    pub(super) seen: Seen,
    pub(super) started: SystemTime,
    pub(super) attached: Option<Arc<Attached>>,
    pub(super) is_recording: bool,
    /// What it is counted by, and will be counted down by.
    pub(super) counted: Option<Vec<KeyValue>>,
}

/// Runs a user's function. Its panic is told of, and costs no span and no sample.
pub(super) fn ask<T>(panics: &Panics, user: impl FnOnce() -> T) -> Option<T> {
    let mut answer = None;
    panics.catch_callback(type_name::<super::Otel>(), || answer = Some(user()));
    answer
}

impl OtelState {
    /// The exchange is open.
    pub(super) fn count(&mut self) {
        self.counted = self.active().map(|active| {
            let labels = self.labels.of_open();
            active.add(1, &labels);
            labels
        });
    }

    fn active(&self) -> Option<&UpDownCounter<i64>> {
        self.instruments()?.active.as_ref()
    }

    fn instruments(&self) -> Option<&Exchanges> {
        Some(self.otel.instruments.as_ref()?.of(self.labels.role()))
    }

    fn measure(&self, summary: &Summary, outcome: &Outcome, late: Option<&Text>) {
        let Some(metrics) = self.instruments() else { return };
        let labels = self.labels.of_closed(late, outcome);
        let duration = if outcome.is_stream { &metrics.stream } else { &metrics.duration };
        duration.record(summary.duration().unwrap_or_default().as_secs_f64(), &labels);
        if let (Some(head), Some(time)) = (&metrics.head, summary.time_to_head()) {
            head.record(time.as_secs_f64(), &labels);
        }
        if let Some(sizes) = &metrics.sizes {
            sizes.request.record(summary.request.bytes, &labels);
            if summary.status.is_some() {
                sizes.response.record(summary.response.bytes, &labels);
            }
        }
        if let Some(wait) = &metrics.wait {
            for (on, _, time) in waits(summary) {
                wait.record(time.as_secs_f64(), &self.labels.of_wait(late, on));
            }
        }
    }

    fn end(&self, summary: &Summary, outcome: &Outcome, late: Option<&Text>) {
        let Some(attached) = self.attached.as_ref().filter(|of| of.has_span()) else { return };
        let span = attached.context.span();
        if self.is_recording {
            self.tell(&span, summary, outcome, late);
        }
        let end = self.started.checked_add(summary.duration().unwrap_or_default());
        span.end_with_timestamp(end.unwrap_or(self.started));
    }

    /// One by one, which costs less than to collect them.
    fn tell(&self, span: &SpanRef<'_>, summary: &Summary, outcome: &Outcome, late: Option<&Text>) {
        let tell = |key: &'static str, value: Value| span.set_attribute(KeyValue::new(key, value));
        let seconds = |key, time: Duration| tell(key, time.as_secs_f64().into());
        if let Some(route) = late {
            span.update_name(span_name(&self.labels.method, Some(route.as_str())));
            span.set_attribute(labels::target(self.labels.role(), route));
        }
        if let Some(status) = outcome.status {
            tell(name::HTTP_RESPONSE_STATUS_CODE, i64::from(status).into());
        }
        // A server's was told at the begin.
        if let (Role::Client, Some(version)) = (self.labels.role(), outcome.version) {
            tell(name::NETWORK_PROTOCOL_VERSION, version.into());
        }
        if let Some(error) = &outcome.error_type {
            span.set_status(Status::error(""));
            tell(name::ERROR_TYPE, error.clone().into());
        }
        if outcome.cancelled_by_caller {
            tell(own::OUTCOME, "cancelled".into());
        }
        if let Some(head) = summary.time_to_head() {
            seconds(own::RESPONSE_HEAD_DURATION, head);
        }
        tell(own::TERMINATION, summary.termination().as_str().into());
        if self.otel.wanted.sizes {
            let bytes = |key, bytes| tell(key, i64::try_from(bytes).unwrap_or(i64::MAX).into());
            bytes(name::HTTP_REQUEST_BODY_SIZE, summary.request.bytes);
            if summary.status.is_some() {
                bytes(name::HTTP_RESPONSE_BODY_SIZE, summary.response.bytes);
            }
        }
        if self.otel.wanted.waits {
            for (_, key, time) in waits(summary) {
                seconds(key, time);
            }
            if let Some(first) = summary.time_to_first_byte() {
                seconds(own::RESPONSE_FIRST_DATA, first);
            }
        }
    }
}

/// Nothing is told of a body of which nothing passed and for which nobody waited: mostly there is none, and each would be a sample
/// of zero.
fn told(transfer: &Transfer) -> Option<Wait> {
    const NOBODY: Duration = Duration::from_millis(1);
    let is_body = |wait: &Wait| {
        transfer.frames > 0 || !transfer.complete || wait.producer + wait.consumer > NOBODY
    };
    transfer.wait().filter(is_body)
}

/// On whom was waited, the name of its attribute, and for how long.
fn waits(summary: &Summary) -> impl Iterator<Item = (&'static str, &'static str, Duration)> {
    let request = told(&summary.request).map(|wait| {
        [
            ("client", own::REQUEST_BODY_WAIT_ON_CLIENT, wait.producer),
            ("handler", own::REQUEST_BODY_WAIT_ON_HANDLER, wait.consumer),
        ]
    });
    let response = told(&summary.response).map(|wait| {
        [
            ("producer", own::RESPONSE_BODY_WAIT_ON_PRODUCER, wait.producer),
            ("consumer", own::RESPONSE_BODY_WAIT_ON_CONSUMER, wait.consumer),
        ]
    });
    [request, response].into_iter().flatten().flatten()
}

impl Listener for OtelState {
    fn scope(&mut self) -> Option<Arc<dyn Scope>> {
        let attached = Arc::clone(self.attached.as_ref()?);
        Some(attached)
    }

    fn on_response(&mut self, head: &ResponseHead<'_>) {
        self.seen.response(head.headers);
        if let (true, Some(attached)) = (self.is_recording, &self.attached) {
            let span = attached.context.span();
            for header in self.otel.conventions.captured_response(head.headers) {
                span.set_attribute(span::header(header));
            }
        }
    }

    fn on_response_error(&mut self, failure: &Failure<'_>) {
        if let Some(error) = failure.error {
            let Self { otel, seen, panics, .. } = self;
            ask(panics, || otel.conventions.failed(seen, error));
        }
    }

    fn on_close(&mut self, summary: &Summary) {
        let Shared { conventions, cautious, .. } = &*self.otel;
        let outcome = ask(&self.panics, || conventions.outcome(summary, self.seen))
            .unwrap_or_else(|| cautious.outcome(summary, self.seen));
        let late = self.labels.route.is_none().then(|| conventions.late_route(summary)).flatten();
        self.measure(summary, &outcome, late.as_ref());
        self.end(summary, &outcome, late.as_ref());
    }
}

/// Also where there was no `on_close`, because a hook has panicked.
impl Drop for OtelState {
    fn drop(&mut self) {
        if let (Some(active), Some(labels)) = (self.active(), &self.counted) {
            active.add(-1, labels);
        }
    }
}

impl fmt::Debug for OtelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtelState")
            .field("role", &self.labels.role())
            .field("is_recording", &self.is_recording)
            .finish_non_exhaustive()
    }
}
