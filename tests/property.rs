//! Any interleaving of polls, errors, drops and unwinds on both sides of an exchange, against a model that counts what
//! really passed and knows from the contract alone when a side is over.
//!
//! `PROPTEST_CASES` says how many cases, 100,000 unless told.

mod support;

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use http::{Method, Request, Response, StatusCode, Version, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use proptest::{
    collection::vec,
    prelude::{ProptestConfig, Strategy, any},
    test_runner::TestRunner,
};
use tower_layer::Layer;
use tower_lifecycle::{
    EventKind, Initiator, Interest, LifecycleLayer, Reason, RequestBody, RequestClose,
    ResponseBody, ResponseFuture,
    testing::{MockBody, Recorder, Recording, Step},
};
use tower_service::Service;

use support::{
    choices::{Choices, Spec},
    panics::{boom, catch, drop_unwinding, quiet},
    polls::NotAnError,
};

type Mock = MockBody<NotAnError>;

// ===== the case =====

/// What the server, or a client, does to what it holds.
#[derive(Clone, Copy, Debug)]
enum Op {
    PollFuture,
    DropFuture,
    UnwindFuture,
    PollResponse,
    DropResponse,
    UnwindResponse,
    PollTask,
    DropTask,
    UnwindTask,
}

/// What the handler does next.
#[derive(Clone, Copy, Debug)]
enum Act {
    Poll,
    /// Polls, and survives a panic of the body.
    PollCaught,
    Drop,
    /// Moves the request body into a task, which outlives the handler.
    Spawn,
    /// Moves the request body into the response body.
    Attach,
    Pending,
    Panic,
    Fail,
    Respond,
}

#[derive(Clone, Debug)]
struct Case {
    client: bool,
    version: Version,
    method: Method,
    status: StatusCode,
    request: Spec,
    response: Spec,
    panics_in_call: bool,
    handler: Vec<Act>,
    ops: Vec<Op>,
}

impl Choices<'_> {
    fn case(bytes: &[u8]) -> Case {
        let mut choices = Choices(bytes.iter());
        Case {
            client: choices.below(4) == 3,
            version: choices.one_of(&[
                Version::HTTP_11,
                Version::HTTP_11,
                Version::HTTP_2,
                Version::HTTP_2,
                Version::HTTP_10,
            ]),
            method: choices.one_of(&[
                Method::POST,
                Method::GET,
                Method::POST,
                Method::GET,
                Method::HEAD,
                Method::CONNECT,
            ]),
            status: StatusCode::from_u16(choices.one_of(&[200, 200, 200, 200, 500, 204, 304, 101]))
                .expect("a status"),
            request: choices.spec(),
            response: choices.spec(),
            panics_in_call: choices.below(32) == 31,
            handler: (0..choices.below(6))
                .map(|_| match choices.below(20) {
                    0..7 => Act::Poll,
                    7..9 => Act::PollCaught,
                    9 => Act::Drop,
                    10..13 => Act::Spawn,
                    13 => Act::Attach,
                    14..16 => Act::Pending,
                    16 => Act::Panic,
                    17 => Act::Fail,
                    _ => Act::Respond,
                })
                .collect(),
            ops: (0..choices.below(12))
                .map(|_| match choices.below(20) {
                    0..5 => Op::PollFuture,
                    5..12 => Op::PollResponse,
                    12..15 => Op::PollTask,
                    15 => Op::DropFuture,
                    16 => Op::DropResponse,
                    17 => Op::DropTask,
                    18 => Op::UnwindFuture,
                    _ => choices.one_of(&[Op::UnwindResponse, Op::UnwindTask]),
                })
                .collect(),
        }
    }
}

fn made(spec: &Spec) -> Mock {
    MockBody::new(&spec.steps).fails_with(|| NotAnError).end(spec.end).hint(spec.hint)
}

// ===== the model =====

