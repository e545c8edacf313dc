//! The service.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, Version};
use http_body::Body;
use tower_service::Service;

use crate::{
    Connection, ExchangeHandle, ExchangeId, Interest, Observer, RequestBody, RequestHead,
    ResponseFuture, Summary,
    conn::Hold,
    exchange::{
        Exchange, Join, LayerId, Link, Live, Marks, Names, Newcomer, Outside, Place, Role, Seat,
    },
    future::Pending,
    layer::Settings,
    observe::{Guarded, Inside, Scoped},
};

/// Tells an [`Observer`] of the life of each exchange with the inner service. See
/// [`LifecycleLayer`](crate::LifecycleLayer).
pub struct Lifecycle<S, O> {
    inner: S,
    settings: Arc<Settings<O>>,
    /// The connection that it serves, where it is the service that the server calls.
    seam: Option<Seam>,
}

/// How a service is joined to the connection that it serves.
#[derive(Clone)]
pub(crate) struct Seam {
    hold: Arc<Hold>,
    /// The buffers of HTTP/2 responses are seen.
    tracked: bool,
}

impl<S, O> Lifecycle<S, O> {
    pub(crate) fn new(inner: S, settings: Arc<Settings<O>>) -> Self {
        Self { inner, settings, seam: None }
    }

    /// For one connection, whose HTTP/2 buffers may be `tracked`.
    #[cfg(feature = "conn")]
    pub(crate) fn serving(self, connection: &Connection, tracked: bool) -> Self {
        Self { seam: Some(Seam { hold: Hold::new(&connection.0), tracked }), ..self }
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
        let (link, around) = self.begin(&mut request);
        let (pending, tap) = match link {
            Some(link) => Pending::begin(link, self.settings.role, &request),
            None => Default::default(),
        };
        let tap = tap.inside(around.clone());
        let pending = pending.within(around);
        let request = request.map(|body| RequestBody::new(body, tap));
        let inner = match pending.around() {
            None => self.inner.call(request),
            around => call_inside(around, &mut self.inner, request),
        };
        ResponseFuture::new(inner, pending)
    }
}

/// Apart, so that a call that nothing surrounds stays small.
#[cold]
#[inline(never)]
fn call_inside<S: Service<R>, R>(
    around: Option<&Arc<Scoped>>,
    inner: &mut S,
    request: R,
) -> S::Future {
    let _inside = Inside::of(around);
    inner.call(request)
}

impl<S, O: Observer> Lifecycle<S, O> {
    /// The exchange, unless nobody observes it or an outer layer does it for us, and what surrounds it.
    #[inline]
    fn begin<B>(&self, request: &mut Request<B>) -> (Option<Link>, Option<Arc<Scoped>>) {
        let Settings { interest, role, handles, cancels, ref errors, ref clock, .. } =
            *self.settings;
        let keeps = handles || self.seam.is_some() && (cancels || self.settings.tells);
        let ordinal = self.arrive(keeps || !interest.is_empty(), request);
        if interest.is_empty() && !keeps {
            return (None, None);
        }
        if let Some((id, outer)) = self.outer(request) {
            return (None, self.join(outer, &id.into(), request));
        }
        let names = Names::default();
        let place = self.place(ordinal, request);
        let connection = place.as_ref().map(|place| place.connection.clone());
        let connection = connection.as_ref();
        let live = handles.then(|| self.insert_handle(names.id(), connection, request));
        // Handles can mark.
        let all = if handles { interest | Interest::MARKS } else { interest };
        let began = all.contains(Interest::MARKS).then(|| clock.now());
        let head = self.head(&names, connection, request);
        let observed = !interest.is_empty();
        let listener = observed.then(|| Guarded::begin(&*self.settings.observer, interest, &head));
        let (mut listener, all) = match listener.flatten() {
            Some(listener) => (listener, all),
            None if keeps => (Guarded::silent(head.panics), all & Interest::MARKS),
            None => return (None, None),
        };
        let around = listener.scoped();
        let uri = all.contains(Interest::URI).then(|| head.uri.clone());
        let seat = place.map(Seat::take);
        let summary = Summary::begin(&head, uri, Marks::start(began), seat.as_ref());
        let outside = Outside::new(role, all, errors.clone(), clock.clone(), began, live, seat);
        let link = Exchange::begin(outside, summary, listener);
        if let Some(trace) = names.trace() {
            link.trace(trace);
        }
        if all.contains(Interest::VIEW) {
            Arc::clone(&link).opened(names.trace());
        }
        (Some(link), around)
    }

