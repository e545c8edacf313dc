//! The service.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{
    Interest, Observer, RequestBody, RequestHead, ResponseFuture, Summary, clock,
    exchange::{Exchange, LazyId, Link, Marks},
    future::Pending,
    layer::Settings,
    observe::Guarded,
};

/// Tells an [`Observer`] of the life of each exchange with the inner service. See
/// [`LifecycleLayer`](crate::LifecycleLayer).
pub struct Lifecycle<S, O> {
    inner: S,
    settings: Arc<Settings<O>>,
}

impl<S, O> Lifecycle<S, O> {
    pub(crate) fn new(inner: S, settings: Arc<Settings<O>>) -> Self {
        Self { inner, settings }
    }
}

impl<S, O> Lifecycle<S, O> {
    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service. What is called on it directly is not observed.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without the layer.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// How many panics of observers were caught so far, in all services of the same layer.
    pub fn observer_panics(&self) -> u64 {
        self.settings.panics.count()
    }
}

impl<S, O, ReqBody, ResBody> Service<Request<ReqBody>> for Lifecycle<S, O>
where
    S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>>,
    S::Error: 'static,
    O: Observer,
    ReqBody: Body,
    ResBody: Body,
{
    type Response = Response<crate::ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // One call of the inner service for both cases, so that it can be inlined.
        let (pending, tap) = match self.begin(&request) {
            Some(link) => Pending::begin(link, self.settings.role, &request),
            None => Default::default(),
        };
        let inner = self.inner.call(request.map(|body| RequestBody::new(body, tap)));
        ResponseFuture::new(inner, pending)
    }
}

impl<S, O: Observer> Lifecycle<S, O> {
    /// `None` when nobody observes this exchange.
    #[inline]
    fn begin<B>(&self, request: &Request<B>) -> Option<Link> {
        let Settings { interest, role, ref errors, .. } = *self.settings;
        if interest.is_empty() {
            return None;
        }
        let head = RequestHead {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
            id: &LazyId::default(),
            panics: &self.settings.panics,
        };
        let marks = Marks::start(interest.contains(Interest::MARKS).then(clock::now));
        let listener = Guarded::begin(&*self.settings.observer, interest, &head)?;
        let uri = interest.contains(Interest::URI).then(|| head.uri.clone());
        let summary = Summary::begin(&head, uri, marks);
        Some(Exchange::begin(role, interest, errors.clone(), summary, listener))
    }
}

impl<S: Clone, O> Clone for Lifecycle<S, O> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), settings: Arc::clone(&self.settings) }
    }
}

impl<S: fmt::Debug, O> fmt::Debug for Lifecycle<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifecycle").field("inner", &self.inner).finish_non_exhaustive()
    }
}
