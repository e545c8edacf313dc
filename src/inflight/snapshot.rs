//! What is open at one moment.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::{Method, StatusCode, Version};

use super::{
    Filter, Headers, LiveState,
    registry::{Entry, Line},
};
use crate::{Connection, ExchangeId, ExchangeView, Mark, Stage, TraceIds, Wait, handle::Progress};

/// What is open at one moment: [`InFlight::snapshot`](super::InFlight::snapshot).
///
/// Exchanges and connections are looked at one after the other, so it is a moment of some microseconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// The time of day.
    pub at: SystemTime,
    /// How many there are, whatever the filter.
    pub counts: Counts,
    /// The exchanges that were asked for, oldest first.
    pub exchanges: Vec<Open>,
    /// How many more were asked for than the filter's limit.
    pub not_listed: usize,
    /// All connections that came through a seam, oldest first.
    pub connections: Vec<OpenConnection>,
}

/// An exchange that is open.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Open {
    /// Which.
    pub id: ExchangeId,
    /// The connection, if it came through a seam.
    pub connection: Option<Connection>,
    /// The request's method; `_OTHER` for one of more than 32 characters.
    pub method: Method,
    /// The protocol version.
    pub version: Version,
    /// The route's template, if somebody further in has told.
    pub route: Option<Arc<str>>,
    /// How long ago it began.
    pub age: Duration,
    /// Where it is.
    pub stage: Stage,
    /// What it is doing.
    pub state: LiveState,
    /// The response's status, once there is a response.
    pub status: Option<StatusCode>,
    /// What of the request body has left for the handler.
    pub request: Progress,
    /// What of the response body has left for the server.
    pub response: Progress,
    /// Who waited on whom for the request's body, unless built [`without_times`](super::InFlightBuilder::without_times).
    pub request_wait: Option<Wait>,
    /// The same for the response's, once there is a response.
    pub response_wait: Option<Wait>,
    /// When it passed what it has passed.
    pub times: Times,
    /// What handles have marked, by time since begin.
    pub marks: Vec<(&'static str, Duration)>,
    /// By what a distributed trace knows it, if an observer has said so when it began.
    pub trace: Option<TraceIds>,
    headers: Headers,
    entry: Arc<Entry>,
}

/// Times since begin, of what an open exchange has passed; all `None` if built
/// [`without_times`](super::InFlightBuilder::without_times).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// The request was read, or let go.
    pub request_close: Option<Duration>,
    /// There was a response.
    pub response: Option<Duration>,
    /// The response was complete.
    pub response_end: Option<Duration>,
    /// The client was known to be gone.
    pub disconnect: Option<Duration>,
}

/// A connection that is open.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenConnection {
    /// The connection.
    pub connection: Connection,
    /// How long ago it was accepted.
    pub age: Duration,
    /// [`Idle`](LiveState::Idle), [`Busy`](LiveState::Busy) or [`Upgraded`](LiveState::Upgraded).
    pub state: LiveState,
    upgraded: Option<Arc<Entry>>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Exchanges that are open.
    pub open: usize,
    /// Of those how many are not shown, because there were too many when they began.
    pub not_shown: usize,
    /// Exchanges that have begun since the start.
    pub opened: u64,
    /// Exchanges that have closed since the start.
    pub closed: u64,
    /// Connections that are open.
    pub connections: usize,
    /// Of those that are shown, how many have nothing open.
    pub idle: usize,
    /// Of those that are shown, how many were upgraded.
    pub upgraded: usize,
    pub(super) stages: [usize; 5],
    pub(super) states: [usize; LiveState::ALL.len()],
}

impl Open {
    #[cold]
    pub(super) fn new(entry: &Arc<Entry>, times: bool) -> Self {
        let Entry { head, began, view, .. } = &**entry;
        let passed = |mark| view.passed(mark).filter(|_| times);
        Self {
            id: head.id,
            connection: view.connection().cloned(),
            method: head.method.clone(),
            version: head.version,
            route: view.route(),
            age: view.now().saturating_duration_since(*began),
            stage: view.stage(),
            state: LiveState::of(view),
            status: view.status(),
            request: view.request_progress(),
            response: view.response_progress(),
            request_wait: view.request_wait(),
            response_wait: view.response_wait(),
            times: Times {
                request_close: passed(Mark::RequestClose),
                response: passed(Mark::Response),
                response_end: passed(Mark::ResponseEnd),
                disconnect: passed(Mark::Disconnect),
            },
            marks: view.marks(),
            trace: view.trace(),
            headers: entry.headers(),
            entry: Arc::clone(entry),
        }
    }

    /// The path that was asked for, at most its first 1,024 bytes, without the query, which may have secrets.
    pub fn path(&self) -> &str {
        self.entry.head.path()
    }

    /// The headers that were allowed to be kept.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }
}

impl OpenConnection {
    pub(super) fn new(line: Line, now: Instant) -> Self {
        let Line { connection, opened, upgraded, .. } = line;
        let state = LiveState::of_connection(&connection);
        let age = now.saturating_duration_since(opened);
        Self { connection, age, state, upgraded }
    }

    /// What the last exchange asked for that upgraded it: method and path.
    pub fn upgraded(&self) -> Option<(&Method, &str)> {
        self.upgraded.as_ref().map(|by| (&by.head.method, by.head.path()))
    }
}

impl Counts {
    /// Exchanges at this stage, of those that are shown.
    pub fn stage(&self, stage: Stage) -> usize {
        self.stages[stage as usize]
    }

    /// Exchanges, or connections, in this state, of those that are shown.
    pub fn state(&self, state: LiveState) -> usize {
        LiveState::ALL.iter().position(|it| *it == state).map_or(0, |place| self.states[place])
    }

    /// What it is doing.
    pub(super) fn add(&mut self, view: &ExchangeView) -> LiveState {
        let state = LiveState::of(view);
        self.stages[view.stage() as usize] += 1;
        self.add_state(state);
        state
    }

    pub(super) fn add_connection(&mut self, state: LiveState) {
        self.add_state(state);
        match state {
            LiveState::Idle => self.idle += 1,
            LiveState::Upgraded => self.upgraded += 1,
            _ => {}
        }
    }

    fn add_state(&mut self, state: LiveState) {
        if let Some(place) = LiveState::ALL.iter().position(|it| *it == state) {
            self.states[place] += 1;
        }
    }
}

/// Those of `entries`, oldest first, that `filter` lets through, with how many there are of each kind.
pub(super) fn select(
    mut entries: Vec<Arc<Entry>>,
    filter: &Filter,
    times: bool,
    counts: &mut Counts,
) -> (Vec<Open>, usize) {
    entries.sort_unstable_by_key(|entry| (entry.began, entry.head.id));
    let mut listed = Vec::new();
    let mut not_listed = 0;
    for entry in &entries {
        let state = counts.add(&entry.view);
        if !filter.lets_open(entry, state) {
            continue;
        }
        if listed.len() < filter.most() {
            listed.push(Open::new(entry, times));
        } else {
            not_listed += 1;
        }
    }
    (listed, not_listed)
}
