//! The response future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::{
    ResponseBody,
    body::{Framing, RequestLine, Start, Tap},
    close::Evidence,
    exchange::{Direction, Fact, Link, Report, Role},
};

pin_project! {
    /// Response future for [`Lifecycle`](crate::Lifecycle).
    ///
    /// # Panics
    /// When polled after it was ready.
    pub struct ResponseFuture<F> {
        // `None` once it was ready: a request body that it holds is to be gone before the response is reported.
        #[pin]
        inner: Option<F>,
        // Declared last, so that it is dropped when the inner future is gone.
        flight: Flight,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            // The request body goes with the inner future, and its end would hide where the exchange was.
            if let Some(Open { link, .. }) = &this.project().flight.0 {
                link.report(&Fact::Leaving.into());
            }
        }
    }
}

/// The future's line to its exchange, until there is a response. `None` when nobody observes it.
#[derive(Default)]
pub(crate) struct Flight(Option<Open>);

struct Open {
    link: Link,
    request_line: RequestLine,
    /// The inner service is running: whoever finds this set when it drops us saw a panic pass, even one that was caught
    /// further out.
    inside: bool,
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(crate) fn new(inner: F, flight: Flight) -> Self {
        let mut future = Self { inner: Some(inner), flight };
        future.flight.inside(false);
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
        this.flight.inside(true);
        let result = match inner.poll(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                this.flight.inside(false);
                return Poll::Pending;
            }
        };
        this.inner.set(None);
        Poll::Ready(match result {
            Ok(response) => {
                let tap = this.flight.landed(&response);
                Ok(response.map(|body| ResponseBody::new(body, tap)))
            }
            Err(error) => {
                this.flight.failed(&error);
                Err(error)
            }
        })
    }
}

impl Flight {
    /// The inner service is about to be called. With it the request body's line, unless there is no body, which is
    /// reported.
    #[inline]
    pub(crate) fn begin<B: Body>(link: Link, role: Role, request: &Request<B>) -> (Self, Tap) {
        let request_line = RequestLine::new(role, request.method(), request.version());
        let flight = Self(Some(Open { link: Arc::clone(&link), request_line, inside: true }));
        let tap = if request.body().is_end_stream() {
            link.report(&Fact::RequestEnd.into());
            Tap::default()
        } else {
            let framing = Framing::request(request_line, request.headers(), request.body());
            Tap::new(link, Direction::Request, framing)
        };
        (flight, tap)
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
    fn landed<B: Body>(&mut self, response: &Response<B>) -> Tap {
        let Some(open) = &self.0 else { return Tap::default() };
        let (status, headers) = (response.status(), response.headers());
        let line = open.request_line.answered(response.version());
        let start = Start::response(line, status, headers, response.body());
        self.0.take().map_or_else(Tap::default, |open| open.landed(start, status, headers))
    }

    fn failed<E: 'static>(&mut self, error: &E) {
        if let Some(Open { link, .. }) = self.0.take() {
            link.report(&Report::service_error(link.errors().read(error)));
        }
    }
}

impl Open {
    fn landed(self, start: Start, status: StatusCode, headers: &HeaderMap) -> Tap {
        let Self { link, .. } = self;
        link.report(&Report::head(status, headers));
        let end = match start {
            Start::Body(framing) => return Tap::new(link, Direction::Response, framing),
            Start::Ended => Fact::ResponseEnd(Evidence::Return),
            Start::Upgraded => Fact::Upgraded,
            Start::Mismatch => {
                Fact::ResponseError(link.length_mismatch(Direction::Response, Evidence::Return))
            }
        };
        link.report(&end.into());
        Tap::default()
    }
}

impl Drop for Flight {
    #[inline]
    fn drop(&mut self) {
        if let Some(Open { link, inside, .. }) = self.0.take() {
            let unwinding = inside || thread::panicking();
            link.report(&Fact::Dropped { unwinding }.into());
        }
    }
}

impl<F: fmt::Debug> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("inner", &self.inner).finish_non_exhaustive()
    }
}
