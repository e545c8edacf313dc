//! One exchange, told to a subscriber.

use std::{fmt, sync::Arc};

use tracing::{Span, field::display};

use super::{
    Settings,
    cover::{self, Cover},
    shapes::values,
    sites::{Site, Sites},
    span,
    text::{Line, Path, TraceId, int, millis},
};
use crate::{
    Data, Disconnect, End, Failure, Finish, Initiator, Listener, RequestClose, RequestHead,
    ResponseHead, Role, Summary,
    observe::Scope,
    semconv::{Outcome, Seen, Text, protocol_version},
};

/// The state of [`Trace`](super::Trace) for one exchange.
pub struct TraceState {
    settings: Arc<Settings>,
    /// `None` where nobody wants one.
    span: Option<Arc<Span>>,
    cover: Option<Arc<Cover>>,
    role: Role,
    method: Text,
    /// As far as it was known at the begin.
    route: Option<Text>,
    seen: Seen,
}

impl TraceState {
    pub(super) fn begin(settings: &Arc<Settings>, head: &RequestHead<'_>) -> Option<Self> {
        if settings.levels.are_ignored() {
            return None;
        }
        let sites = settings.sites();
        let site = sites.span(head.role);
        let may_open = site.may_be_enabled();
        if !may_open && !sites.may_tell() {
            return None;
        }
        let request = settings.conventions.read(head);
        let (method, route) = (request.method(), request.route());
        let (role, told) = (head.role, route.as_ref());
        let span = may_open.then(|| {
            if settings.brief {
                span::open_brief(site, &request, &method, told)
            } else {
                span::open(site, &request, role, &method, told)
            }
        });
        let state = Self {
            settings: Arc::clone(settings),
            span: span.flatten().map(Arc::new),
            cover: None,
            role,
            method,
            route,
            seen: Seen::default(),
        };
        state.tell(sites.begin, |site, span| {
            let path = display(Path(request.path()));
            site.event(
                span,
                &values!(begin;
                    MESSAGE: "exchange begins", METHOD: state.method.as_str(), PATH: path),
            );
        });
        Some(state)
    }

    fn sites(&self) -> &Sites {
        self.settings.sites()
    }

    /// Tells, if somebody listens.
    #[inline]
    fn tell(&self, site: Site, event: impl FnOnce(Site, Option<&Span>)) {
        let span = self.span.as_deref();
        if site.is_enabled(span) {
            event(site, span);
        }
    }

    fn tell_data(&self, site: Site, message: &str, data: Data) {
        self.tell(site, |site, span| {
            let (bytes, frames) = (int(data.bytes), int(data.frames));
            site.event(span, &values!(data; MESSAGE: message, BYTES: bytes, FRAMES: frames));
        });
    }

    fn tell_end(&self, site: Site, message: &str, end: &End<'_>) {
        self.tell(site, |site, span| {
            let (bytes, frames) = (int(end.bytes), int(end.frames));
            site.event(span, &values!(end; MESSAGE: message, BYTES: bytes, FRAMES: frames));
        });
    }

    fn tell_failure(&self, site: Site, message: &str, failure: &Failure<'_>) {
        self.tell(site, |site, span| {
            let (bytes, frames) = (int(failure.bytes), int(failure.frames));
            let (reason, error) = (failure.reason.as_str(), failure.error.map(display));
            let values = values!(error;
                MESSAGE: message, REASON: reason, ERROR: error, BYTES: bytes, FRAMES: frames);
            site.event(span, &values);
        });
    }

    fn tell_word(&self, site: Site, message: &str, how: &str) {
        self.tell(site, |site, span| {
            site.event(span, &values!(word; MESSAGE: message, HOW: how));
        });
    }

    /// The summary's event. Where there is no span it tells what that would, else what is not in it yet.
    fn sum_up(&self, summary: &Summary, outcome: &Outcome, late: Option<&Text>) {
        let sites = self.sites();
        let failed = outcome.is_error() && is_to_be_looked_after(summary);
        let site = if failed { sites.failure } else { sites.summary };
        self.tell(site, |site, span| {
            let path = summary.uri.as_ref().filter(|_| span.is_none());
            let path = path.map(|uri| display(Path(uri.path())));
            let method = span.is_none().then_some(self.method.as_str());
            let route = late.or(self.route.as_ref().filter(|_| span.is_none()));
            let duration = summary.duration().map(millis);
            site.event(
                span,
                &values!(close;
                    MESSAGE: display(Line(summary)),
                    METHOD: method,
                    PATH: path,
                    ROUTE: route.map(Text::as_str),
                    STATUS: outcome.status.map(i64::from),
                    ERROR_TYPE: outcome.error_type.as_deref(),
                    TERMINATION: summary.termination().as_str(),
                    TRACE_ID: summary.trace.map(|trace| display(TraceId(trace))),
                    REQUEST_BYTES: int(summary.request.bytes),
                    RESPONSE_BYTES: int(summary.response.bytes),
                    DURATION: duration,
                ),
            );
        });
    }
}

