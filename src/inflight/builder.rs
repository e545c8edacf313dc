//! What an `InFlight` is made with.

use std::{sync::Arc, time::Duration};

use http::HeaderName;

use super::{
    InFlight,
    changes::Teller,
    history::History,
    observer::{Kept, Shared},
    registry::Registry,
};

/// Makes an [`InFlight`]: [`InFlight::builder`].
#[derive(Clone, Debug)]
#[must_use = "`build` makes the observer"]
pub struct InFlightBuilder {
    max_open: usize,
    recent: usize,
    notable: usize,
    window: Duration,
    times: bool,
    request_headers: Vec<HeaderName>,
    response_headers: Vec<HeaderName>,
    max_subscribers: usize,
}

impl InFlightBuilder {
    pub(super) fn new() -> Self {
        Self {
            max_open: 65_536,
            recent: 1024,
            notable: 100,
            window: Duration::from_secs(5 * 60),
            times: true,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            max_subscribers: 64,
        }
    }

    /// How many open exchanges are shown, and how many connections: 65,536 unless told. Of those that begin when there are as
    /// many, only the number is told; one that is shown is shown until it closes.
    pub fn max_open(self, max: usize) -> Self {
        Self { max_open: max, ..self }
    }

    /// How many that have closed are remembered: 1,024 unless told. Each takes about a kilobyte, and what is kept of its path and headers.
    pub fn recent(self, exchanges: usize) -> Self {
        Self { recent: exchanges, ..self }
    }

    /// How many of the [slowest](InFlight::slowest), and how many of those that [failed](InFlight::failed), are remembered: 100
    /// unless told.
    pub fn notable(self, exchanges: usize) -> Self {
        Self { notable: exchanges, ..self }
    }

    /// For how long the slowest, and those that failed, are remembered: five minutes unless told.
    pub fn window(self, window: Duration) -> Self {
        Self { window, ..self }
    }

    /// Reads the clock when an exchange begins and when it closes, and not in between: no marks, no waits, no times of stages.
    /// What each exchange is doing is known all the same.
    pub fn without_times(self) -> Self {
        Self { times: false, ..self }
    }

    /// Keeps these headers of requests, for who looks. None unless told.
    pub fn request_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self { request_headers: names.into_iter().collect(), ..self }
    }

    /// Keeps these headers of responses, for who looks. None unless told.
    pub fn response_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self { response_headers: names.into_iter().collect(), ..self }
    }

    /// How many may [subscribe](InFlight::subscribe) at a time: 64 unless told.
    pub fn max_subscribers(self, max: usize) -> Self {
        Self { max_subscribers: max, ..self }
    }

    /// The observer.
    pub fn build(self) -> InFlight {
        let kept = Kept {
            times: self.times,
            request_headers: self.request_headers,
            response_headers: self.response_headers,
        };
        let history = History::new(self.recent, self.notable, self.window);
        let teller = Teller::new(self.max_subscribers);
        InFlight(Arc::new(Shared::new(kept, Registry::new(self.max_open), history, teller)))
    }
}
