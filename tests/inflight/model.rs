//! Any script of both bodies, of asks, answers, ends and time: what a snapshot shows at each step, against a model.

use std::{
    any::Any,
    env,
    sync::{Arc, Mutex, mpsc},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};
use tokio::sync::oneshot;
use tower::{Layer as _, Service, ServiceExt as _, service_fn, util::BoxService};
use tower_lifecycle::{
    LifecycleLayer, Observer, Party, RequestBody, ResponseBody, Stage,
    inflight::{InFlight, LiveState},
    testing::{BoxError, EndClaim, HintClaim, ManualClock, MockBody, Recorder, Step},
};

use crate::support::polls::{poll_body, poll_once};

type AnyBody = UnsyncBoxBody<Bytes, BoxError>;
type Answer = Result<Response<MockBody>, BoxError>;
type Stack = BoxService<Request<MockBody>, Response<AnyBody>, BoxError>;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Op {
    Advance(u64),
    PollRequest,
    DropRequest,
    Respond,
    Fail,
    DropFuture,
    PollResponse,
    DropResponse,
}

/// Who else listens, and where the registry stands.
#[derive(Clone, Copy, Debug)]
enum Beside {
    Nobody,
    Handles,
    Before,
    After,
    AfterWithHandles,
    /// The registry joins the exchange of an outer layer.
    Outer,
    /// Another joins that of the registry.
    Inner,
}

#[derive(Clone, Debug)]
struct Case {
    beside: Beside,
    seam: bool,
    version: Version,
    request: (Vec<Step>, EndClaim),
    response: (Vec<Step>, EndClaim),
    ops: Vec<Op>,
}

fn cases() -> impl Strategy<Value = Case> {
    let step = prop_oneof![
        6 => (0..9_usize).prop_map(Step::Data),
        4 => Just(Step::Pending),
        1 => Just(Step::Error),
        1 => Just(Step::Trailers),
        1 => Just(Step::End),
    ];
    let body = (vec(step, 0..8), select(vec![EndClaim::Honest, EndClaim::Never]));
    let op = prop_oneof![
        8 => prop_oneof![0..10_u64, 0..10_000_000_000_u64].prop_map(Op::Advance),
        6 => Just(Op::PollRequest),
        1 => Just(Op::DropRequest),
        3 => Just(Op::Respond),
        1 => Just(Op::Fail),
        1 => Just(Op::DropFuture),
        6 => Just(Op::PollResponse),
        1 => Just(Op::DropResponse),
    ];
    let beside = select(vec![
        Beside::Nobody,
        Beside::Handles,
        Beside::Before,
        Beside::After,
        Beside::AfterWithHandles,
        Beside::Outer,
        Beside::Inner,
    ]);
    let version = select(vec![Version::HTTP_11, Version::HTTP_2]);
    (beside, any::<bool>(), version, body.clone(), body, vec(op, 0..40)).prop_map(
        |(beside, seam, version, request, response, ops)| Case {
            // Without the feature there is no seam.
            seam: seam && cfg!(feature = "conn"),
            beside,
            version,
            request,
            response,
            ops,
        },
    )
}

fn scripted((steps, end): &(Vec<Step>, EndClaim)) -> MockBody {
    MockBody::new(steps).end(*end).hint(HintClaim::Unknown)
}

// ===== the model =====

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a state of its own")]
struct Side {
    over: bool,
    /// Whoever has the body reads on, and what becomes of it is not the exchange's any more.
    detached: bool,
    /// There is no more of the body.
    gone: bool,
    asked: bool,
    producer: Duration,
    consumer: Duration,
    bytes: u64,
    frames: u64,
    /// When it was over.
    at: Option<Duration>,
}

impl Side {
    fn advance(&mut self, time: Duration) {
        match (self.over, self.asked) {
            (true, _) => {}
            (false, true) => self.producer += time,
            (false, false) => self.consumer += time,
        }
    }

    /// Whether it failed.
    fn polled(&mut self, body: &mut AnyBody, now: Duration) -> bool {
        let polled = poll_body(body);
        if self.over || self.gone {
            return false;
        }
        self.asked = true;
        match polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                self.bytes += frame.data_ref().unwrap().len() as u64;
                self.frames += 1;
                if body.is_end_stream() {
                    self.end(now);
                } else {
                    self.asked = false;
                }
            }
            Poll::Ready(Some(Err(_))) => {
                self.end(now);
                return true;
            }
            Poll::Ready(_) => self.end(now),
        }
        false
    }

    fn end(&mut self, now: Duration) {
        self.gone = true;
        if !self.over && !self.detached {
            self.over = true;
            self.at = Some(now);
        }
    }

    fn turn(&self) -> Party {
        if self.asked { Party::Producer } else { Party::Consumer }
    }
}

struct Play {
    inflight: InFlight,
    clock: ManualClock,
    seam: bool,
    version: Version,
    now: Duration,
    request: Side,
    response: Option<Side>,
    answered: Option<Duration>,
    closed: Option<Duration>,
}

