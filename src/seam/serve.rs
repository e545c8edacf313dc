//! Driving one connection: hyper-util serves it, and what it has shown is told after each poll.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::TokioExecutor,
    server::conn::auto::{Builder, HttpServerConnExec, UpgradeableConnection},
    service::TowerToHyperService,
};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::TrackedBody;
use crate::{
    Lifecycle, LifecycleLayer, Observer, RequestBody, ResponseFuture,
    conn::{Connection, Context, Transport},
};

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

pin_project! {
    /// One connection that is served: what [`LifecycleLayer::serve_connection`] returns. A future, to be awaited or spawned.
    ///
    /// It ends with hyper's result when the connection does, or when HTTP/1 was upgraded to something else. Dropping it drops
    /// the connection.
    #[must_use = "a connection is served while this is polled"]
    pub struct ServeConnection<C> {
        // `None` once it is over.
        #[pin]
        served: Option<C>,
        context: Arc<Context>,
    }

    impl<C> PinnedDrop for ServeConnection<C> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.served.set(None);
            this.context.settle();
        }
    }
}

/// A connection of hyper-util. Named by what `serve_connection` returns alone.
#[expect(unnameable_types, reason = "`ServeConnection` alone is to be named")]
pub trait Serving: Future<Output = Result<(), BoxError>> {
    /// Ends it when what is open is done.
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<O: Observer> LifecycleLayer<O> {
    /// Serves one accepted connection by `builder`, HTTP/1 or HTTP/2 as the peer speaks, with upgrades.
    ///
    /// To [`connection`](Self::connection) with the same builder it adds what only the one who drives a connection can tell:
    /// that an HTTP/2 response was [`Flushed`](crate::Finish::Flushed), if its body says by `is_end_stream` which frame is its
    /// last and it has no trailers; what was wrong with a head ([`ConnectionReason`](crate::ConnectionReason)); and that a keep-alive ping had no answer.
    ///
    /// ```no_run
    /// # use axum::{Router, routing::get};
    /// # async fn run() -> std::io::Result<()> {
    /// use hyper_util::{rt::TokioExecutor, server::conn::auto};
    /// use tokio::net::TcpListener;
    /// use tower_lifecycle::{Hooks, LifecycleLayer};
    ///
    /// let app: Router = Router::new().route("/", get(async || "Hello"));
    /// let lifecycle = LifecycleLayer::new(Hooks::new().on_close(|summary| println!("{}", summary.close)));
    /// let builder = auto::Builder::new(TokioExecutor::new());
    /// let listener = TcpListener::bind("127.0.0.1:3000").await?;
    /// loop {
    ///     let (stream, _) = listener.accept().await?;
    ///     tokio::spawn(lifecycle.serve_connection(&builder, stream, app.clone()));
    /// }
    /// # }
    /// ```
    pub fn serve_connection<T, S, B>(
        &self,
        builder: &Builder<TokioExecutor>,
        stream: T,
        service: S,
    ) -> ServeConnection<impl Serving + Send + use<T, S, B, O>>
    where
        T: Transport,
        S: Service<Request<RequestBody<Incoming>>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError> + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError> + 'static,
    {
        let io = self.wrap(stream, true);
        let context = io.connection().0;
        let connection = Connection(Arc::clone(&context));
        let service = Tracking(self.layer(service).serving(&connection, true));
        let served = builder.serve_connection_with_upgrades(io, TowerToHyperService::new(service));
        ServeConnection { served: Some(served.into_owned()), context }
    }
}

impl<C: Serving> ServeConnection<C> {
    /// Ends it when what is open is done: an idle connection at once. To be polled on.
    pub fn graceful_shutdown(self: Pin<&mut Self>) {
        if let Some(served) = self.project().served.as_pin_mut() {
            served.graceful_shutdown();
        }
    }

    /// The connection.
    pub fn connection(&self) -> Connection {
        Connection(Arc::clone(&self.context))
    }
}

impl<C: Serving> Future for ServeConnection<C> {
    type Output = Result<(), BoxError>;

    /// # Panics
    /// When polled after it was ready.
    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let served = this.served.as_mut().as_pin_mut();
        let polled = served.expect("`ServeConnection` polled after it was ready").poll(task);
        if let Poll::Ready(result) = &polled {
            if let Err(error) = result {
                this.context.ended_with(&**error);
            }
            this.served.set(None);
        }
        // h2 holds no lock here.
        this.context.settle();
        polled
    }
}

impl<I, S, B> Serving for UpgradeableConnection<'static, I, S, TokioExecutor>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>>,
    S::Future: 'static,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    TokioExecutor: HttpServerConnExec<S::Future, B>,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// The outermost service of a connection whose buffers are seen.
struct Tracking<S, O>(Lifecycle<S, O>);

impl<S: Clone, O> Clone for Tracking<S, O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S, O, B> Service<Request<Incoming>> for Tracking<S, O>
where
    S: Service<Request<RequestBody<Incoming>>, Response = Response<B>>,
    S::Error: 'static,
    O: Observer,
    B: Body,
{
    type Response = Response<TrackedBody<B>>;
    type Error = S::Error;
    type Future = TrackingFuture<S::Future>;

    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), S::Error>> {
        Service::<Request<Incoming>>::poll_ready(&mut self.0, task)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        TrackingFuture { inner: self.0.call(request) }
    }
}

pin_project! {
    struct TrackingFuture<F> {
        #[pin]
        inner: ResponseFuture<F>,
    }
}

impl<F, B, E> Future for TrackingFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: 'static,
{
    type Output = Result<Response<TrackedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().inner.poll(task))?;
        Poll::Ready(Ok(response.map(TrackedBody::new)))
    }
}

impl<C> fmt::Debug for ServeConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeConnection").field("context", &self.context).finish_non_exhaustive()
    }
}