/// One direction, as the contract has it.
#[expect(clippy::struct_excessive_bools, reason = "a model is plain, not small")]
#[derive(Debug, Default)]
struct Side {
    bytes: u64,
    frames: u64,
    /// What may have been counted as well, where the contract leaves it open: past a lying length.
    slack: (u64, u64),
    declared: Option<u64>,
    polled: bool,
    /// Nothing more counts.
    over: bool,
    /// Over and complete.
    ended: bool,
    /// The contract does not say whether it is complete.
    open_to_doubt: bool,
}

#[expect(clippy::struct_excessive_bools, reason = "a model is plain, not small")]
#[derive(Debug, Default)]
struct Model {
    client: bool,
    request: Side,
    response: Side,
    /// The bytes end the response: HTTP/1, or the client role.
    length_ends: bool,
    /// A server on HTTP/2 with a status or method that allows no body, but may send one.
    no_body: bool,
    upgraded: bool,
    closed: bool,
    /// The first failure.
    failure: Option<Reason>,
    panicked: bool,
    /// A panic passed of which the contract does not say whether it is this exchange's.
    maybe_panicked: bool,
    /// The contract does not decide between this failure and what else happened.
    maybe_failed: bool,
    /// Headers and hints contradict each other: what is left to hold is the grammar.
    vague: bool,
}

/// What a poll of a body came to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    Data(usize),
    Trailers,
    Pending,
    Error,
    End,
    Panic,
}

impl Side {
    fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.frames += 1;
    }

    fn at_length(&self) -> bool {
        self.declared.is_some_and(|declared| self.bytes == declared)
    }

    fn beyond(&self) -> bool {
        self.declared.is_some_and(|declared| self.bytes > declared)
    }

    fn short(&self) -> bool {
        self.declared.is_some_and(|declared| self.bytes < declared)
    }

    /// The body says that it is complete.
    fn finish(&mut self) -> Option<Reason> {
        self.over = true;
        self.ended = !self.short();
        self.short().then_some(Reason::LengthMismatch)
    }
}

impl Model {
    fn fail(&mut self, reason: Reason) {
        self.failure.get_or_insert(reason);
    }

    fn fail_if(&mut self, failed: Option<Reason>) {
        if let Some(reason) = failed {
            self.fail(reason);
        }
    }

    fn close(&mut self) {
        self.closed = true;
        // Whether a body goes down with the exchange at its very length, or is left behind, is a matter of order.
        self.request.open_to_doubt |= !self.request.over && self.request.at_length();
        self.request.over = true;
    }

    fn begin(&mut self, body: &Mock, content_length: Option<u64>) {
        let exact = body.size_hint().exact();
        self.vague |= contradict(exact, content_length);
        let side = &mut self.request;
        side.declared = exact.or(content_length);
        if body.is_end_stream() {
            side.over = true;
            side.ended = true;
            // Short of a length it declares: the end that was claimed wins or the length does.
            side.open_to_doubt = side.short();
        }
    }

    fn request_polled(&mut self, seen: Seen, end: bool) {
        if self.request.over {
            return;
        }
        let side = &mut self.request;
        side.polled = true;
        let past = side.frames > 0 && (side.at_length() || side.beyond());
        match seen {
            Seen::Pending => {}
            // At the declared length a client's body may be over already; beyond it, it may have failed.
            Seen::Data(bytes) if past || side.declared == Some(0) => {
                side.slack.0 += bytes as u64;
                side.slack.1 += 1;
                side.open_to_doubt = true;
                self.maybe_failed = true;
            }
            Seen::Data(bytes) => {
                side.count(bytes);
                if side.beyond() {
                    side.open_to_doubt = true;
                    self.maybe_failed = true;
                } else if end {
                    let failed = side.finish();
                    self.fail_if(failed);
                }
            }
            Seen::Trailers | Seen::End => {
                let failed = side.finish();
                self.fail_if(failed);
            }
            Seen::Error if past || side.declared == Some(0) => {
                side.over = true;
                side.open_to_doubt = true;
                self.maybe_failed = true;
            }
            Seen::Error => {
                side.over = true;
                self.fail(Reason::RequestFailed);
            }
            Seen::Panic => {
                side.over = true;
                side.open_to_doubt |= side.at_length();
                self.maybe_panicked = true;
            }
        }
    }