impl Play {
    fn advance(&mut self, time: Duration) {
        self.clock.advance(time);
        self.now += time;
        if self.closed.is_none() {
            self.request.advance(time);
            if let Some(response) = &mut self.response {
                response.advance(time);
            }
        }
    }

    /// The response, or the wait for it, is over; a flush is awaited where there is one to be seen.
    fn over(&mut self, complete: bool) {
        let flushes = complete && self.seam && self.version == Version::HTTP_11;
        if !self.request.over {
            self.request.detached = true;
        }
        if !flushes {
            self.close();
        }
    }

    /// A drop over HTTP/2: the connection is to show why.
    fn is_doubtful(&self) -> bool {
        self.seam && self.version == Version::HTTP_2
    }

    fn close(&mut self) {
        self.closed.get_or_insert(self.now);
        self.request.end(self.now);
    }

    fn stage(&self) -> Stage {
        match &self.response {
            Some(response) if response.over => Stage::Flush,
            Some(_) => Stage::Response,
            None if self.request.over => Stage::Handler,
            None => Stage::Request,
        }
    }

    fn state(&self) -> LiveState {
        let known = |state| if self.seam { state } else { LiveState::Unknown };
        match (self.stage(), &self.response) {
            (Stage::Request, _) => match self.request.turn() {
                Party::Producer => known(LiveState::Reading),
                Party::Consumer => LiveState::Unread,
            },
            (Stage::Handler, _) => LiveState::Handler,
            (Stage::Response, Some(response)) => match response.turn() {
                Party::Producer => LiveState::Producer,
                Party::Consumer => known(LiveState::Client),
            },
            _ => LiveState::Flushing,
        }
    }

    fn look(&self) {
        let snapshot = self.inflight.snapshot();
        assert_eq!(snapshot.counts.open, usize::from(self.closed.is_none()));
        let Some(open) = snapshot.exchanges.first() else {
            return;
        };
        assert_eq!((open.age, open.stage, open.state), (self.now, self.stage(), self.state()));
        assert_eq!(snapshot.counts.state(open.state), 1);
        assert_eq!(snapshot.counts.stage(open.stage), 1);
        assert_eq!(open.status.is_some(), self.response.is_some());
        assert_eq!(open.connection.is_some(), self.seam);

        let Side { bytes, frames, producer, consumer, .. } = self.request;
        assert_eq!((open.request.bytes, open.request.frames), (bytes, frames));
        let wait = open.request_wait.unwrap();
        assert_eq!(
            (wait.producer, wait.consumer, wait.last),
            (producer, consumer, self.request.turn())
        );
        assert_eq!(open.times.request_close, self.request.at);
        assert_eq!(open.times.response, self.answered);

        let default = Side::default();
        let Side { bytes, frames, at, .. } = self.response.as_ref().unwrap_or(&default);
        assert_eq!((open.response.bytes, open.response.frames), (*bytes, *frames));
        assert_eq!(open.times.response_end, *at);
        let waits = open.response_wait.map(|wait| (wait.producer, wait.consumer, wait.last));
        let expected = |side: &Side| (side.producer, side.consumer, side.turn());
        assert_eq!(waits, self.response.as_ref().map(expected));
    }

    fn look_back(&self) {
        let recent = self.inflight.recent();
        let [closed] = &recent[..] else { panic!("one has closed") };
        let summary = &closed.summary;
        let Side { bytes, frames, producer, consumer, .. } = self.request;
        if !self.request.detached {
            assert_eq!((summary.request.bytes, summary.request.frames), (bytes, frames));
        }
        let wait = summary.request.wait().unwrap();
        assert_eq!((wait.producer, wait.consumer), (producer, consumer));
        if let Some(Side { bytes, frames, producer, consumer, .. }) = &self.response {
            assert_eq!((summary.response.bytes, summary.response.frames), (*bytes, *frames));
            let wait = summary.response.wait().unwrap();
            assert_eq!((wait.producer, wait.consumer), (*producer, *consumer));
        }
        assert_eq!(Some(closed.duration), self.closed);
        assert_eq!(self.clock.now() - closed.ended, self.now.abs_diff(self.closed.unwrap()));
    }
}

// ===== the stack =====

/// What the handler was given, and what it waits for.
struct Handler {
    bodies: mpsc::Receiver<AnyBody>,
    answer: Option<oneshot::Sender<Answer>>,
}

/// The outermost layer of it, on a connection if there is a seam.
fn top<O: Observer, S, B>(
    case: &Case,
    clock: &ManualClock,
    layer: LifecycleLayer<O>,
    service: S,
) -> (Stack, Option<Box<dyn Any>>)
where
    S: Service<Request<RequestBody<MockBody>>, Response = Response<B>, Error = BoxError>
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + 'static,
{
    let layer = layer.with_clock(clock.clone());
    let erase = |response: Response<ResponseBody<B>>| {
        response.map(|body| body.map_err(Into::into).boxed_unsync())
    };
    #[cfg(feature = "conn")]
    if case.seam {
        let (io, service) = layer.connection(tokio::io::duplex(1).0, service);
        return (BoxService::new(service.map_response(erase)), Some(Box::new(io)));
    }
    let _ = case;
    (BoxService::new(layer.layer(service).map_response(erase)), None)
}

