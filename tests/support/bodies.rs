//! Bodies that follow a script and tell lies about it, panics that print nothing, and what it takes to poll by hand.

use std::{
    any::Any,
    error::Error,
    fmt,
    future::Future,
    io,
    marker::{PhantomData, PhantomPinned},
    panic::{self, AssertUnwindSafe},
    pin::{Pin, pin},
    sync::{
        Arc, Once,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pub type BoxError = Box<dyn Error + Send + Sync>;

/// What a body does when it is polled once more. After the script it is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes, 64 at most.
    Data(usize),
    Trailers,
    /// Not ready once; the waker is called.
    Pending,
    /// Not ready, for ever; the script goes no further.
    Never,
    Error,
    /// `None`. The script may go on after it.
    End,
    Panic,
}

/// What a body says when asked for `is_end_stream`. Nothing depends on how often it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndClaim {
    /// `true` when nothing but the end is left of the script.
    Honest,
    Never,
    Always,
    /// `true` after every second poll.
    Flips,
    Panics,
}

/// What a body says when asked for its `size_hint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintClaim {
    /// What the script has left until the first step that is neither data nor pending.
    Honest,
    Unknown,
    Exact(u64),
    AtLeast(u64),
    /// Exactly the number of polls so far.
    Grows,
    Panics,
}

/// A body that follows a script.
pub struct MockBody<E = BoxError> {
    steps: Arc<[Step]>,
    at: usize,
    polls: u64,
    /// `None`, or an error, was returned before.
    over: bool,
    end: EndClaim,
    hint: HintClaim,
    probe: Option<Arc<Probe>>,
    error: PhantomData<fn() -> E>,
}

/// What a body was put through, seen from outside.
#[derive(Debug, Default)]
pub struct Probe {
    pub polls: AtomicU64,
    /// Polls after the first `None` or error.
    pub polls_after_end: AtomicU64,
    pub dropped: AtomicBool,
}

/// An error of which the layer knows nothing, not even that it is one.
#[derive(Debug)]
pub struct NotAnError;

/// An error like any other.
#[derive(Debug)]
pub struct Broken;

/// An error that a body can make.
pub trait Fault: 'static {
    fn fault() -> Self;
}

pin_project! {
    /// Makes a body `!Unpin`.
    pub struct Pinned<B> {
        #[pin]
        pub inner: B,
        #[pin]
        pin: PhantomPinned,
    }
}

// ===== impl MockBody =====

impl<E> MockBody<E> {
    /// Honest until told to lie.
    pub fn new(steps: &[Step]) -> Self {
        Self {
            steps: steps.into(),
            at: 0,
            polls: 0,
            over: false,
            end: EndClaim::Honest,
            hint: HintClaim::Honest,
            probe: None,
            error: PhantomData,
        }
    }

    pub fn end(mut self, end: EndClaim) -> Self {
        self.end = end;
        self
    }

    pub fn hint(mut self, hint: HintClaim) -> Self {
        self.hint = hint;
        self
    }

    /// As a stream is: neither its length nor its end is known before it comes.
    pub fn streamed(self) -> Self {
        self.end(EndClaim::Never).hint(HintClaim::Unknown)
    }

    pub fn probe(&mut self) -> Arc<Probe> {
        Arc::clone(self.probe.get_or_insert_default())
    }

    /// The same body once more, without the probe.
    pub fn shadow(&self) -> Self {
        Self { steps: Arc::clone(&self.steps), probe: None, ..*self }
    }

