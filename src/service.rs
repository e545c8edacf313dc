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
    ExchangeHandle, ExchangeId, Interest, Observer, RequestBody, RequestHead, ResponseFuture,
    Summary,
    exchange::{Exchange, Join, LayerId, LazyId, Link, Live, Marks, Newcomer, Outside},
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
    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // One call of the inner service for both cases, so that it can be inlined.
        let (pending, tap) = match self.begin(&mut request) {
            Some(link) => Pending::begin(link, self.settings.role, &request),
            None => Default::default(),
        };
        let inner = self.inner.call(request.map(|body| RequestBody::new(body, tap)));
        ResponseFuture::new(inner, pending)
    }
}

impl<S, O: Observer> Lifecycle<S, O> {
    /// `None` when nobody observes this exchange, or an outer layer does it for us.
    #[inline]
    fn begin<B>(&self, request: &mut Request<B>) -> Option<Link> {
        let Settings { interest, role, handles, ref errors, ref clock, .. } = *self.settings;
        if interest.is_empty() && !handles {
            return None;
        }
        if let Some((id, outer)) = self.outer(request) {
            self.join(&*outer, &id.into(), request);
            return None;
        }
        let id = LazyId::default();
        let live = handles.then(|| self.insert_handle(id.get(), request));
        // Handles can mark.
        let all = if handles { interest | Interest::MARKS } else { interest };
        let began = all.contains(Interest::MARKS).then(|| clock.now());
        let head = self.head(&id, request);
        let observed = !interest.is_empty();
        let listener = observed.then(|| Guarded::begin(&*self.settings.observer, interest, &head));
        let (listener, all) = match listener.flatten() {
            None if handles => (Guarded::silent(head.panics), Interest::MARKS),
            listener => (listener?, all),
        };
        let uri = all.contains(Interest::URI).then(|| head.uri.clone());
        let summary = Summary::begin(&head, uri, Marks::start(began));
        let outside = Outside::new(role, all, errors.clone(), clock.clone(), began, live);
        Some(Exchange::begin(outside, summary, listener))
    }

    fn insert_handle<B>(&self, id: ExchangeId, request: &mut Request<B>) -> Arc<Live> {
        let Settings { role, ref clock, ref panics, .. } = *self.settings;
        let live = Live::new(id, role, self.layer_id(), clock.clone(), panics.clone());
        let live = Arc::new(live);
        request.extensions_mut().insert(ExchangeHandle::new(Arc::clone(&live)));
        live
    }

    /// The exchange of an outer layer, if it is to be joined.
    fn outer<B>(&self, request: &Request<B>) -> Option<(ExchangeId, Arc<dyn Join>)> {
        let Settings { role, joins, .. } = *self.settings;
        joins.then(|| ExchangeHandle::outer(request, role, self.layer_id())).flatten()
    }

    fn layer_id(&self) -> LayerId {
        Arc::as_ptr(&self.settings).addr()
    }

    /// Listens to the exchange of an outer layer.
    #[cold]
    fn join<B>(&self, outer: &dyn Join, id: &LazyId, request: &Request<B>) {
        let Settings { interest, ref observer, .. } = *self.settings;
        if interest.is_empty() {
            return;
        }
        let head = self.head(id, request);
        if let Some(listener) = Guarded::begin(&**observer, interest, &head) {
            let uri = interest.contains(Interest::URI).then(|| head.uri.clone());
            outer.join(Newcomer { listener: Box::new(listener), interest, uri });
        }
    }

    fn head<'a, B>(&'a self, id: &'a LazyId, request: &'a Request<B>) -> RequestHead<'a> {
        RequestHead {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
            id,
            panics: &self.settings.panics,
        }
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