fn stack(
    case: &Case,
    inflight: &InFlight,
    clock: &ManualClock,
) -> (Stack, Handler, impl Sized + use<>) {
    let (give, bodies) = mpsc::channel();
    let (answer, take) = oneshot::channel();
    let take = Arc::new(Mutex::new(Some(take)));
    let (inner, outer) = (Recorder::new(), Recorder::new());
    let bottom = service_fn(move |request: Request<AnyBody>| {
        give.send(request.into_body()).unwrap();
        let take = take.lock().unwrap().take().unwrap();
        async { take.await.unwrap() }
    });
    let boxed = |request: Request<_>| request.map(UnsyncBoxBody::new);
    let bare = bottom.clone().map_request(boxed);
    let flight = inflight.clone();
    let (stack, io) = match case.beside {
        Beside::Nobody => top(case, clock, LifecycleLayer::new(flight), bare),
        Beside::Handles => top(case, clock, LifecycleLayer::new(flight).with_handle(), bare),
        Beside::Before => top(case, clock, LifecycleLayer::new((outer, flight)), bare),
        Beside::After => top(case, clock, LifecycleLayer::new((flight, outer)), bare),
        Beside::AfterWithHandles => {
            top(case, clock, LifecycleLayer::new((flight, outer)).with_handle(), bare)
        }
        Beside::Outer => {
            let inner = LifecycleLayer::new(flight).with_clock(clock.clone());
            let inner = inner
                .layer(bottom.map_request(|request: Request<_>| request.map(UnsyncBoxBody::new)));
            top(case, clock, LifecycleLayer::new(outer).with_handle(), inner)
        }
        Beside::Inner => {
            let inner = LifecycleLayer::new(inner)
                .layer(bottom.map_request(|request: Request<_>| request.map(UnsyncBoxBody::new)));
            top(case, clock, LifecycleLayer::new(flight).with_handle(), inner)
        }
    };
    (stack, Handler { bodies, answer: Some(answer) }, io)
}

fn play(case: &Case) {
    let (inflight, clock) = (InFlight::new(), ManualClock::new());
    let (mut stack, mut handler, io) = stack(case, &inflight, &clock);
    let mut request = Request::new(scripted(&case.request));
    *request.version_mut() = case.version;
    let mut play = Play {
        inflight,
        clock,
        seam: case.seam,
        version: case.version,
        now: Duration::ZERO,
        request: Side::default(),
        response: None,
        answered: None,
        closed: None,
    };
    if request.body().is_end_stream() {
        play.request.end(Duration::ZERO);
    }
    let mut future = Some(Box::pin(stack.call(request)));
    let mut asked = Some(handler.bodies.try_recv().unwrap());
    let mut answered: Option<AnyBody> = None;
    play.look();
    let ops = case.ops.iter().copied();
    for op in ops.chain([Op::DropFuture, Op::DropResponse]) {
        let now = play.now;
        match op {
            Op::Advance(nanos) => play.advance(Duration::from_nanos(nanos)),
            Op::PollRequest => {
                if let Some(body) = &mut asked {
                    let _ = play.request.polled(body, now);
                }
            }
            Op::DropRequest => {
                asked = None;
                play.request.end(now);
            }
            Op::Respond | Op::Fail => {
                let Some(mut call) = future.take() else { continue };
                let body = scripted(&case.response);
                let empty = body.is_end_stream();
                let answer = match op {
                    Op::Respond => Ok(Response::new(body)),
                    _ => Err("fails".into()),
                };
                assert!(handler.answer.take().unwrap().send(answer).is_ok());
                let Poll::Ready(response) = poll_once(call.as_mut()) else { panic!("an answer") };
                match response {
                    Err(_) => play.over(false),
                    Ok(response) => {
                        answered = Some(response.into_body());
                        play.answered = Some(now);
                        play.response = Some(Side::default());
                        if empty {
                            play.response.as_mut().unwrap().end(now);
                            play.over(true);
                        }
                    }
                }
            }
            Op::DropFuture => {
                if future.take().is_some() {
                    if play.is_doubtful() {
                        return;
                    }
                    play.over(false);
                }
            }
            Op::PollResponse => {
                let (Some(body), Some(side)) = (&mut answered, &mut play.response) else {
                    continue;
                };
                let was_over = side.over;
                let failed = side.polled(body, now);
                if !was_over && side.over {
                    play.over(!failed);
                }
            }
            Op::DropResponse => {
                if answered.take().is_some() && !play.response.as_ref().unwrap().over {
                    if play.is_doubtful() {
                        return;
                    }
                    play.response.as_mut().unwrap().end(now);
                    play.over(false);
                }
            }
        }
        play.look();
    }
    // What waits for a flush is settled with the connection.
    drop(io);
    play.close();
    play.look();
    play.look_back();
}

#[test]
fn a_snapshot_shows_at_each_step_what_a_model_of_it_knows() {
    let cases = env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(ProptestConfig { cases: cases.unwrap_or(1_500), ..config })
        .run(&self::cases(), |case| {
            play(&case);
            Ok(())
        })
        .unwrap();
}
