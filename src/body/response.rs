//! The response's body.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::tap::Tap;
#[cfg(feature = "hyper")]
use crate::exchange::Link;
use crate::observe::Inside;

pin_project! {
    /// Response body for [`Lifecycle`](crate::Lifecycle): what the server, or the client's caller, is given.
    ///
    /// Frames, errors and hints are the inner body's own.
    pub struct ResponseBody<B> {
        // `None` when the exchange was cancelled before there was a response.
        #[pin]
        inner: Option<B>,
        // Declared last, so that it is dropped when the inner body is gone.
        tap: Tap,
    }

    impl<B> PinnedDrop for ResponseBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // What it drops may have something to log.
            if let scope @ Some(_) = this.tap.around() {
                let _inside = Inside::of(scope);
                this.inner.set(None);
            }
        }
    }
}

impl<B> ResponseBody<B> {
    pub(crate) fn new(inner: B, tap: Tap) -> Self {
        Self { inner: Some(inner), tap }
    }

    /// The exchange, while the response is not complete.
    #[cfg(feature = "hyper")]
    pub(crate) fn link(&self) -> Option<&Link> {
        self.tap.link()
    }
}

/// An empty body that no exchange observes, for middleware that answers in the service's place.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self { inner: None, tap: Tap::default() }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
    B::Error: 'static,
{
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Ready(None) };
        this.tap.poll(inner, cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), B::size_hint)
    }
}

impl<B: fmt::Debug> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("inner", &self.inner).finish_non_exhaustive()
    }
}
