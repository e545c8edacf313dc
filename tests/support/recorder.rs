//! An observer that writes down every hook, and the one oracle that says what order of them is right.

use std::{
    fmt,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use http::HeaderMap;
use tower_lifecycle::{
    Close, Data, End, Failure, Finish, Interest, Listener, Observer, Reason, RequestClose,
    RequestHead, ResponseHead, Summary,
};

/// A hook that was called, with what it was handed.
#[derive(Clone, Debug, PartialEq)]
pub enum Hook {
    Begin,
    RequestData { bytes: u64, frames: u64 },
    RequestEnd { bytes: u64, frames: u64, trailers: Option<HeaderMap> },
    RequestError { reason: Reason, error: Option<String>, bytes: u64, frames: u64 },
    RequestClose(RequestClose),
    Response { status: u16 },
    ResponseData { bytes: u64, frames: u64 },
    ResponseEnd { bytes: u64, frames: u64, trailers: Option<HeaderMap> },
    ResponseError { reason: Reason, error: Option<String>, bytes: u64, frames: u64 },
    Finish(Finish),
    Close(Close),
}

/// One exchange as it was observed.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// `GET /path`.
    pub name: String,
    pub hooks: Vec<Hook>,
    pub summary: Option<Summary>,
    /// The state was dropped.
    pub dropped: bool,
}

/// Writes down every exchange. Clones write into the same book.
#[derive(Clone)]
pub struct Recorder {
    interest: Interest,
    book: Arc<(Mutex<Vec<Exchange>>, Condvar)>,
}

/// The recorder's state for one exchange.
pub struct Page {
    recorder: Recorder,
    index: usize,
}

impl Recorder {
    pub fn new() -> Self {
        Self::with_interest(Interest::ALL)
    }

    pub fn with_interest(interest: Interest) -> Self {
        Self { interest, book: Arc::default() }
    }

