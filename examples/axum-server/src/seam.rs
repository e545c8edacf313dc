//! The seam for axum-server: its acceptors may replace the stream and the service of a connection.

use std::{
    future::{Future, Ready, ready},
    io,
    pin::Pin,
};

use axum_server::accept::Accept;
use tokio::net::TcpStream;
use tower_lifecycle::{
    Hooks, Lifecycle, LifecycleLayer,
    conn::{Io, Transport, Watched},
};

/// Around all other acceptors: joins the layer to what they have made.
#[derive(Clone)]
pub(crate) struct Seam<A> {
    pub(crate) lifecycle: LifecycleLayer<Hooks>,
    pub(crate) inner: A,
}

/// Inside of all others: has the socket watched below TLS.
#[derive(Clone, Copy)]
pub(crate) struct Watch;

type Accepting<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl<A, I, S> Accept<I, S> for Seam<A>
where
    A: Accept<I, S, Stream: Transport, Future: Send + 'static>,
{
    type Stream = Io<<A::Stream as Transport>::Io>;
    type Service = Lifecycle<A::Service, Hooks>;
    type Future = Accepting<(Self::Stream, Self::Service)>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let lifecycle = self.lifecycle.clone();
        let accepted = self.inner.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            Ok(lifecycle.connection(stream, service))
        })
    }
}

impl<S> Accept<TcpStream, S> for Watch {
    type Stream = Watched<TcpStream>;
    type Service = S;
    type Future = Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(Ok((Watched::new(stream), service)))
    }
}
