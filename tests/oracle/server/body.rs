//! Bodies: those of responses, which their handler goes on making while they are sent, and those of requests.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tokio::sync::mpsc;

use super::{BoxError, BoxFuture};

pub(super) type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

pub(super) fn boxed<B>(body: B) -> AnyBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// A handler at work, and how it failed.
pub(super) struct Making {
    handler: Option<BoxFuture<Result<(), BoxError>>>,
    failure: Option<BoxError>,
}

/// A body whose frames the rest of its handler makes. Whoever drops the body drops the handler.
struct Made {
    making: Making,
    frames: mpsc::Receiver<Frame<Bytes>>,
}

impl Making {
    pub(super) fn new(
        handler: impl Future<Output = Result<(), BoxError>> + Send + 'static,
    ) -> Self {
        Self { handler: Some(Box::pin(handler)), failure: None }
    }

    /// Lets the handler work, if it is not over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(handler) = &mut self.handler {
            if let Poll::Ready(over) = handler.as_mut().poll(cx) {
                self.handler = None;
                self.failure = over.err();
            }
        }
    }

    pub(super) fn into_body(self, frames: mpsc::Receiver<Frame<Bytes>>) -> AnyBody {
        boxed(Made { making: self, frames })
    }

    /// What is left to do.
    pub(super) fn into_rest(self) -> Option<BoxFuture<Result<(), BoxError>>> {
        self.handler
    }

    pub(super) fn into_failure(self) -> BoxError {
        self.failure.unwrap_or_else(|| "no answer".into())
    }
}

impl Body for Made {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.making.poll(cx);
        let frame = ready!(self.frames.poll_recv(cx));
        Poll::Ready(frame.map(Ok).or_else(|| self.making.failure.take().map(Err)))
    }
}