    /// All exchanges so far, in the order of their begin.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.book.0.lock().unwrap().clone()
    }

    /// The only exchange, which has to be closed, with its grammar checked.
    pub fn only(&self) -> Exchange {
        let mut exchanges = self.exchanges();
        assert_eq!(exchanges.len(), 1, "{exchanges:#?}");
        let exchange = exchanges.remove(0);
        exchange.assert_grammar();
        exchange
    }

    /// Waits until `count` exchanges have begun and all of them are closed. Panics after ten seconds. Blocks the thread:
    /// call it from `spawn_blocking` or outside the runtime, or use [`Self::settled`].
    pub fn wait_closed(&self, count: usize) -> Vec<Exchange> {
        let (book, changed) = &*self.book;
        let settled = |exchanges: &mut Vec<Exchange>| {
            exchanges.len() < count || exchanges.iter().any(|exchange| !exchange.dropped)
        };
        let (exchanges, timeout) = changed
            .wait_timeout_while(book.lock().unwrap(), Duration::from_secs(10), settled)
            .unwrap();
        assert!(!timeout.timed_out(), "still open after 10 s: {exchanges:#?}");
        exchanges.clone()
    }

    /// [`Self::wait_closed`] for tasks.
    pub async fn settled(&self, count: usize) -> Vec<Exchange> {
        let recorder = self.clone();
        tokio::task::spawn_blocking(move || recorder.wait_closed(count)).await.unwrap()
    }

    fn write(&self, index: usize, change: impl FnOnce(&mut Exchange)) {
        change(&mut self.book.0.lock().unwrap()[index]);
        self.book.1.notify_all();
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Recorder {
    type State = Page;

    fn interest(&self) -> Interest {
        self.interest
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<Page> {
        let mut book = self.book.0.lock().unwrap();
        book.push(Exchange {
            name: format!("{} {}", head.method, head.uri.path()),
            hooks: vec![Hook::Begin],
            summary: None,
            dropped: false,
        });
        Some(Page { recorder: self.clone(), index: book.len() - 1 })
    }
}

impl Page {
    fn push(&self, hook: Hook) {
        self.recorder.write(self.index, |exchange| exchange.hooks.push(hook));
    }
}

impl Listener for Page {
    fn on_request_data(&mut self, data: Data) {
        self.push(Hook::RequestData { bytes: data.bytes, frames: data.frames });
    }
    fn on_request_end(&mut self, end: &End<'_>) {
        let End { bytes, frames, trailers, .. } = *end;
        self.push(Hook::RequestEnd { bytes, frames, trailers: trailers.cloned() });
    }
    fn on_request_error(&mut self, failure: &Failure<'_>) {
        let Failure { reason, error, bytes, frames, .. } = *failure;
        let error = error.map(ToString::to_string);
        self.push(Hook::RequestError { reason, error, bytes, frames });
    }
    fn on_request_close(&mut self, close: RequestClose) {
        self.push(Hook::RequestClose(close));
    }
    fn on_response(&mut self, head: &ResponseHead<'_>) {
        self.push(Hook::Response { status: head.status.as_u16() });
    }
    fn on_response_data(&mut self, data: Data) {
        self.push(Hook::ResponseData { bytes: data.bytes, frames: data.frames });
    }
    fn on_response_end(&mut self, end: &End<'_>) {
        let End { bytes, frames, trailers, .. } = *end;
        self.push(Hook::ResponseEnd { bytes, frames, trailers: trailers.cloned() });
    }
    fn on_response_error(&mut self, failure: &Failure<'_>) {
        let Failure { reason, error, bytes, frames, .. } = *failure;
        let error = error.map(ToString::to_string);
        self.push(Hook::ResponseError { reason, error, bytes, frames });
    }
    fn on_finish(&mut self, finish: Finish) {
        self.push(Hook::Finish(finish));
    }
    fn on_close(&mut self, summary: &Summary) {
        self.recorder.write(self.index, |exchange| {
            exchange.hooks.push(Hook::Close(summary.close));
            exchange.summary = Some(summary.clone());
        });
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.recorder.write(self.index, |exchange| exchange.dropped = true);
    }
}

impl Exchange {
    /// The verdict's reason. Panics while the exchange is open.
    pub fn reason(&self) -> Reason {
        self.close().reason
    }

    /// The verdict. Panics while the exchange is open.
    pub fn close(&self) -> Close {
        self.summary.as_ref().unwrap_or_else(|| panic!("not closed: {self:#?}")).close
    }

    /// The hooks as short words, a run of data as one: `begin req.data req.end …`.
    pub fn words(&self) -> String {
        let mut words: Vec<String> = self.hooks.iter().map(ToString::to_string).collect();
        words.dedup();
        words.join(" ")
    }

    /// The oracle: what holds of every closed exchange observed with full interest in hooks.
    pub fn assert_grammar(&self) {
        let hooks = &self.hooks;
        let say = |rule: &str| -> ! { panic!("{rule}: {self:#?}") };
        let places = |of: fn(&Hook) -> bool| -> Vec<usize> {
            hooks.iter().enumerate().filter(|(_, hook)| of(hook)).map(|(at, _)| at).collect()
        };
        let begin = places(|hook| matches!(hook, Hook::Begin));
        let request_data = places(|hook| matches!(hook, Hook::RequestData { .. }));
        let request_over =
            places(|hook| matches!(hook, Hook::RequestEnd { .. } | Hook::RequestError { .. }));
        let request_close = places(|hook| matches!(hook, Hook::RequestClose(_)));
        let head = places(|hook| matches!(hook, Hook::Response { .. }));
        let response_data = places(|hook| matches!(hook, Hook::ResponseData { .. }));
        let response_end = places(|hook| matches!(hook, Hook::ResponseEnd { .. }));
        let response_error = places(|hook| matches!(hook, Hook::ResponseError { .. }));
        let finish = places(|hook| matches!(hook, Hook::Finish(_)));
        let close = places(|hook| matches!(hook, Hook::Close(_)));

        let before = |a: &[usize], b: &[usize]| a.iter().all(|a| b.iter().all(|b| a < b));
        if begin != [0] {
            say("begin is first and once");
        }
        if close != [hooks.len() - 1] {
            say("close is last and once");
        }
        if request_close.len() != 1 {
            say("request_close is exactly once");
        }
        if request_over.len() > 1 || response_end.len() + response_error.len() > 1 {
            say("end and error exclude each other");
        }
        if head.len() > 1 || finish.len() > 1 {
            say("response and finish are at most once");
        }
        if !before(&request_data, &request_over) || !before(&request_data, &request_close) {
            say("no request data after its end");
        }
        if !before(&request_over, &request_close) {
            say("request_close is after end or error");
        }
        if head.is_empty() && !(response_data.is_empty() && response_end.is_empty()) {
            say("no response body without a response");
        }
        if !before(&head, &response_data)
            || !before(&head, &response_end)
            || !before(&head, &response_error)
        {
            say("the head is first of the response");
        }
        if !before(&response_data, &response_end) || !before(&response_data, &response_error) {
            say("no response data after its end");
        }
        if !before(&response_end, &finish) || finish.len() > response_end.len() {
            say("finish is after the end of the response");
        }
        self.assert_totals();
        self.assert_verdict();
        self.assert_marks();
    }

    fn assert_totals(&self) {
        let sum = |of: fn(&Hook) -> Option<(u64, u64)>| {
            self.hooks
                .iter()
                .filter_map(of)
                .fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1))
        };
        let request = sum(|hook| match hook {
            Hook::RequestData { bytes, frames } => Some((*bytes, *frames)),
            _ => None,
        });
        let response = sum(|hook| match hook {
            Hook::ResponseData { bytes, frames } => Some((*bytes, *frames)),
            _ => None,
        });
        for hook in &self.hooks {
            match *hook {
                Hook::RequestEnd { bytes, frames, .. }
                | Hook::RequestError { bytes, frames, .. } => {
                    assert_eq!((bytes, frames), request, "{self:#?}");
                }
                Hook::ResponseEnd { bytes, frames, .. }
                | Hook::ResponseError { bytes, frames, .. } => {
                    assert_eq!((bytes, frames), response, "{self:#?}");
                }
                _ => {}
            }
        }
        let summary = self.summary.as_ref().expect("a closed exchange has a summary");
        assert_eq!((summary.request.bytes, summary.request.frames), request, "{self:#?}");
        assert_eq!((summary.response.bytes, summary.response.frames), response, "{self:#?}");
    }

    fn assert_verdict(&self) {
        let summary = self.summary.as_ref().expect("a closed exchange has a summary");
        let ended = self.hooks.iter().any(|hook| matches!(hook, Hook::ResponseEnd { .. }));
        let failed = self
            .hooks
            .iter()
            .any(|hook| matches!(hook, Hook::RequestError { .. } | Hook::ResponseError { .. }));
        assert_eq!(summary.response.complete, ended, "{self:#?}");
        if summary.close.reason.is_complete() {
            assert!(ended && !failed, "complete without an end, or with a failure: {self:#?}");
        }
        let request = self.hooks.iter().any(|hook| matches!(hook, Hook::RequestEnd { .. }));
        assert_eq!(summary.request.complete, request, "{self:#?}");
        assert_eq!(summary.request_close == RequestClose::Complete, request, "{self:#?}");
    }

    fn assert_marks(&self) {
        let marks = &self.summary.as_ref().expect("a closed exchange has a summary").marks;
        if marks.begin().is_none() {
            return;
        }
        let passed: Vec<_> = marks.iter().map(|(mark, _)| mark).collect();
        let close = marks.get(tower_lifecycle::Mark::Close).expect("close is marked");
        assert!(marks.iter().all(|(_, at)| at <= close), "{passed:?} {self:#?}");
    }
}

/// `req.data`, `res.end`, `req.close(unread)`, `close(complete)`, …
impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin => write!(f, "begin"),
            Self::RequestData { .. } => write!(f, "req.data"),
            Self::RequestEnd { trailers: None, .. } => write!(f, "req.end"),
            Self::RequestEnd { trailers: Some(_), .. } => write!(f, "req.end+trailers"),
            Self::RequestError { reason, .. } => write!(f, "req.error({reason})"),
            Self::RequestClose(close) => write!(f, "req.close({close})"),
            Self::Response { status } => write!(f, "response({status})"),
            Self::ResponseData { .. } => write!(f, "res.data"),
            Self::ResponseEnd { trailers: None, .. } => write!(f, "res.end"),
            Self::ResponseEnd { trailers: Some(_), .. } => write!(f, "res.end+trailers"),
            Self::ResponseError { reason, .. } => write!(f, "res.error({reason})"),
            Self::Finish(finish) => write!(f, "finish({finish})"),
            Self::Close(close) => write!(f, "close({})", close.reason),
        }
    }
}