    fn request_dropped(&mut self) {
        let side = &mut self.request;
        if !side.over {
            side.over = true;
            side.ended = side.at_length();
            side.open_to_doubt |= side.declared == Some(0);
        }
    }

    fn future_over(&mut self, reason: Reason) {
        self.fail(reason);
        self.close();
    }

    fn dropped(&self) -> Reason {
        if self.client { Reason::Cancelled } else { Reason::Unknown }
    }

    fn head(&mut self, case: &Case, body: &Mock) {
        let http1 = case.version < Version::HTTP_2;
        let status = case.status;
        let upgraded = status == StatusCode::SWITCHING_PROTOCOLS
            || case.method == Method::CONNECT && status.is_success();
        let no_body = case.method == Method::HEAD || matches!(status.as_u16(), 101 | 204 | 304);
        let exact = body.size_hint().exact();
        self.vague |= contradict(exact, case.response.content_length);
        let side = &mut self.response;
        side.declared = exact.or(case.response.content_length);
        self.length_ends = http1 || self.client;
        self.no_body = no_body && !self.length_ends;
        if upgraded {
            side.over = true;
            side.ended = true;
            self.upgraded = true;
        } else if no_body && self.length_ends {
            side.over = true;
            side.ended = true;
        } else if body.is_end_stream() || exact == Some(0) {
            side.over = true;
            side.ended = true;
            if side.short() && !no_body {
                // An end and a length claimed by one and the same body; or a header that hyper mends on HTTP/1.
                self.vague |= exact.is_some() || http1;
                if !http1 {
                    side.ended = false;
                    self.fail(Reason::LengthMismatch);
                }
            }
        } else if self.no_body {
            side.declared = None;
        }
        if self.response.over {
            self.close();
        }
    }

    fn response_polled(&mut self, seen: Seen, end: bool, exact: Option<u64>) {
        let side = &mut self.response;
        if side.over {
            return;
        }
        side.polled = true;
        let mut failed = None;
        match seen {
            Seen::Pending => {}
            Seen::Data(bytes) => {
                side.count(bytes);
                // The length of what must not be there.
                if self.no_body && exact.is_some() {
                    side.open_to_doubt = true;
                    self.maybe_failed = true;
                }
                if self.length_ends && (side.at_length() || side.beyond()) {
                    // Longer than declared: the peer gets what was declared, or the excess counts as a failure.
                    if side.beyond() {
                        side.open_to_doubt = true;
                        self.maybe_failed = true;
                    }
                    side.over = true;
                    side.ended = true;
                } else if end {
                    failed = side.finish();
                    if side.beyond() {
                        failed = Some(Reason::LengthMismatch);
                        side.ended = false;
                    }
                }
            }
            Seen::Trailers | Seen::End => {
                failed = side.finish();
                if side.beyond() {
                    failed = Some(Reason::LengthMismatch);
                    side.ended = false;
                }
            }
            Seen::Error => {
                side.over = true;
                failed = Some(Reason::ResponseFailed);
            }
            Seen::Panic => {
                side.over = true;
                self.panicked = true;
            }
        }
        self.fail_if(failed);
        // A body that panicked is still there, until it is dropped.
        if self.response.over && !self.panicked {
            self.close();
        }
    }

    fn response_dropped(&mut self, unwinding: bool) {
        let side = &mut self.response;
        if side.over {
            self.close();
            return;
        }
        side.over = true;
        if self.no_body && !side.polled || side.frames > 0 && side.at_length() {
            side.ended = true;
        } else {
            if side.beyond() {
                side.open_to_doubt = true;
                self.maybe_failed = true;
            }
            let reason = self.dropped();
            self.fail(reason);
            self.maybe_panicked |= unwinding;
        }
        self.close();
    }
}

