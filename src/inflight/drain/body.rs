//! The response body.

use std::{
    error::Error,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::signal::Waiter;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

pin_project! {
    /// Response body for [`Draining`](super::Draining): that of the inner service, until a drain has lost its patience, or the
    /// text of a refusal.
    ///
    /// Frames, hints and trailers pass untouched. When the patience of a drain is at its end, a body that is not over is dropped
    /// and fails with [`CutShort`]: hyper then breaks the connection of HTTP/1, and resets the stream of HTTP/2, so that nothing
    /// looks like a clean end.
    pub struct DrainBody<B> {
        // `None` of a refusal, and when it was cut short.
        #[pin]
        inner: Option<B>,
        // `None` where nothing is to be cut short.
        cancel: Option<Waiter>,
        text: &'static str,
    }
}

/// The response was not over when the patience of a drain was: the error of a [`DrainBody`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutShort;

impl<B> DrainBody<B> {
    pub(super) fn new(inner: B, cancel: Option<Waiter>) -> Self {
        Self { inner: Some(inner), cancel, text: "" }
    }

    pub(super) fn refusal(text: &'static str) -> Self {
        Self { inner: None, cancel: None, text }
    }
}

impl<B> Body for DrainBody<B>
where
    B: Body,
    B::Data: From<&'static str>,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            let text = mem::take(this.text);
            return Poll::Ready((!text.is_empty()).then(|| Ok(Frame::data(text.into()))));
        };
        let polled = inner.as_mut().poll_frame(cx);
        let Some(cancel) = this.cancel else { return polled.map_err(Into::into) };
        let cut_short = match &polled {
            Poll::Pending => cancel.poll(cx),
            // What has come to its end in time is not cut short.
            Poll::Ready(Some(Ok(frame))) => {
                cancel.is_told() && !frame.is_trailers() && !has_ended(&*inner)
            }
            Poll::Ready(None | Some(Err(_))) => false,
        };
        if cut_short {
            this.inner.set(None);
            *this.cancel = None;
            return Poll::Ready(Some(Err(Box::new(CutShort))));
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Some(inner) => inner.is_end_stream(),
            None => self.text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(self.text.len() as u64),
        }
    }
}

fn has_ended(body: &impl Body) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
}

/// An empty body, for who needs one.
impl<B> Default for DrainBody<B> {
    fn default() -> Self {
        Self::refusal("")
    }
}

impl<B> fmt::Debug for DrainBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrainBody").finish_non_exhaustive()
    }
}

impl fmt::Display for CutShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server shuts down, and this response was not over in time")
    }
}

impl Error for CutShort {}
