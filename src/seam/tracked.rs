//! Response bodies whose last buffer is seen to go: over HTTP/2 nothing else proves that it did.
//!
//! h2 keeps what a body has yielded until the peer's window lets it go, and drops the body long before. It drops a buffer
//! when all of it was written, or when the stream is reset; the buffer tells which by what remains of it. It may do so
//! under its own locks, so there it is only noted.

use std::{
    fmt,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{
    Connection, ResponseBody,
    exchange::{self, Link},
};

/// A buffer of a response, which tells when it is let go whether all of it was taken.
pub struct Tracked<D: Buf> {
    inner: D,
    link: Option<Link>,
}

pin_project! {
    /// Response body whose buffers are [`Tracked`].
    pub struct TrackedBody<B> {
        #[pin]
        inner: ResponseBody<B>,
        link: Option<Link>,
        connection: Option<Connection>,
    }

    impl<B> PinnedDrop for TrackedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            // Its last buffer may have been refused, because there is no connection any more, and must not tell of it itself.
            if let Some(Connection(context)) = &this.connection {
                context.settle_late();
            }
        }
    }
}

impl<B> TrackedBody<B> {
    pub(super) fn new(inner: ResponseBody<B>) -> Self {
        let link = inner.link().filter(|link| is(link, exchange::Seat::is_tracked)).cloned();
        let connection = link.as_ref().and_then(|link| link.outside().seat());
        let connection = connection.map(|seat| seat.connection().clone());
        Self { inner, link, connection }
    }
}

fn is(link: &Link, what: fn(&exchange::Seat) -> bool) -> bool {
    link.outside().seat().is_some_and(what)
}

impl<B> Body for TrackedBody<B>
where
    B: Body,
    B::Error: 'static,
{
    type Data = Tracked<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        // Only the last frame is held, and only if it is known to be the last.
        let link = this.link.take_if(|link| is(link, exchange::Seat::is_held));
        Poll::Ready(frame.map(|frame| Ok(frame?.map_data(|inner| Tracked { inner, link }))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<D: Buf> Buf for Tracked<D> {
    fn remaining(&self) -> usize {
        self.inner.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.inner.chunk()
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        self.inner.chunks_vectored(dst)
    }

    fn advance(&mut self, count: usize) {
        self.inner.advance(count);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        self.inner.copy_to_bytes(len)
    }
}

impl<D: Buf> Drop for Tracked<D> {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            exchange::taken(link, !self.inner.has_remaining());
        }
    }
}

impl<D: Buf + fmt::Debug> fmt::Debug for Tracked<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<B: fmt::Debug> fmt::Debug for TrackedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedBody").field("inner", &self.inner).finish_non_exhaustive()
    }
}
