//! A body that follows a script, and says of itself what it is told to.

use std::{
    error::Error,
    fmt,
    panic::panic_any,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};

use super::script::{EndClaim, HintClaim, PANIC, Step};

/// An error of any type, as tower and axum box theirs.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Body that follows a script, and tells the truth about it or not.
///
/// It allocates no data up to 64 bytes a frame, and is `Unpin`. A clone goes on from where the original is, with no
/// [probe](Self::probe).
///
/// ```
/// use tower_lifecycle::testing::{EndClaim, HintClaim, MockBody, Step};
///
/// // Two frames and trailers, of a length that is not known, and not ready in between.
/// let streamed = MockBody::new(&[Step::Data(5), Step::Pending, Step::Data(5), Step::Trailers]).streamed();
/// // Declares ten bytes, and has five.
/// let truncated = MockBody::new(&[Step::Data(5)]).hint(HintClaim::Exact(10));
/// // Claims to be at its end before the first frame.
/// let denies = MockBody::new(&[Step::Data(5)]).end(EndClaim::Always);
/// // Fails with an error of another type.
/// let fails = MockBody::fails_after(2).fails_with(|| std::io::Error::other("no more"));
/// ```
pub struct MockBody<E = BoxError> {
    steps: Arc<[Step]>,
    at: usize,
    polls: u64,
    /// `None`, or an error, was returned before.
    over: bool,
    end: EndClaim,
    hint: HintClaim,
    probe: Option<Probe>,
    fault: fn() -> E,
}

/// What a [`MockBody`] was put through, seen from outside. Clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Probe(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    polls: AtomicU64,
    polls_after_end: AtomicU64,
    dropped: AtomicBool,
}

/// The error of a [`MockBody`] that was not told to fail with another. Displayed as `broken`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

// ===== impl MockBody =====

impl MockBody {
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
            fault: || Box::new(Broken),
        }
    }

    /// At its end, and says so.
    pub fn empty() -> Self {
        Self::new(&[])
    }

    /// So many frames of five bytes, and a length that is not known: a stream that ends well.
    pub fn stream(frames: usize) -> Self {
        Self::frames_and(frames, &[])
    }

    /// The same, and trailers.
    pub fn with_trailers(frames: usize) -> Self {
        Self::frames_and(frames, &[Step::Trailers])
    }

    /// So many frames of five bytes, then an error.
    pub fn fails_after(frames: usize) -> Self {
        Self::frames_and(frames, &[Step::Error])
    }

    /// So many frames of five bytes, then never ready: what a client leaves while it waits.
    pub fn hangs_after(frames: usize) -> Self {
        Self::frames_and(frames, &[Step::Never])
    }

    /// So many frames of five bytes, then a panic.
    pub fn panics_after(frames: usize) -> Self {
        Self::frames_and(frames, &[Step::Panic])
    }

    /// So many frames of five bytes, then `None`, and then one frame more.
    pub fn overruns(frames: usize) -> Self {
        Self::frames_and(frames, &[Step::End, FRAME])
    }

    /// Frames of five bytes, and a hint of exactly `declared`, however many they are.
    pub fn declares(declared: u64, frames: usize) -> Self {
        Self::new(&vec![FRAME; frames]).end(EndClaim::Never).hint(HintClaim::Exact(declared))
    }

    fn frames_and(frames: usize, more: &[Step]) -> Self {
        Self::new(&[&vec![FRAME; frames][..], more].concat()).streamed()
    }
}

const FRAME: Step = Step::Data(5);

impl<E> MockBody<E> {
    /// Sets what it says of its end.
    pub fn end(mut self, end: EndClaim) -> Self {
        self.end = end;
        self
    }

    /// Sets what it says of its length.
    pub fn hint(mut self, hint: HintClaim) -> Self {
        self.hint = hint;
        self
    }

    /// As a stream is: neither its length nor its end is known before it comes.
    pub fn streamed(self) -> Self {
        self.end(EndClaim::Never).hint(HintClaim::Unknown)
    }

    /// Sets what [`Step::Error`] is. The copy that is returned keeps the [probe](Self::probe).
    pub fn fails_with<F>(mut self, fault: fn() -> F) -> MockBody<F> {
        MockBody {
            steps: Arc::clone(&self.steps),
            at: self.at,
            polls: self.polls,
            over: self.over,
            end: self.end,
            hint: self.hint,
            // Taken, so that our drop is not told.
            probe: self.probe.take(),
            fault,
        }
    }

    /// To see how often it is polled, and when it is dropped.
    pub fn probe(&mut self) -> Probe {
        self.probe.get_or_insert_default().clone()
    }

    /// Goes one step on, as a poll does, and says which it was: for a model of what polls another like it.
    pub fn step(&mut self) -> Step {
        if let Some(Probe(seen)) = &self.probe {
            seen.polls.fetch_add(1, Ordering::Relaxed);
            if self.over {
                seen.polls_after_end.fetch_add(1, Ordering::Relaxed);
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

impl<E> Body for MockBody<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        match self.step() {
            Step::Data(bytes) => Poll::Ready(Some(Ok(Frame::data(data(bytes))))),
            Step::Trailers => {
                let checksum = (HeaderName::from_static("checksum"), HeaderValue::from_static("1"));
                Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::from_iter([checksum])))))
            }
            Step::Pending => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Step::Never => Poll::Pending,
            Step::Error => Poll::Ready(Some(Err((self.fault)()))),
            Step::End => Poll::Ready(None),
            Step::Panic => panic_any(PANIC),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.end {
            EndClaim::Honest => self.left().first().is_none_or(|step| *step == Step::End),
            EndClaim::Never => false,
            EndClaim::Always => true,
            EndClaim::Flips => self.polls % 2 == 1,
            EndClaim::Panics => panic_any(PANIC),
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
            HintClaim::Panics => panic_any(PANIC),
        }
    }
}

/// Bytes of a data frame: without an allocation while they are few.
fn data(bytes: usize) -> Bytes {
    static FEW: [u8; 64] = [b'x'; 64];
    FEW.get(..bytes).map_or_else(|| vec![b'x'; bytes].into(), Bytes::from_static)
}

impl<E> Clone for MockBody<E> {
    fn clone(&self) -> Self {
        Self { steps: Arc::clone(&self.steps), probe: None, ..*self }
    }
}

impl<E> Drop for MockBody<E> {
    fn drop(&mut self) {
        if let Some(Probe(seen)) = &self.probe {
            seen.dropped.store(true, Ordering::Release);
        }
    }
}

impl<E> fmt::Debug for MockBody<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockBody")
            .field("left", &self.left())
            .field("end", &self.end)
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}

// ===== impl Probe =====

impl Probe {
    /// How often the body was polled.
    pub fn polls(&self) -> u64 {
        self.0.polls.load(Ordering::Relaxed)
    }

    /// How often after its first `None` or error.
    pub fn polls_after_end(&self) -> u64 {
        self.0.polls_after_end.load(Ordering::Relaxed)
    }

    /// Whether the body is gone.
    pub fn is_dropped(&self) -> bool {
        self.0.dropped.load(Ordering::Acquire)
    }
}

// ===== impl Broken =====

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl Error for Broken {}