fn contradict(exact: Option<u64>, content_length: Option<u64>) -> bool {
    exact.zip(content_length).is_some_and(|(exact, length)| exact != length)
}

// ===== what is held =====

/// A wrapped body beside the shadow of what is in it.
struct Held<B> {
    body: B,
    shadow: Mock,
    polls: u64,
    /// It returned `None` or an error.
    over: bool,
    panicked: bool,
}

impl<B: Body<Error = NotAnError> + Unpin> Held<B> {
    fn new(body: B, shadow: Mock) -> Self {
        Self { body, shadow, polls: 0, over: false, panicked: false }
    }

    /// Polls once and compares. `None` when a panic passed before: nobody may poll such a body.
    fn poll(&mut self) -> Option<Seen> {
        if self.panicked {
            return None;
        }
        self.polls += 1;
        let seen = match catch(|| {
            Pin::new(&mut self.body).poll_frame(&mut Context::from_waker(Waker::noop()))
        }) {
            Ok(Poll::Pending) => Seen::Pending,
            Ok(Poll::Ready(None)) => Seen::End,
            Ok(Poll::Ready(Some(Err(NotAnError)))) => Seen::Error,
            Ok(Poll::Ready(Some(Ok(frame)))) => match frame.into_data() {
                Ok(data) => Seen::Data(bytes::Buf::remaining(&data)),
                Err(_) => Seen::Trailers,
            },
            Err(_) => Seen::Panic,
        };
        let expected = match self.shadow.step() {
            Step::Data(bytes) => Seen::Data(bytes),
            Step::Trailers => Seen::Trailers,
            Step::Pending | Step::Never => Seen::Pending,
            Step::Error => Seen::Error,
            Step::End => Seen::End,
            Step::Panic => Seen::Panic,
        };
        // Also past the end: it is not for us to mend a body that goes on.
        assert_eq!(seen, expected, "frames pass unchanged");
        self.over |= matches!(seen, Seen::End | Seen::Error);
        self.panicked = seen == Seen::Panic;
        self.assert_hints();
        Some(seen)
    }

    fn assert_hints(&self) {
        if !self.panicked {
            assert_eq!(self.body.is_end_stream(), self.shadow.is_end_stream(), "end unchanged");
            assert_eq!(self.body.size_hint().lower(), self.shadow.size_hint().lower());
            assert_eq!(self.body.size_hint().upper(), self.shadow.size_hint().upper());
        }
    }
}

/// The request body, wherever it is; its drop is known to the model.
struct Upload {
    held: Held<RequestBody<Mock>>,
    world: Rc<World>,
}

struct World {
    model: RefCell<Model>,
    /// Of the request's wrapper and the response's.
    polls: [Cell<u64>; 2],
    task: RefCell<Option<Upload>>,
}

impl Upload {
    fn poll(&mut self) -> Option<Seen> {
        let seen = self.held.poll()?;
        let end = seen != Seen::Panic && self.held.shadow.is_end_stream();
        self.world.model.borrow_mut().request_polled(seen, end);
        Some(seen)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.world.polls[0].set(self.held.polls);
        // A failed assertion unwinds from anywhere, also while the model is borrowed.
        if let Ok(mut model) = self.world.model.try_borrow_mut() {
            model.request_dropped();
        }
    }
}

/// A response body that may hold the request's.
struct Reply {
    mock: Mock,
    #[expect(dead_code, reason = "held, and dropped with us")]
    upload: Option<Upload>,
}

impl Body for Reply {
    type Data = bytes::Bytes;
    type Error = NotAnError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, NotAnError>>> {
        Pin::new(&mut self.mock).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.mock.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.mock.size_hint()
    }
}

// ===== the handler =====

struct Handler {
    world: Rc<World>,
    case: Rc<Case>,
    shadow: Mock,
    reply: Option<Mock>,
}

struct Handling {
    acts: std::vec::IntoIter<Act>,
    upload: Option<Upload>,
    attached: Option<Upload>,
    reply: Option<Mock>,
    world: Rc<World>,
    case: Rc<Case>,
}