    /// The server calls: the connection counts its requests, and is handed to whoever is further in and is to know of it.
    /// Which request it is.
    #[inline]
    fn arrive<B>(&self, observes: bool, request: &mut Request<B>) -> Option<u64> {
        let connection = self.seam.as_ref()?.hold.connection();
        let ordinal = connection.0.arrive(request.version() == Version::HTTP_2);
        if self.settings.connections || !observes {
            request.extensions_mut().insert(connection);
        }
        Some(ordinal)
    }

    /// What is known of the connection under the exchange.
    #[inline]
    fn place<B>(&self, ordinal: Option<u64>, request: &Request<B>) -> Option<Place> {
        if !cfg!(feature = "conn") || self.settings.role == Role::Client {
            return None;
        }
        let Settings { interest, handles, cancels, .. } = *self.settings;
        let (connection, outermost, tracked) = match &self.seam {
            Some(Seam { hold, tracked }) => (hold.connection(), true, *tracked),
            None => (ExchangeHandle::line(request)?, false, false),
        };
        Some(Place {
            connection,
            ordinal,
            outermost,
            tracked,
            http2: request.version() == Version::HTTP_2,
            watches: interest.contains(Interest::DISCONNECT) || handles || cancels,
            cancels,
        })
    }

    fn insert_handle<B>(
        &self,
        id: ExchangeId,
        connection: Option<&Connection>,
        request: &mut Request<B>,
    ) -> Arc<Live> {
        let Settings { role, ref clock, ref panics, .. } = *self.settings;
        let connection = connection.cloned();
        let live = Live::new(id, role, self.layer_id(), clock.clone(), panics.clone(), connection);
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

    /// Listens to the exchange of an outer layer. Returns what is to surround it from here on in.
    #[cold]
    fn join<B>(
        &self,
        outer: Arc<dyn Join>,
        names: &Names,
        request: &Request<B>,
    ) -> Option<Arc<Scoped>> {
        let Settings { interest, ref observer, .. } = *self.settings;
        if interest.is_empty() {
            return None;
        }
        let connection = ExchangeHandle::line(request);
        let head = RequestHead {
            #[cfg(any(feature = "access-log", feature = "opentelemetry"))]
            age: outer.age(),
            ..self.head(names, connection.as_ref(), request)
        };
        let mut listener = Guarded::begin(&**observer, interest, &head)?;
        let around = listener.scoped();
        let uri = interest.contains(Interest::URI).then(|| head.uri.clone());
        let (listener, trace) = (Box::new(listener), names.trace());
        outer.join(Newcomer { listener, interest, uri, trace, view: None });
        around
    }

    fn head<'a, B>(
        &'a self,
        names: &'a Names,
        connection: Option<&'a Connection>,
        request: &'a Request<B>,
    ) -> RequestHead<'a> {
        RequestHead {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
            role: self.settings.role,
            connection,
            names,
            #[cfg(any(feature = "access-log", feature = "inflight", feature = "opentelemetry"))]
            clock: &self.settings.clock,
            #[cfg(any(feature = "access-log", feature = "opentelemetry"))]
            age: std::time::Duration::ZERO,
            panics: &self.settings.panics,
        }
    }
}

impl<S: Clone, O> Clone for Lifecycle<S, O> {
    fn clone(&self) -> Self {
        let Self { inner, settings, seam } = self;
        Self { inner: inner.clone(), settings: Arc::clone(settings), seam: seam.clone() }
    }
}

impl<S: fmt::Debug, O> fmt::Debug for Lifecycle<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifecycle").field("inner", &self.inner).finish_non_exhaustive()
    }
}
