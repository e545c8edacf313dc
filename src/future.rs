//! The response future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::{
    ResponseBody,
    body::{Framing, RequestLine, Start, Tap},
    close::Evidence,
    exchange::{self, Direction, Fact, Link, Report, Role},
};

pin_project! {
    /// Response future for [`Lifecycle`](crate::Lifecycle).
    ///
    /// # Panics
    /// When polled after it was ready.
    pub struct ResponseFuture<F> {
        // `None` once it was ready and is observed: a request body that it holds is to be gone before the response is
        // reported.
        #[pin]
        inner: Option<F>,
        // Declared last, so that it is dropped when the inner future is gone.
        pending: Pending,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            this.project().pending.dropping();
        }
    }
}

/// The future's line to its exchange, until there is a response. `None` when nobody observes it.
#[derive(Default)]
pub(crate) struct Pending(Option<Open>);

struct Open {
    link: Link,
    request_line: RequestLine,
    /// The inner service is running: whoever finds this set when it drops us saw a panic pass, even one that was caught
    /// further out.
    inside: bool,
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(crate) fn new(inner: F, pending: Pending) -> Self {
        let mut future = Self { inner: Some(inner), pending };
        future.pending.inside(false);
        future
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: 'static,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut();
        let inner = inner.expect("`ResponseFuture` polled after it was ready");
        this.pending.inside(true);
        let result = match inner.poll(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                this.pending.inside(false);
                if !this.pending.is_cancelled(cx) {
                    return Poll::Pending;
                }
                this.pending.dropping();
                this.inner.set(None);
                this.pending.cancelled();
                // Nobody will see it: the connection has been made to fail.
                let mut nothing = Response::new(ResponseBody::default());
                *nothing.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                return Poll::Ready(Ok(nothing));
            }
        };
        if this.pending.0.is_some() {
            this.inner.set(None);
        }
        Poll::Ready(match result {
            Ok(response) => {
                let tap = this.pending.responded(&response);
                Ok(response.map(|body| ResponseBody::new(body, tap)))
            }
            Err(error) => {
                this.pending.failed(&error);
                Err(error)
            }
        })
    }
}

impl Pending {
    /// The inner service is about to be called. With it the request body's line, unless there is no body, which is
    /// reported.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call would move what it returns once more")]
    pub(crate) fn begin<B: Body>(link: Link, role: Role, request: &Request<B>) -> (Self, Tap) {
        let request_line = RequestLine::new(role, request.method(), request.version());
        let pending = Self(Some(Open { link: Arc::clone(&link), request_line, inside: true }));
        let tap = if request.body().is_end_stream() {
            link.report(&Fact::RequestEnd.into());
            Tap::default()
        } else {
            let framing = Framing::request(request_line, request.headers(), request.body());
            Tap::new(link, Direction::Request, framing)
        };
        (pending, tap)
    }

    /// The inner service is running, or it is no more.
    #[inline]
    fn inside(&mut self, inside: bool) {
        if let Some(open) = &mut self.0 {
            open.inside = inside;
        }
    }

    /// Reports the response. Still inside, because its body is asked for its hints.
    #[inline]
    fn responded<B: Body>(&mut self, response: &Response<B>) -> Tap {
        let Some(open) = &self.0 else { return Tap::default() };
        let (status, headers) = (response.status(), response.headers());
        let line = open.request_line.answered(response.version());
        let start = Start::response(line, status, headers, response.body());
        self.0.take().map_or_else(Tap::default, |open| open.responded(start, status, headers))
    }

    /// Looks whether the peer is gone, and the exchange is to be cancelled for it.
    #[inline]
    fn is_cancelled(&self, cx: &mut Context<'_>) -> bool {
        let seated = self.0.as_ref().filter(|open| open.link.outside().seat().is_some());
        seated.is_some_and(|open| exchange::look(&open.link, false, cx))
    }

    /// The inner future is about to be dropped, and the request body with it, whose end would hide where the exchange was.
    fn dropping(&self) {
        if let Some(Open { link, .. }) = &self.0 {
            link.report(&Fact::Dropping.into());
        }
    }

    #[cold]
    fn cancelled(&mut self) {
        if let Some(Open { link, .. }) = self.0.take() {
            exchange::lost(&link, false);
        }
    }

    fn failed<E: 'static>(&mut self, error: &E) {
        if let Some(Open { link, .. }) = self.0.take() {
            link.report(&Report::service_error(link.outside().errors().read(error)));
        }
    }
}

impl Open {
    fn responded(self, start: Start, status: StatusCode, headers: &HeaderMap) -> Tap {
        let Self { link, .. } = self;
        link.report(&Report::head(status, headers));
        match start {
            Start::Body(framing) => return Tap::new(link, Direction::Response, framing),
            Start::Ended => exchange::complete(link, Evidence::Return, None, false),
            Start::Upgraded => exchange::upgraded(link),
            Start::Mismatch => {
                let outside = link.outside();
                let cause = outside.length_mismatch(Direction::Response, Evidence::Return);
                link.report(&Fact::ResponseError(cause).into());
            }
        }
        Tap::default()
    }
}

impl Drop for Pending {
    #[inline]
    fn drop(&mut self) {
        if let Some(Open { link, inside, .. }) = self.0.take() {
            exchange::lost(&link, inside || link.outside().unwinds());
        }
    }
}

impl<F: fmt::Debug> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("inner", &self.inner).finish_non_exhaustive()
    }
}