impl Service<Request<RequestBody<Mock>>> for Handler {
    type Response = Response<Reply>;
    type Error = NotAnError;
    type Future = Handling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NotAnError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Mock>>) -> Handling {
        let held = Held::new(request.into_body(), self.shadow.clone());
        held.assert_hints();
        let upload = Upload { held, world: Rc::clone(&self.world) };
        if self.case.panics_in_call {
            boom();
        }
        Handling {
            acts: self.case.handler.clone().into_iter(),
            upload: Some(upload),
            attached: None,
            reply: self.reply.take(),
            world: Rc::clone(&self.world),
            case: Rc::clone(&self.case),
        }
    }
}

impl Future for Handling {
    type Output = Result<Response<Reply>, NotAnError>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.acts.next().unwrap_or(Act::Respond) {
                Act::Poll => {
                    let seen = self.upload.as_mut().and_then(Upload::poll);
                    if seen == Some(Seen::Panic) {
                        boom();
                    }
                    if seen == Some(Seen::Pending) {
                        return Poll::Pending;
                    }
                }
                Act::PollCaught => {
                    let _ = self.upload.as_mut().and_then(Upload::poll);
                }
                Act::Drop => drop(self.upload.take()),
                Act::Spawn => {
                    if let Some(upload) = self.upload.take() {
                        self.world.task.replace(Some(upload));
                    }
                }
                Act::Attach => self.attached = self.upload.take(),
                Act::Pending => return Poll::Pending,
                Act::Panic => boom(),
                Act::Fail => return Poll::Ready(Err(NotAnError)),
                Act::Respond => {
                    let mock = self.reply.take().expect("one response");
                    let mut response = Response::new(Reply { mock, upload: self.attached.take() });
                    *response.status_mut() = self.case.status;
                    if let Some(bytes) = self.case.response.content_length {
                        response.headers_mut().insert(CONTENT_LENGTH, bytes.into());
                    }
                    return Poll::Ready(Ok(response));
                }
            }
        }
    }
}

// ===== one run =====

/// Everything outside the layer.
struct Outside {
    world: Rc<World>,
    case: Rc<Case>,
    future: Option<Pin<Box<ResponseFuture<Handling>>>>,
    response: Option<Held<ResponseBody<Reply>>>,
    reply: Mock,
}

impl Outside {
    fn step(&mut self, op: Op) {
        match op {
            Op::PollFuture => self.poll_future(),
            Op::DropFuture => self.drop_future(false),
            Op::UnwindFuture => self.drop_future(true),
            Op::PollResponse => {
                let Some(held) = &mut self.response else { return };
                let exact = held.shadow.size_hint().exact();
                if let Some(seen) = held.poll() {
                    let end = seen != Seen::Panic && held.shadow.is_end_stream();
                    self.world.model.borrow_mut().response_polled(seen, end, exact);
                }
            }
            Op::DropResponse => self.drop_response(false),
            Op::UnwindResponse => self.drop_response(true),
            Op::PollTask => {
                let upload = self.world.task.borrow_mut().take();
                if let Some(mut upload) = upload {
                    let _ = upload.poll();
                    self.world.task.replace(Some(upload));
                }
            }
            Op::DropTask => drop(self.world.task.borrow_mut().take()),
            Op::UnwindTask => {
                let upload = self.world.task.borrow_mut().take();
                if let Some(upload) = upload {
                    self.world.model.borrow_mut().maybe_panicked |= !upload.held.over;
                    drop_unwinding(upload);
                }
            }
        }
    }

    fn poll_future(&mut self) {
        let Some(mut future) = self.future.take() else { return };
        match catch(|| future.as_mut().poll(&mut Context::from_waker(Waker::noop()))) {
            Ok(Poll::Pending) => self.future = Some(future),
            Ok(Poll::Ready(Ok(response))) => {
                self.world.model.borrow_mut().head(&self.case, &self.reply);
                let held = Held::new(response.into_body(), self.reply.clone());
                held.assert_hints();
                self.response = Some(held);
            }
            Ok(Poll::Ready(Err(NotAnError))) => {
                drop(future);
                self.world.model.borrow_mut().future_over(Reason::ServiceFailed);
            }
            Err(_) => {
                drop(future);
                let mut model = self.world.model.borrow_mut();
                model.panicked = true;
                model.future_over(Reason::Panicked);
            }
        }
    }