/// What a peer does is an error to a trace, and nothing that whoever reads a log could mend; else anybody could fill it.
fn is_to_be_looked_after(summary: &Summary) -> bool {
    let Summary { role, close, status, .. } = summary;
    match role {
        _ if close.reason.is_complete() => status.is_some_and(|status| status.as_u16() >= 500),
        Role::Server => close.initiator == Initiator::Local,
        Role::Client => true,
    }
}

impl Listener for TraceState {
    fn scope(&mut self) -> Option<Arc<dyn Scope>> {
        let cover = Arc::new(Cover::new(Arc::clone(self.span.as_ref()?)));
        self.cover = Some(Arc::clone(&cover));
        Some(cover)
    }

    fn on_disconnect(&mut self, disconnect: Disconnect) {
        self.tell(self.sites().disconnect, |site, span| {
            let Disconnect { reason, evidence } = disconnect;
            let (reason, evidence) = (reason.as_str(), evidence.as_str());
            let values =
                values!(disconnect; MESSAGE: "peer gone", REASON: reason, EVIDENCE: evidence);
            site.event(span, &values);
        });
    }

    fn on_request_data(&mut self, data: Data) {
        self.tell_data(self.sites().request_data, "request data", data);
    }

    fn on_request_end(&mut self, end: &End<'_>) {
        self.tell_end(self.sites().request_end, "request read", end);
    }

    fn on_request_error(&mut self, failure: &Failure<'_>) {
        self.tell_failure(self.sites().request_error, "request failed", failure);
    }

    fn on_request_close(&mut self, close: RequestClose) {
        self.tell_word(self.sites().request_close, "request closed", close.as_str());
    }

    fn on_response(&mut self, head: &ResponseHead<'_>) {
        let status = i64::from(head.status.as_u16());
        if let Some(span) = self.span.as_ref().filter(|_| !self.settings.brief) {
            let version = match self.role {
                Role::Server => None,
                Role::Client => protocol_version(head.version),
            };
            span::record(span, &values!(span; STATUS: status, VERSION: version));
        }
        self.tell(self.sites().response, |site, span| {
            site.event(span, &values!(head; MESSAGE: "response head", STATUS: status));
        });
    }

    fn on_response_data(&mut self, data: Data) {
        self.tell_data(self.sites().response_data, "response data", data);
    }

    fn on_response_end(&mut self, end: &End<'_>) {
        self.tell_end(self.sites().response_end, "response complete", end);
    }

    fn on_response_error(&mut self, failure: &Failure<'_>) {
        if let Some(error) = failure.error {
            self.settings.conventions.failed(&mut self.seen, error);
        }
        self.tell_failure(self.sites().response_error, "response failed", failure);
    }

    fn on_finish(&mut self, finish: Finish) {
        self.tell_word(self.sites().finish, "response handed over", finish.as_str());
    }

    fn on_close(&mut self, summary: &Summary) {
        let conventions = &self.settings.conventions;
        let outcome = conventions.outcome(summary, self.seen);
        let late = self.route.is_none().then(|| conventions.late_route(summary)).flatten();
        // First, because plain output repeats before each event what its span tells by then.
        self.sum_up(summary, &outcome, late.as_ref());
        if let Some(span) = &self.span {
            let late = late.as_ref();
            if self.settings.brief {
                span::complete_brief(span, late);
            } else {
                span::complete(span, summary, &outcome, &self.method, late);
            }
        }
    }
}

/// Right after `on_close`, or after a subscriber's panic.
impl Drop for TraceState {
    fn drop(&mut self) {
        if let Some(cover) = self.cover.take() {
            cover.lift();
        }
        if let Some(span) = self.span.take() {
            cover::end(span);
        }
    }
}

impl fmt::Debug for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceState").field("span", &self.span).finish_non_exhaustive()
    }
}
