//! What both body wrappers do with what passes.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use bytes::Buf;
use http::HeaderMap;
use http_body::{Body, Frame};

use super::{
    errors,
    framing::{Ending, Framing},
};
use crate::{
    Interest, Party,
    close::{Evidence, Initiator, Reason},
    exchange::{self, Cause, Direction, Fact, Link, Report},
    observe::{Inside, Scoped},
};

/// A body's line to its exchange.
///
/// It moves with the request and the response, so it is small.
#[derive(Default)]
pub(crate) struct Tap {
    /// `None` once the direction is over, or nobody observes it.
    open: Option<Open>,
    /// What surrounds the body.
    around: Option<Arc<Scoped>>,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a state of its own")]
struct Open {
    link: Link,
    seen: u64,
    framing: Framing,
    direction: Direction,
    /// What is wanted of the frames to come.
    wanted: Interest,
    /// That is to be asked once more when the first is polled for, because a layer may have joined by then.
    joinable: bool,
    /// Of that: somebody hears of each.
    heard: bool,
    /// Of that: more is to be done for each, or for the first.
    by_frame: bool,
    /// The consumer has asked for a frame.
    polled: bool,
    /// It is news that it asks for one.
    attentive: bool,
    /// It asks for one now, and whose turn it is is wanted.
    asking: bool,
    /// A frame has passed.
    read: bool,
    /// The inner body is running: whoever finds this set when it drops us saw a panic pass.
    inside: bool,
}

type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

impl Tap {
    #[inline]
    pub(crate) fn new(link: Link, direction: Direction, framing: Framing) -> Self {
        let wanted = link.outside().interest();
        let heard = direction.is_heard(wanted);
        let open = Open {
            link,
            seen: 0,
            framing,
            direction,
            heard,
            by_frame: wanted.intersects(Interest::BY_FRAME),
            joinable: wanted.contains(Interest::SHOWN),
            attentive: wanted.intersects(Interest::TURNS | Interest::SHOWN),
            wanted,
            polled: false,
            asking: false,
            read: false,
            inside: false,
        };
        Self { open: Some(open), around: None }
    }

    /// Inside of `around`.
    #[inline]
    pub(crate) fn inside(mut self, around: Option<Arc<Scoped>>) -> Self {
        self.around = around;
        self
    }

    /// What surrounds the body.
    #[inline]
    pub(super) fn around(&self) -> Option<&Arc<Scoped>> {
        self.around.as_ref()
    }

    /// The exchange, while the direction is not over.
    #[cfg(feature = "hyper")]
    pub(super) fn link(&self) -> Option<&Link> {
        Some(&self.open.as_ref()?.link)
    }

    /// The direction is over: the exchange may be, and then nothing surrounds it any more.
    fn leave(&mut self) -> Option<Open> {
        self.around = None;
        self.open.take()
    }

