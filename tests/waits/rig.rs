//! One exchange whose two sides are moved by hand, and what is told of its waits.

use std::{
    cell::Cell,
    future::{self, Future},
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use tower::service_fn;
use tower_layer::Layer;
use tower_lifecycle::{
    End, Failure, Interest, LifecycleLayer, Listener, Mark, Observer, Party, RequestBody,
    RequestHead, ResponseBody, Summary, Wait,
    testing::{BoxError, ManualClock, MockBody, Step},
};
use tower_service::Service;

use crate::support::{
    panics::catch,
    polls::{poll_body, poll_once},
};

pub(crate) const CHUNK: Step = Step::Data(3);
pub(crate) const PENDING: Step = Step::Pending;

/// When the handler answers, so that no response begins with its exchange.
pub(crate) const HEAD: u64 = 7;

// ===== bodies =====

pub(crate) type Mock = MockBody<BoxError>;

/// A body whose polls may take their time.
pub(crate) struct Made {
    pub(crate) inner: Mock,
    pub(crate) busy: Option<(ManualClock, Duration)>,
}

impl From<Mock> for Made {
    fn from(inner: Mock) -> Self {
        Self { inner, busy: None }
    }
}

impl Body for Made {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some((clock, time)) = &self.busy {
            clock.advance(*time);
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

pub(crate) fn stream_of(steps: &[Step]) -> Mock {
    Mock::new(steps).streamed()
}

pub(crate) fn stream(steps: &[Step]) -> Response<Made> {
    Response::new(stream_of(steps).into())
}

pub(crate) fn empty(version: Version, method: Method) -> Request<Made> {
    let body = Mock::new(&[]).into();
    Request::builder().version(version).method(method).body(body).unwrap()
}

/// What a poll comes to for whoever waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Polled {
    Pending,
    Frame,
    Over,
}

pub(crate) fn watch<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Polled {
    match catch(|| poll_body(body)) {
        Err(_) | Ok(Poll::Pending) => Polled::Pending,
        Ok(Poll::Ready(Some(Ok(frame)))) if frame.is_data() && !body.is_end_stream() => {
            Polled::Frame
        }
        Ok(Poll::Ready(_)) => Polled::Over,
    }
}

// ===== the rig =====

pub(crate) type Held<T> = Arc<Mutex<Option<T>>>;
pub(crate) type Outcome = Result<Response<ResponseBody<Made>>, BoxError>;
pub(crate) type Answer = Rc<Cell<Option<Result<Response<Made>, BoxError>>>>;

/// One exchange, whose two sides are moved by hand.
pub(crate) struct Rig {
    pub(crate) clock: ManualClock,
    pub(crate) notes: Notes,
    pub(crate) answer: Answer,
    pub(crate) future: Option<Pin<Box<dyn Future<Output = Outcome>>>>,
    pub(crate) request: Option<RequestBody<Made>>,
    pub(crate) response: Option<ResponseBody<Made>>,
}

impl Rig {
    pub(crate) fn new(body: Mock) -> Self {
        Self::send(Request::new(body.into()))
    }

    pub(crate) fn with(interest: Interest, body: Mock) -> Self {
        let (clock, notes) = (ManualClock::new(), Notes::new(interest));
        let layer = LifecycleLayer::new(notes.clone()).with_clock(clock.clone());
        Self::of(&layer, clock, notes, Request::new(body.into()))
    }

    pub(crate) fn over(version: Version, method: Method) -> Self {
        Self::send(empty(version, method))
    }

    pub(crate) fn send(request: Request<Made>) -> Self {
        let (clock, notes) = (ManualClock::new(), Notes::new(Interest::ALL));
        let layer = LifecycleLayer::new(notes.clone()).with_clock(clock.clone());
        Self::of(&layer, clock, notes, request)
    }

    pub(crate) fn of<O: Observer>(
        layer: &LifecycleLayer<O>,
        clock: ManualClock,
        notes: Notes,
        request: Request<Made>,
    ) -> Self {
        let answer = Answer::default();
        let body = Rc::new(Cell::new(None));
        let mut service = layer.layer(service_fn(|request: Request<RequestBody<Made>>| {
            body.set(Some(request.into_body()));
            let answer = Rc::clone(&answer);
            future::poll_fn(move |_| answer.take().map_or(Poll::Pending, Poll::Ready))
        }));
        let future = Box::pin(service.call(request));
        let request = body.take();
        Self { clock, notes, answer, future: Some(future), request, response: None }
    }

    /// A GET that was answered.
    pub(crate) fn answered(response: Response<Made>) -> Self {
        Self::over(Version::HTTP_11, Method::GET).answer(response)
    }

    pub(crate) fn answer(mut self, response: Response<Made>) -> Self {
        self.drop_request().after(HEAD).respond(response);
        self
    }

    pub(crate) fn after(&mut self, millis: u64) -> &mut Self {
        self.clock.advance(ms(millis));
        self
    }

    /// The handler asks for a frame of the request.
    pub(crate) fn ask(&mut self) -> &mut Self {
        let _ = watch(self.request.as_mut().expect("the request is there"));
        self
    }

    pub(crate) fn drop_request(&mut self) -> &mut Self {
        self.request = None;
        self
    }

    pub(crate) fn respond(&mut self, response: Response<Made>) -> &mut Self {
        self.answer.set(Some(Ok(response)));
        let mut future = self.future.take().expect("not answered");
        let Poll::Ready(Ok(response)) = poll_once(Pin::new(&mut future)) else {
            panic!("an answer")
        };
        self.response = Some(response.into_body());
        self
    }

    pub(crate) fn fail(&mut self) -> &mut Self {
        if let Some(mut future) = self.future.take() {
            self.answer.set(Some(Err("broken".into())));
            assert!(poll_once(Pin::new(&mut future)).is_ready());
        }
        self
    }

    pub(crate) fn drop_future(&mut self) -> &mut Self {
        self.future = None;
        self
    }

    /// The server asks for a frame of the response.
    pub(crate) fn poll(&mut self) -> &mut Self {
        let _ = watch(self.response.as_mut().expect("the response is there"));
        self
    }

    pub(crate) fn drop_response(&mut self) -> &mut Self {
        self.response = None;
        self
    }

    /// Answers after a while, with nothing to read.
    pub(crate) fn finish(&mut self) -> &mut Self {
        self.after(HEAD).respond(stream(&[])).poll()
    }

    pub(crate) fn told(&self) -> Told {
        self.notes.told()
    }

    pub(crate) fn request_waited(&self, producer: u64, consumer: u64, last: Party) -> Told {
        let told = self.told();
        told.assert_consistent();
        let wait = told.summary().request.wait().map(parts);
        assert_eq!(wait, Some((ms(producer), ms(consumer), last)));
        told
    }

    pub(crate) fn response_waited(&self, producer: u64, consumer: u64, last: Party) -> Told {
        let told = self.told();
        told.assert_consistent();
        let wait = told.summary().response.wait().map(parts);
        assert_eq!(wait, Some((ms(producer), ms(consumer), last)));
        told
    }
}

// ===== what is told =====

pub(crate) type Parts = (Duration, Duration, Party);

pub(crate) fn parts(wait: Wait) -> Parts {
    (wait.producer, wait.consumer, wait.last)
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An observer that keeps the waits it is told of.
#[derive(Clone)]
pub(crate) struct Notes {
    pub(crate) interest: Interest,
    pub(crate) told: Arc<Mutex<Told>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// By `on_request_end` or `on_request_error`.
    pub(crate) request: Vec<Option<Wait>>,
    /// By `on_response_end` or `on_response_error`.
    pub(crate) response: Vec<Option<Wait>>,
    pub(crate) summary: Option<Summary>,
}

impl Notes {
    pub(crate) fn new(interest: Interest) -> Self {
        Self { interest, told: Arc::default() }
    }

    pub(crate) fn told(&self) -> Told {
        self.told.lock().unwrap().clone()
    }
}

impl Observer for Notes {
    type State = Self;

    fn interest(&self) -> Interest {
        self.interest
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<Self> {
        Some(self.clone())
    }
}

impl Listener for Notes {
    fn on_request_end(&mut self, end: &End<'_>) {
        self.told.lock().unwrap().request.push(end.wait.copied());
    }
    fn on_request_error(&mut self, failure: &Failure<'_>) {
        self.told.lock().unwrap().request.push(failure.wait.copied());
    }
    fn on_response_end(&mut self, end: &End<'_>) {
        self.told.lock().unwrap().response.push(end.wait.copied());
    }
    fn on_response_error(&mut self, failure: &Failure<'_>) {
        self.told.lock().unwrap().response.push(failure.wait.copied());
    }
    fn on_close(&mut self, summary: &Summary) {
        self.told.lock().unwrap().summary = Some(summary.clone());
    }
}

impl Told {
    pub(crate) fn summary(&self) -> &Summary {
        self.summary.as_ref().expect("closed")
    }

    /// Hooks and summary say the same, and each direction's two waits are all of its time.
    pub(crate) fn assert_consistent(&self) {
        let Some(summary) = &self.summary else { return };
        for &told in &self.request {
            assert_eq!(told, summary.request.wait(), "on_request_end and the summary");
        }
        for &told in &self.response {
            assert_eq!(told, summary.response.wait(), "on_response_end and the summary");
        }
        if let Some(wait) = summary.request.wait() {
            let all = summary.marks.get(Mark::RequestClose);
            assert_eq!(Some(wait.producer + wait.consumer), all, "of the request");
            let end = summary.time_to_request_end();
            assert!(end.is_none() || end == all, "the request's end is its close");
        }
        if let Some(wait) = summary.response.wait() {
            let ended = summary.body_duration();
            let all = ended.or_else(|| summary.marks.between(Mark::Response, Mark::Close));
            assert_eq!(Some(wait.producer + wait.consumer), all, "of the response");
        }
    }
}