    /// Goes one step on; what `poll_frame` does with it is not done.
    pub fn step(&mut self) -> Step {
        if let Some(probe) = &self.probe {
            probe.polls.fetch_add(1, Ordering::Relaxed);
            if self.over {
                probe.polls_after_end.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.polls += 1;
        let step = self.steps.get(self.at).copied().unwrap_or(Step::End);
        if step != Step::Never {
            self.at += 1;
        }
        self.over |= matches!(step, Step::End | Step::Error);
        step
    }

    fn left(&self) -> &[Step] {
        self.steps.get(self.at..).unwrap_or_default()
    }
}

impl<E: Fault> Body for MockBody<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        match self.step() {
            Step::Data(bytes) => Poll::Ready(Some(Ok(Frame::data(data(bytes))))),
            Step::Trailers => Poll::Ready(Some(Ok(Frame::trailers(trailers())))),
            Step::Pending => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Step::Never => Poll::Pending,
            Step::Error => Poll::Ready(Some(Err(E::fault()))),
            Step::End => Poll::Ready(None),
            Step::Panic => boom(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.end {
            EndClaim::Honest => self.left().first().is_none_or(|step| *step == Step::End),
            EndClaim::Never => false,
            EndClaim::Always => true,
            EndClaim::Flips => self.polls % 2 == 1,
            EndClaim::Panics => boom(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.hint {
            HintClaim::Honest => {
                let left = self.left().iter().map_while(|step| match step {
                    Step::Data(bytes) => Some(*bytes as u64),
                    Step::Pending => Some(0),
                    _ => None,
                });
                SizeHint::with_exact(left.sum())
            }
            HintClaim::Unknown => SizeHint::default(),
            HintClaim::Exact(bytes) => SizeHint::with_exact(bytes),
            HintClaim::AtLeast(bytes) => {
                let mut hint = SizeHint::new();
                hint.set_lower(bytes);
                hint
            }
            HintClaim::Grows => SizeHint::with_exact(self.polls),
            HintClaim::Panics => boom(),
        }
    }
}

impl<E> Drop for MockBody<E> {
    fn drop(&mut self) {
        if let Some(probe) = &self.probe {
            probe.dropped.store(true, Ordering::Relaxed);
        }
    }
}

impl<E> fmt::Debug for MockBody<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockBody")
            .field("steps", &self.steps)
            .field("end", &self.end)
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}

/// So many bytes, without an allocation.
pub fn data(bytes: usize) -> Bytes {
    static DATA: [u8; 64] = [b'x'; 64];
    Bytes::from_static(&DATA[..bytes])
}

/// `checksum: 1`.
pub fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(
        http::HeaderName::from_static("checksum"),
        HeaderValue::from_static("1"),
    )])
}

// ===== impl Fault =====

impl Fault for BoxError {
    fn fault() -> Self {
        Box::new(Broken)
    }
}

impl Fault for Broken {
    fn fault() -> Self {
        Self
    }
}

impl Fault for NotAnError {
    fn fault() -> Self {
        Self
    }
}

impl Fault for io::Error {
    fn fault() -> Self {
        Self::other("broken")
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl Error for Broken {}

// ===== impl Pinned =====

impl<B> Pinned<B> {
    pub fn new(inner: B) -> Self {
        Self { inner, pin: PhantomPinned }
    }
}

impl<B: Body> Body for Pinned<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

// ===== panics and polls =====

/// What [`boom`] throws.
#[derive(Debug)]
pub struct Scripted;

/// Panics on purpose, and prints nothing once [`quiet`] was called.
pub fn boom() -> ! {
    panic::panic_any(Scripted)
}

/// Lets panics on purpose go unprinted. All others print as ever, so that a failing test says why.
pub fn quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Scripted>() {
                print(info);
            }
        }));
    });
}

/// Runs `user` and catches a panic on purpose; any other goes on.
pub fn catch<T>(user: impl FnOnce() -> T) -> Result<T, Scripted> {
    panic::catch_unwind(AssertUnwindSafe(user)).map_err(
        |payload: Box<dyn Any + Send>| match payload.downcast::<Scripted>() {
            Ok(_) => Scripted,
            Err(other) => panic::resume_unwind(other),
        },
    )
}

/// Drops `value` while the thread unwinds, as what lives in a task that panics is dropped.
pub fn drop_unwinding<T>(value: T) {
    let unwound = catch(move || {
        let _held = value;
        boom()
    });
    assert!(unwound.is_err(), "a panic goes on after the drop");
}

/// Polls a future once.
pub fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What a future that is ready at the first poll returns.
pub fn now<F: Future>(future: F) -> F::Output {
    match poll_once(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("not ready at once"),
    }
}

/// What a poll of a body returns.
pub type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

/// Polls a body once.
pub fn poll_body<B: Body + Unpin>(body: &mut B) -> Polled<B> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// Reads a body to its `None` and returns its bytes. A body that is not ready is polled again, a hundred times at most.
pub fn read<B: Body<Data = Bytes>>(body: B) -> Result<usize, B::Error> {
    let mut body = pin!(body);
    let (mut bytes, mut pending) = (0, 0);
    loop {
        match body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(None) => return Ok(bytes),
            Poll::Ready(Some(frame)) => bytes += frame?.data_ref().map_or(0, Bytes::len),
            Poll::Pending if pending < 100 => pending += 1,
            Poll::Pending => panic!("never ready"),
        }
    }
}