    fn drop_future(&mut self, unwinding: bool) {
        let Some(future) = self.future.take() else { return };
        if unwinding {
            drop_unwinding(future);
        } else {
            drop(future);
        }
        let mut model = self.world.model.borrow_mut();
        model.maybe_panicked |= unwinding;
        let reason = model.dropped();
        model.future_over(reason);
    }

    fn drop_response(&mut self, unwinding: bool) {
        let Some(held) = self.response.take() else { return };
        self.world.polls[1].set(held.polls);
        if unwinding {
            drop_unwinding(held);
        } else {
            drop(held);
        }
        self.world.model.borrow_mut().response_dropped(unwinding);
    }
}

fn run(case: &Case, interest: Interest) {
    let case = Rc::new(case.clone());
    let recorder = Recorder::with_interest(interest);
    let mut layer = LifecycleLayer::new(recorder.clone());
    if case.client {
        layer = layer.client();
    }
    let world = Rc::new(World {
        model: RefCell::new(Model { client: case.client, ..Model::default() }),
        polls: Default::default(),
        task: RefCell::new(None),
    });
    let mut upload = made(&case.request);
    let mut reply = made(&case.response);
    let (shadow, reply_shadow) = (upload.clone(), reply.clone());
    let probes = [upload.probe(), reply.probe()];
    let mut service = layer.layer(Handler {
        world: Rc::clone(&world),
        case: Rc::clone(&case),
        shadow: shadow.clone(),
        reply: Some(reply),
    });

    let mut request = Request::new(upload);
    *request.version_mut() = case.version;
    *request.method_mut() = case.method.clone();
    if let Some(bytes) = case.request.content_length {
        request.headers_mut().insert(CONTENT_LENGTH, bytes.into());
    }
    world.model.borrow_mut().begin(&shadow, case.request.content_length);
    let mut outside = Outside {
        world: Rc::clone(&world),
        case: Rc::clone(&case),
        future: None,
        response: None,
        reply: reply_shadow,
    };
    if let Ok(future) = catch(|| service.call(request)) {
        outside.future = Some(Box::pin(future));
    } else {
        let mut model = world.model.borrow_mut();
        model.panicked = true;
        model.future_over(Reason::Panicked);
    }
    for op in &case.ops {
        outside.step(*op);
    }
    for op in [Op::PollFuture, Op::DropFuture, Op::DropResponse] {
        outside.step(op);
    }
    drop(service);
    // The close does not wait for the task.
    assert!(world.model.borrow().closed);
    let exchanges = recorder.exchanges();
    assert_eq!(exchanges.len(), 1);
    assert!(exchanges[0].dropped, "open: {exchanges:?}");
    check(&exchanges[0], interest, &world.model.borrow());
    outside.step(Op::PollTask);
    outside.step(Op::DropTask);
    // The recorder only appends.
    assert_eq!(
        recorder.exchanges()[0].hooks.len(),
        exchanges[0].hooks.len(),
        "nothing after the close"
    );
    assert_eq!(layer.observer_panics(), 0);
    for (probe, polls) in probes.iter().zip([&world.polls[0], &world.polls[1]]) {
        let reached = probe.polls();
        assert_eq!(reached, polls.get(), "nobody polls but who is asked to");
        assert!(probe.is_dropped(), "nothing holds a body for ever");
    }
}