    /// Polls `body` and reports what it yields. After the end of the direction, the same without the report.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call would move each frame once more")]
    pub(super) fn poll<B>(&mut self, mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Polled<B>
    where
        B: Body,
        B::Error: 'static,
    {
        if self.around.is_some() {
            return self.poll_inside(body, cx);
        }
        let Some(open) = &mut self.open else { return body.poll_frame(cx) };
        open.asks();
        let mut polled = body.as_mut().poll_frame(cx);
        self.saw(&mut polled, &*body, cx);
        polled
    }

    /// Apart, so that the poll of a body that nothing surrounds stays small.
    #[inline(never)]
    fn poll_inside<B>(&mut self, mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Polled<B>
    where
        B: Body,
        B::Error: 'static,
    {
        if let Some(open) = &mut self.open {
            open.asks();
        }
        let inside = Inside::of(self.around());
        let mut polled = body.as_mut().poll_frame(cx);
        drop(inside);
        if self.open.is_some() {
            self.saw(&mut polled, &*body, cx);
        }
        polled
    }

    /// Whether the exchange is cancelled, because its client is gone while the body has nothing to give.
    #[cold]
    fn waits(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(open) = &mut self.open else { return false };
        open.inside = false;
        let cancelled =
            open.direction == Direction::Response && exchange::look(&open.link, true, cx);
        if cancelled {
            exchange::lost(&open.link, false);
            self.leave();
        }
        cancelled
    }

    #[inline(never)]
    fn saw<B>(&mut self, polled: &mut Polled<B>, body: &B, cx: &mut Context<'_>)
    where
        B: Body,
        B::Error: 'static,
    {
        let Some(open) = &mut self.open else { return };
        match polled {
            Poll::Pending => {
                if self.waits(cx) {
                    *polled = Poll::Ready(None);
                }
            }
            Poll::Ready(Some(Ok(frame))) => {
                let ended = body.is_end_stream();
                let Some(data) = frame.data_ref() else {
                    return self.saw_other(frame.trailers_ref(), ended);
                };
                let bytes = data.remaining() as u64;
                open.inside = false;
                open.read = true;
                open.seen = open.seen.saturating_add(bytes);
                match open.framing.after(open.seen, ended) {
                    None => open.data(bytes),
                    Some(ending) => self.saw_last(bytes, ending),
                }
            }
            Poll::Ready(Some(Err(error))) => self.saw_error(error),
            Poll::Ready(None) => self.saw_none(|| body.is_end_stream()),
        }
    }

    #[inline(never)]
    fn saw_none(&mut self, ended: impl FnOnce() -> bool) {
        let Some(open) = &self.open else { return };
        self.over(open.framing.at_none(open.seen, ended), None, false);
    }

    #[inline(never)]
    fn saw_last(&mut self, bytes: u64, ending: Ending) {
        if let Some(open) = &mut self.open {
            // The close of the direction settles the waits, at its own time.
            open.asking = false;
            open.data(bytes);
        }
        // An empty buffer would not tell whether it was sent.
        self.over(ending, None, bytes > 0);
    }

    /// Trailers, or a kind of frame that this version of http-body does not name.
    #[cold]
    fn saw_other(&mut self, trailers: Option<&HeaderMap>, ended: bool) {
        let Some(open) = &mut self.open else { return };
        open.inside = false;
        open.read = true;
        if trailers.is_some() || ended {
            let ending = open.framing.at_end(open.seen);
            return self.over(ending, trailers, false);
        }
        open.delivered();
    }

    #[cold]
    fn saw_error<E: 'static>(&mut self, error: &E) {
        let Some(Open { link, direction, .. }) = &self.open else { return };
        let (direction, error) = (*direction, link.outside().errors().read(error));
        let reason = match direction {
            Direction::Request => Reason::RequestFailed,
            Direction::Response => Reason::ResponseFailed,
        };
        let cause = if link.outside().is_from_peer(direction) {
            link.outside().cause_of(error, reason)
        } else {
            Cause { reason, initiator: Initiator::Local, evidence: Evidence::Return }
        };
        self.report_last(&Report::error(direction, cause, error));
    }

    #[inline]
    fn over(&mut self, ending: Ending, trailers: Option<&HeaderMap>, last_frame: bool) {
        let Some(Open { link, direction, .. }) = &self.open else { return };
        let direction = *direction;
        let cause = match ending {
            Ending::Complete => return self.complete(Evidence::Frame, trailers, last_frame),
            Ending::Mismatch => link.outside().length_mismatch(direction, Evidence::Frame),
            Ending::Reset => errors::STREAM_RESET,
        };
        self.report_last(&Report::error(direction, cause, None));
    }

    fn complete(&mut self, evidence: Evidence, trailers: Option<&HeaderMap>, last_frame: bool) {
        if let Some(Open { link, direction, .. }) = self.leave() {
            match direction {
                Direction::Request => link.report(&Report::request_end(trailers)),
                Direction::Response => exchange::complete(link, evidence, trailers, last_frame),
            }
        }
    }

    /// Lets go of the exchange, so that the drop has nothing more to say.
    fn report_last(&mut self, report: &Report<'_>) {
        if let Some(Open { link, .. }) = self.leave() {
            link.report(report);
        }
    }
}

impl Open {
    /// The consumer asks for a frame.
    #[inline]
    fn asks(&mut self) {
        self.inside = true;
        if self.attentive {
            self.asked();
        }
        self.polled = true;
    }

    /// Apart, so that the poll of a body in whose waits nobody is interested stays small.
    #[inline(never)]
    fn asked(&mut self) {
        if self.joinable {
            self.join();
        }
        // Asking once more, while a frame is not ready, is no news.
        self.attentive = false;
        if self.wanted.contains(Interest::WAITS) {
            self.asking = true;
            self.link.outside().ask(self.direction);
        } else if self.wanted.contains(Interest::VIEW) {
            self.asking = true;
            self.link.outside().turn_to(self.direction, Party::Producer);
        }
    }

    /// A layer may have joined since it was made.
    #[cold]
    fn join(&mut self) {
        self.joinable = false;
        self.wanted = self.link.outside().polled(self.direction);
        self.heard = self.direction.is_heard(self.wanted);
        self.by_frame = self.wanted.intersects(Interest::BY_FRAME);
    }

    /// A frame that is not the last.
    #[inline]
    fn delivered(&mut self) {
        if self.asking {
            self.asking = false;
            self.attentive = true;
            if self.wanted.contains(Interest::WAITS) {
                self.link.outside().deliver(self.direction);
            } else {
                self.link.outside().turn_to(self.direction, Party::Consumer);
            }
        }
    }

    #[inline]
    fn data(&mut self, bytes: u64) {
        if self.by_frame {
            self.data_and_more(bytes);
        } else if self.heard {
            self.link.data(self.direction, bytes);
        } else if self.wanted.contains(Interest::VIEW) {
            // It was asked for, unless it is the last.
            self.attentive = self.asking;
            self.asking = false;
            self.link.outside().pass(self.direction, bytes);
        } else {
            self.link.outside().count(self.direction, bytes);
        }
    }

    #[inline(never)]
    fn data_and_more(&mut self, bytes: u64) {
        self.delivered();
        let marked = self.wanted.contains(Interest::MARKS);
        if self.wanted.intersects(Interest::SEEN) {
            self.seen(bytes, marked);
        }
        if marked {
            self.wanted = self.wanted - Interest::MARKS;
            self.by_frame = self.wanted.intersects(Interest::BY_FRAME);
            self.link.first_data(self.direction, bytes);
        } else if self.heard {
            self.link.data(self.direction, bytes);
        } else {
            self.link.outside().count(self.direction, bytes);
        }
    }

    #[inline]
    fn seen(&self, bytes: u64, marked: bool) {
        let outside = self.link.outside();
        if self.wanted.contains(Interest::SHOWN) {
            outside.show(self.direction, bytes);
        } else if self.heard || marked {
            outside.view(self.direction, bytes);
        }
    }

    #[inline(never)]
    fn dropped(self) {
        let complete = !self.inside && self.framing.complete_at_drop(self.seen, self.polled);
        let Self { link, direction, inside, read, .. } = self;
        match direction {
            Direction::Request if complete => link.report(&Report::request_end(None)),
            Direction::Request => {
                link.report(&Fact::RequestDropped { read, unwinding: thread::panicking() }.into());
            }
            Direction::Response if complete => {
                // Of a body that yielded nothing only the head said that nothing was to come.
                let evidence = if read { Evidence::Frame } else { Evidence::Return };
                exchange::complete(link, evidence, None, false);
            }
            Direction::Response => exchange::lost(&link, inside || link.outside().unwinds()),
        }
    }
}

impl Drop for Tap {
    #[inline]
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            open.dropped();
        }
    }
}
