//! The seam for `axum::serve`.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    extract::Request,
    response::Response,
    serve::{IncomingStream, Listener, ListenerExt, TapIo},
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Connection, Lifecycle, LifecycleLayer, Observer, RequestBody, ResponseFuture,
    conn::{Io, Transport},
};

/// A listener whose connections are seen: what [`LifecycleLayer::listener`] makes.
///
/// `TapIo` is axum's own, with nothing to tap: for its streams handlers still get `ConnectInfo` with the listener's address.
pub type UntappedListener<L, O> = TapIo<AxumListener<L, O>, fn(&mut ListenerIo<L>)>;

type ListenerIo<L> = Io<<<L as Listener>::Io as Transport>::Io>;

/// Wraps what a listener accepts. Inside of [`UntappedListener`].
pub struct AxumListener<L, O> {
    listener: L,
    lifecycle: LifecycleLayer<O>,
}

/// Makes the outermost service of each connection: what [`LifecycleLayer::make_service`] returns.
pub struct MakeLifecycle<M, O> {
    make_service: M,
    lifecycle: LifecycleLayer<O>,
}

/// The outermost service of a connection, as axum wants it.
pub struct Outermost<S, O>(Lifecycle<S, O>);

impl<O: Observer> LifecycleLayer<O> {
    /// Wraps the listener of `axum::serve`. The other half of the seam is [`make_service`](Self::make_service).
    ///
    /// `listener` may be tokio's for TCP or Unix sockets, with the feature `tokio-rustls` a `TlsListener`, or any
    /// whose streams are a [`Transport`]. `tap_io` is for the inside: `tcp.tap_io(|stream| …)`.
    ///
    /// ```no_run
    /// # use axum::{Router, routing::get};
    /// # use tokio::net::TcpListener;
    /// # async fn run() -> std::io::Result<()> {
    /// use tower_lifecycle::{Hooks, LifecycleLayer};
    ///
    /// let app: Router = Router::new().route("/", get(async || "Hello"));
    /// let listener = TcpListener::bind("127.0.0.1:3000").await?;
    /// let lifecycle = LifecycleLayer::new(Hooks::new().on_close(|summary| println!("{}", summary.close)));
    /// axum::serve(lifecycle.listener(listener), lifecycle.make_service(app)).await
    /// # }
    /// ```
    pub fn listener<L>(&self, listener: L) -> UntappedListener<L, O>
    where
        L: Listener,
        L::Io: Transport,
    {
        AxumListener { listener, lifecycle: self.clone() }.tap_io(|_| ())
    }

    /// Makes this layer the outermost of every connection of `axum::serve`, whose listener is
    /// [wrapped](Self::listener) by the same layer.
    ///
    /// `make_service` is a `Router`, or what its `into_make_service_with_connect_info::<SocketAddr>()` returns.
    pub fn make_service<M>(&self, make_service: M) -> MakeLifecycle<M, O> {
        MakeLifecycle { make_service, lifecycle: self.clone() }
    }
}

impl<L, O> Listener for AxumListener<L, O>
where
    L: Listener,
    L::Io: Transport,
    O: Observer,
{
    type Io = ListenerIo<L>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, L::Addr) {
        let (stream, address) = self.listener.accept().await;
        (self.lifecycle.wrap(stream, false), address)
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }
}

impl<'a, L, M, O, T> Service<IncomingStream<'a, L>> for MakeLifecycle<M, O>
where
    L: Listener<Io = Io<T>>,
    M: Service<IncomingStream<'a, L>, Error = Infallible>,
    O: Observer,
{
    type Response = Outermost<M::Response, O>;
    type Error = Infallible;
    type Future = MakeFuture<M::Future, O>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.make_service.poll_ready(cx)
    }

    fn call(&mut self, stream: IncomingStream<'a, L>) -> Self::Future {
        let connection = stream.io().connection();
        let made = self.make_service.call(stream);
        MakeFuture { made, connection, lifecycle: self.lifecycle.clone() }
    }
}

pin_project! {
    /// Response future for [`MakeLifecycle`].
    pub struct MakeFuture<F, O> {
        #[pin]
        made: F,
        connection: Connection,
        lifecycle: LifecycleLayer<O>,
    }
}

impl<F, S, O> Future for MakeFuture<F, O>
where
    F: Future<Output = Result<S, Infallible>>,
{
    type Output = Result<Outermost<S, O>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(service) = ready!(this.made.poll(cx));
        let service = this.lifecycle.layer(service).serving(this.connection, false);
        Poll::Ready(Ok(Outermost(service)))
    }
}

impl<S, O, B> Service<Request> for Outermost<S, O>
where
    S: Service<Request<RequestBody<Unwrapped>>, Response = Response<B>, Error = Infallible>,
    O: Observer,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError> + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = OutermostFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        OutermostFuture { inner: self.0.call(request.map(|inner| Unwrapped { inner })) }
    }
}

pin_project! {
    /// axum's request body, with errors as the server has made them: the router wraps them in its own, and would do so once
    /// more.
    pub struct Unwrapped {
        #[pin]
        inner: Body,
    }
}

impl http_body::Body for Unwrapped {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        self.project().inner.poll_frame(cx).map_err(axum::Error::into_inner)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl fmt::Debug for Unwrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unwrapped").finish_non_exhaustive()
    }
}

pin_project! {
    /// Response future for [`Outermost`].
    pub struct OutermostFuture<F> {
        #[pin]
        inner: ResponseFuture<F>,
    }
}

impl<F, B> Future for OutermostFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError> + 'static,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = ready!(self.project().inner.poll(cx));
        Poll::Ready(Ok(response.map(Body::new)))
    }
}

impl<S: Clone, O> Clone for Outermost<S, O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Clone, O> Clone for MakeLifecycle<M, O> {
    fn clone(&self) -> Self {
        Self { make_service: self.make_service.clone(), lifecycle: self.lifecycle.clone() }
    }
}

impl<L: fmt::Debug, O> fmt::Debug for AxumListener<L, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AxumListener").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl<M: fmt::Debug, O> fmt::Debug for MakeLifecycle<M, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MakeLifecycle")
            .field("make_service", &self.make_service)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, O> fmt::Debug for Outermost<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outermost").field(&self.0).finish()
    }
}

impl<F, O> fmt::Debug for MakeFuture<F, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MakeFuture").finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for OutermostFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutermostFuture").finish_non_exhaustive()
    }
}
