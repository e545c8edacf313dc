//! Callbacks that count: the least an observer can do and still hear everything. For axum-prometheus' layer the same.

use std::hint::black_box;

use axum_prometheus::lifecycle::{Callbacks, FailedAt, OnBodyChunk};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tower_http::classify::{ClassifiedResponse, ServerErrorsFailureClass};
use tower_lifecycle::{
    Data, Disconnect, End, Failure, Finish, Interest, Listener, Observer, RequestClose,
    RequestHead, ResponseHead, Summary,
};

/// Counts in plain fields what its interest lets it hear.
#[derive(Clone, Copy, Debug)]
pub struct Counting(pub Interest);

impl Counting {
    /// All hooks, without what they would have to pay for: the clock, a copy of the URI, a copy of trailers.
    pub fn hooks() -> Self {
        Self(Interest::DEFAULT - Interest::MARKS - Interest::URI - Interest::TRAILERS)
    }

    /// What an observer hears of that does not say.
    pub fn all() -> Self {
        Self(Interest::DEFAULT)
    }

    /// The [hooks](Self::hooks), and the times of the milestones.
    pub fn with_marks() -> Self {
        Self(Self::hooks().0 | Interest::MARKS)
    }

    /// The same, and who waited on whom.
    pub fn with_waits() -> Self {
        Self(Self::with_marks().0 | Interest::WAITS)
    }

    /// The [hooks](Self::hooks) without a call for each frame.
    pub fn without_data() -> Self {
        Self(Self::hooks().0 - Interest::DATA)
    }
}

/// What was counted of one exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    frames: u64,
    bytes: u64,
    ends: u64,
    errors: u64,
    heads: u64,
    finishes: u64,
    closes: u64,
}

impl Tally {
    /// Hands the counts to nobody, so that they are counted.
    fn done(&self) {
        black_box(self);
    }
}

// ===== tower-lifecycle =====

impl Observer for Counting {
    type State = Tally;

    fn interest(&self) -> Interest {
        self.0
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<Tally> {
        Some(Tally::default())
    }
}

impl Listener for Tally {
    fn on_disconnect(&mut self, _: Disconnect) {
        self.errors += 1;
    }

    fn on_request_data(&mut self, data: Data) {
        self.frames += data.frames;
        self.bytes += data.bytes;
    }

    fn on_request_end(&mut self, _: &End<'_>) {
        self.ends += 1;
    }

    fn on_request_error(&mut self, _: &Failure<'_>) {
        self.errors += 1;
    }

    fn on_request_close(&mut self, _: RequestClose) {
        self.closes += 1;
    }

    fn on_response(&mut self, _: &ResponseHead<'_>) {
        self.heads += 1;
    }

    fn on_response_data(&mut self, data: Data) {
        self.frames += data.frames;
        self.bytes += data.bytes;
    }

    fn on_response_end(&mut self, _: &End<'_>) {
        self.ends += 1;
    }

    fn on_response_error(&mut self, _: &Failure<'_>) {
        self.errors += 1;
    }

    fn on_finish(&mut self, _: Finish) {
        self.finishes += 1;
    }

    fn on_close(&mut self, _: &Summary) {
        self.closes += 1;
        self.done();
    }
}

// ===== axum-prometheus =====

type Failed = ServerErrorsFailureClass;

impl Callbacks<Failed> for Counting {
    type Data = Tally;

    fn prepare<B>(&mut self, _: &Request<B>) -> Tally {
        Tally::default()
    }

    fn on_response<B>(
        &mut self,
        _: &Response<B>,
        _: ClassifiedResponse<Failed, ()>,
        tally: &mut Tally,
    ) {
        tally.heads += 1;
    }

    fn on_eos(self, _: Option<&HeaderMap>, _: Result<(), Failed>, mut tally: Tally) {
        tally.ends += 1;
        tally.done();
    }

    fn on_failure(self, _: FailedAt, _: Failed, tally: &mut Tally) {
        tally.errors += 1;
        tally.done();
    }
}

impl OnBodyChunk<Bytes> for Counting {
    type Data = Tally;

    fn call(&mut self, chunk: &Bytes, _: Option<u64>, tally: &mut Tally) {
        tally.frames += 1;
        tally.bytes += chunk.len() as u64;
    }
}
