//! Bodies that may not move, and what it takes to poll by hand.

use std::{
    future::Future,
    marker::PhantomPinned,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// Makes a body `!Unpin`.
    pub struct Pinned<B> {
        #[pin]
        pub inner: B,
        #[pin]
        pin: PhantomPinned,
    }
}

/// An error of which the layer knows nothing, not even that it is one.
#[derive(Debug)]
pub struct NotAnError;

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

/// So many bytes, without an allocation.
pub fn data(bytes: usize) -> Bytes {
    static DATA: [u8; 64] = [b'x'; 64];
    Bytes::from_static(&DATA[..bytes])
}

/// What a scripted body ends with.
pub fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("checksum"), HeaderValue::from_static("1"))])
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