/// The interest that asks for a hook.
fn wanted(hook: &EventKind) -> Interest {
    match hook {
        EventKind::Begin { .. } => Interest::NONE,
        EventKind::RequestData(_) => Interest::REQUEST_DATA,
        EventKind::RequestEnd(_) => Interest::REQUEST_END,
        EventKind::RequestError(_) => Interest::REQUEST_ERROR,
        EventKind::RequestClose(_) => Interest::REQUEST_CLOSE,
        EventKind::Response(_) => Interest::RESPONSE,
        EventKind::ResponseData(_) => Interest::RESPONSE_DATA,
        EventKind::ResponseEnd(_) => Interest::RESPONSE_END,
        EventKind::ResponseError(_) => Interest::RESPONSE_ERROR,
        EventKind::Finish(_) => Interest::FINISH,
        EventKind::Close(_) => Interest::CLOSE,
        other => panic!("no interest is known to ask for {other}"),
    }
}

fn check(exchange: &Recording, interest: Interest, model: &Model) {
    if interest == Interest::ALL {
        exchange.assert_grammar();
    }
    assert!(exchange.hooks.iter().all(|hook| interest.contains(wanted(hook))), "{exchange:?}");
    let closes = exchange.hooks.iter().filter(|hook| matches!(hook, EventKind::Close(_))).count();
    assert_eq!(closes, 1, "{exchange:?}");
    assert!(matches!(exchange.hooks.last(), Some(EventKind::Close(_))), "{exchange:?}");
    let finished = exchange.hooks.iter().any(|hook| matches!(hook, EventKind::Finish(_)));
    assert!(!(model.client && finished), "a client has no finish: {exchange:?}");

    let summary = exchange.summary().expect("closed");
    assert_eq!(
        summary.request_close == RequestClose::Complete,
        summary.request.complete,
        "{exchange:?}"
    );
    if !interest.contains(Interest::MARKS) {
        assert_eq!(summary.marks.iter().count(), 0);
    }
    let close = summary.close;
    if close.reason == Reason::Cancelled {
        assert!(model.client && close.initiator == Initiator::Local, "{exchange:?}");
    }
    if model.vague {
        return;
    }

    for (side, transfer) in
        [(&model.request, &summary.request), (&model.response, &summary.response)]
    {
        let most = (side.bytes + side.slack.0, side.frames + side.slack.1);
        let passed = (transfer.bytes, transfer.frames);
        assert!(
            (side.bytes..=most.0).contains(&passed.0) && (side.frames..=most.1).contains(&passed.1),
            "the totals are those of the model: {model:?}\n{exchange:?}"
        );
        if !side.open_to_doubt {
            assert_eq!(transfer.complete, side.ended, "{model:?}\n{exchange:?}");
        }
    }
    let failed = model.panicked || model.failure.is_some();
    assert!(!(failed && close.reason.is_complete()), "a wrong complete: {model:?}\n{exchange:?}");
    let unclear = model.maybe_failed || model.maybe_panicked;
    let expected = match model {
        Model { panicked: true, .. } => Reason::Panicked,
        Model { failure: Some(reason), .. } => *reason,
        Model { upgraded: true, .. } => Reason::Upgraded,
        _ => Reason::Complete,
    };
    if model.panicked || !unclear {
        assert_eq!(close.reason, expected, "{model:?}\n{exchange:?}");
    }
}

/// So many hundredths of the cases.
fn any_interleaving(hundredths: u32, interest: Interest) {
    quiet();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: cases.unwrap_or(100_000_u32).saturating_mul(hundredths).div_ceil(100),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let strategy = vec(any::<u8>(), 0..96).prop_map(|bytes| Choices::case(&bytes));
    let outcome = TestRunner::new(config).run(&strategy, |case| {
        run(&case, interest);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn any_interleaving_keeps_the_grammar_and_tells_the_truth() {
    any_interleaving(50, Interest::ALL);
}

#[test]
fn any_interleaving_tells_the_same_truth_without_interest_in_data() {
    any_interleaving(25, Interest::ALL - Interest::DATA);
}

#[test]
fn any_interleaving_tells_the_same_truth_to_who_only_wants_the_close() {
    any_interleaving(25, Interest::CLOSE);
}
