//! The observer: sends every call of a hook over a channel, so that whoever waits for one is told and need not sleep.

use std::{
    fmt::Write as _,
    iter,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header};
use tokio::sync::mpsc;
use tower_lifecycle::{
    Close, Data, End, Failure, Finish, Listener, Observer, RequestClose, RequestHead, ResponseHead,
    Summary,
};

/// One call of a hook.
pub(crate) struct Call {
    /// Which exchange, counted from one.
    pub(crate) exchange: u64,
    /// Time since its begin.
    pub(crate) at: Duration,
    pub(crate) hook: &'static str,
    /// What the hook was handed, in a few words.
    pub(crate) detail: String,
    /// Of `on_close` alone: the verdict, and how the request side had ended.
    pub(crate) close: Option<(Close, RequestClose)>,
}

/// Numbers the exchanges and sends their calls.
pub(crate) struct Reporter {
    calls: mpsc::UnboundedSender<Call>,
    count: AtomicU64,
}

/// The reporter's state for one exchange.
pub(crate) struct Exchange {
    calls: mpsc::UnboundedSender<Call>,
    number: u64,
    began: Instant,
}

impl Reporter {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Call>) {
        // Unbounded, because a hook must not wait; a program that runs for long bounds it and drops what is too much.
        let (calls, receiver) = mpsc::unbounded_channel();
        (Self { calls, count: AtomicU64::new(0) }, receiver)
    }
}

impl Observer for Reporter {
    type State = Exchange;

    #[expect(clippy::disallowed_methods, reason = "an example is not the library")]
    fn begin(&self, head: &RequestHead<'_>) -> Option<Exchange> {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let exchange = Exchange { calls: self.calls.clone(), number, began: Instant::now() };
        let RequestHead { method, uri, version, headers, .. } = head;
        exchange.tell("begin", format!("{method} {} {version:?}{}", uri.path(), framing(headers)));
        Some(exchange)
    }
}

impl Listener for Exchange {
    fn on_request_data(&mut self, data: Data) {
        self.tell("on_request_data", bytes(data.bytes));
    }

    fn on_request_end(&mut self, end: &End<'_>) {
        self.tell("on_request_end", total(end));
    }

    fn on_request_error(&mut self, failure: &Failure<'_>) {
        self.tell("on_request_error", explain(failure));
    }

    fn on_request_close(&mut self, close: RequestClose) {
        self.tell("on_request_close", close.to_string());
    }

    fn on_response(&mut self, head: &ResponseHead<'_>) {
        self.tell("on_response", format!("{}{}", head.status, framing(head.headers)));
    }

    fn on_response_data(&mut self, data: Data) {
        self.tell("on_response_data", bytes(data.bytes));
    }

    fn on_response_end(&mut self, end: &End<'_>) {
        self.tell("on_response_end", total(end));
    }

    fn on_response_error(&mut self, failure: &Failure<'_>) {
        self.tell("on_response_error", explain(failure));
    }

    fn on_finish(&mut self, finish: Finish) {
        self.tell("on_finish", finish.to_string());
    }

    fn on_close(&mut self, summary: &Summary) {
        self.send("on_close", summary.close.reason.to_string(), Some(summary));
    }
}

impl Exchange {
    fn tell(&self, hook: &'static str, detail: String) {
        self.send(hook, detail, None);
    }

    fn send(&self, hook: &'static str, detail: String, summary: Option<&Summary>) {
        let close = summary.map(|summary| (summary.close, summary.request_close));
        let call = Call { exchange: self.number, at: self.began.elapsed(), hook, detail, close };
        // Nobody receives any more when the program is about to end.
        let _ = self.calls.send(call);
    }
}

fn bytes(count: u64) -> String {
    format!("{count} byte{}", if count == 1 { "" } else { "s" })
}

fn total(end: &End<'_>) -> String {
    let mut total = match (end.bytes, end.frames) {
        (0, 0) => "no data".to_owned(),
        (count, 1) => format!("{} in 1 frame", bytes(count)),
        (count, frames) => format!("{} in {frames} frames", bytes(count)),
    };
    for (name, value) in end.trailers.into_iter().flatten() {
        let _ = write!(total, ", trailer {name}: {}", value.to_str().unwrap_or("?"));
    }
    total
}

/// The reason, and the error at the root of what was returned, which says the most.
fn explain(failure: &Failure<'_>) -> String {
    let root = failure
        .error
        .and_then(|error| iter::successors(Some(error), |&error| error.source()).last());
    match root {
        Some(root) => format!("{}: {root}", failure.reason),
        None => format!("{} after {}", failure.reason, bytes(failure.bytes)),
    }
}

/// How the head says that its body will end, if it does.
fn framing(headers: &HeaderMap) -> String {
    let of = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (of(header::CONTENT_LENGTH), of(header::TRANSFER_ENCODING)) {
        (_, Some(coding)) => format!(", {coding}"),
        (Some(length), None) => format!(", content-length {length}"),
        (None, None) => String::new(),
    }
}
