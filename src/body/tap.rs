//! What both body wrappers do with what passes.

use std::{
    pin::Pin,
    task::{Context, Poll},
    thread,
};

use bytes::Buf;
use http::HeaderMap;
use http_body::{Body, Frame};

use super::{
    errors::{self, ErrorTypes},
    framing::{Framing, Progress},
};
use crate::{
    close::{Evidence, Initiator, Reason},
    exchange::{Cause, Direction, Fact, Link, Report, Role},
};

/// A body's line to its exchange. `None` once the direction is over, or nobody observes it.
#[derive(Default)]
pub(crate) struct Tap(Option<Open>);

struct Open {
    link: Link,
    errors: ErrorTypes,
    direction: Direction,
    role: Role,
    framing: Framing,
    seen: u64,
    /// The consumer has asked for a frame.
    polled: bool,
    /// A frame has passed.
    read: bool,
    /// The inner body is running: whoever finds this set when it drops us saw a panic pass.
    inside: bool,
}

type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

impl Tap {
    pub(crate) fn new(
        link: Link,
        errors: ErrorTypes,
        direction: Direction,
        role: Role,
        framing: Framing,
    ) -> Self {
        Self(Some(Open {
            link,
            errors,
            direction,
            role,
            framing,
            seen: 0,
            polled: false,
            read: false,
            inside: false,
        }))
    }

    /// Polls `body` and reports what it yields. After the end of the direction, the same without the report.
    #[inline]
    pub(super) fn poll<B>(&mut self, mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Polled<B>
    where
        B: Body,
        B::Error: 'static,
    {
        let Some(open) = &mut self.0 else {
            return body.poll_frame(cx);
        };
        open.polled = true;
        open.inside = true;
        let polled = body.as_mut().poll_frame(cx);
        let over = match &polled {
            Poll::Pending => false,
            Poll::Ready(Some(Ok(frame))) => open.frame(frame, &*body),
            Poll::Ready(Some(Err(error))) => open.failed(error),
            Poll::Ready(None) => {
                let progress = open.framing.at_none(open.seen, body.is_end_stream());
                open.reached(progress, None)
            }
        };
        open.inside = false;
        if over {
            self.0 = None;
        }
        polled
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            open.dropped();
        }
    }
}

/// Each answers whether the direction is over.
impl Open {
    #[inline]
    fn frame<B: Body>(&mut self, frame: &Frame<B::Data>, body: &B) -> bool {
        let first = !self.read;
        self.read = true;
        if let Some(data) = frame.data_ref() {
            let bytes = data.remaining() as u64;
            let ended = body.is_end_stream();
            self.seen = self.seen.saturating_add(bytes);
            self.link.data(self.direction, bytes, first);
            self.reached(self.framing.after(self.seen, ended), None)
        } else if let Some(trailers) = frame.trailers_ref() {
            self.reached(self.framing.at_end(self.seen), Some(trailers))
        } else {
            // A kind of frame this version of http-body does not name.
            body.is_end_stream() && self.reached(self.framing.at_end(self.seen), None)
        }
    }

    #[inline]
    fn reached(&self, progress: Progress, trailers: Option<&HeaderMap>) -> bool {
        match progress {
            Progress::More => return false,
            Progress::End => self.link.report(Report::end(self.direction, trailers)),
            Progress::Mismatch => {
                self.link.report(Report::error(self.direction, self.length_mismatch(), None));
            }
            Progress::Reset => {
                self.link.report(Report::error(self.direction, errors::STREAM_RESET, None));
            }
        }
        true
    }

    fn failed<E: 'static>(&self, error: &E) -> bool {
        let error = self.errors.read(error);
        let reason = match self.direction {
            Direction::Request => Reason::RequestFailed,
            Direction::Response => Reason::ResponseFailed,
        };
        let cause = if self.is_from_peer() {
            errors::of_peer(error, reason)
        } else {
            Cause { reason, initiator: Initiator::Local, evidence: Evidence::Return }
        };
        self.link.report(Report::error(self.direction, cause, error));
        true
    }

    fn dropped(self) {
        let Self { ref link, direction, inside, .. } = self;
        if !inside && self.framing.complete_at_drop(self.seen, self.polled) {
            link.report(Report::end(direction, None));
        } else if direction == Direction::Request {
            link.report(Fact::RequestDropped { read: self.read });
        } else {
            link.report(Fact::Dropped { unwinding: inside || thread::panicking() });
        }
    }

    fn is_from_peer(&self) -> bool {
        matches!(
            (self.role, self.direction),
            (Role::Server, Direction::Request) | (Role::Client, Direction::Response)
        )
    }

    fn length_mismatch(&self) -> Cause {
        let initiator = if self.is_from_peer() { Initiator::Peer } else { Initiator::Local };
        Cause { reason: Reason::LengthMismatch, initiator, evidence: Evidence::Frame }
    }
}
