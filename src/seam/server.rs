//! A short accept loop.

use std::{
    fmt,
    future::{Future, pending},
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto::Builder,
};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tower_service::Service;

use super::serve::{BoxError, Serving};
use crate::{
    Connection, ConnectionReason, LifecycleLayer, Observer, RequestBody, ServeConnection,
    conn::Transport,
};

/// A server: accepts connections, and serves each by [`serve_connection`](LifecycleLayer::serve_connection).
///
/// It has what `axum::serve` leaves out: a timeout for heads, a service of any kind without a box around its bodies, and an
/// end that is bounded.
///
/// ```no_run
/// # use axum::{Router, routing::get};
/// # async fn run() -> std::io::Result<()> {
/// use std::time::Duration;
/// use tokio::net::TcpListener;
/// use tower_lifecycle::{Hooks, LifecycleLayer, Server};
///
/// let app: Router = Router::new().route("/", get(async || "Hello"));
/// let lifecycle = LifecycleLayer::new(Hooks::new().on_close(|summary| println!("{}", summary.close)));
/// let listener = TcpListener::bind("127.0.0.1:3000").await?;
/// Server::new(listener, lifecycle)
///     .grace(Duration::from_secs(10))
///     .serve_until(app, async { tokio::signal::ctrl_c().await.unwrap_or(()) })
///     .await
/// # }
/// ```
#[must_use = "a server does nothing until it serves"]
pub struct Server<L, O> {
    listener: L,
    lifecycle: LifecycleLayer<O>,
    builder: Builder<TokioExecutor>,
    header_timeout: Duration,
    grace: Option<Duration>,
}

/// Where connections come from.
///
/// Implemented for tokio's listeners and, with the feature `tokio-rustls`, for `TlsListener`.
pub trait Accept: Send {
    /// What it accepts.
    type Stream: Transport + Send + 'static;

    /// The next connection. Cancel safe.
    ///
    /// # Errors
    /// Of one connection, or of the system, which has too many open files. The server waits and goes on.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        Ok(Self::accept(self).await?.0)
    }
}

#[cfg(unix)]
impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&mut self) -> io::Result<UnixStream> {
        Ok(Self::accept(self).await?.0)
    }
}

impl<L: Accept, O: Observer> Server<L, O> {
    /// A server with hyper-util's defaults, a timeout of 30 seconds for heads, and no end to its patience.
    pub fn new(listener: L, lifecycle: LifecycleLayer<O>) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new());
        // For WebSockets.
        builder.http2().timer(TokioTimer::new()).enable_connect_protocol();
        Self { listener, lifecycle, builder, header_timeout: Duration::from_secs(30), grace: None }
    }

    /// How HTTP is spoken. What it says of timers and of the timeout for heads is kept; hyper asks for a timer where it has a
    /// timeout. [`header_timeout`](Self::header_timeout) goes on to bound the time until the version is known.
    pub fn builder(self, builder: Builder<TokioExecutor>) -> Self {
        Self { builder, ..self }
    }

    /// How long a head may take: on HTTP/1 each, from the connection's start or the end of the last response, so it is how
    /// long a connection may be idle, too; on any the first 24 bytes, by which HTTP/2 is told from HTTP/1. A connection of HTTP/2
    /// on which nothing is open, and nothing was asked for so long, is told to go away, and dropped when it has not gone as long after.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        // hyper adds it to the time.
        let timeout = timeout.min(YEAR);
        self.builder.http1().timer(TokioTimer::new()).header_read_timeout(timeout);
        Self { header_timeout: timeout, ..self }
    }

    /// How long [`serve_until`](Self::serve_until) waits for what is open when it ends. Without it, as long as it takes.
    ///
    /// What was upgraded over HTTP/1 is its own task's, and not waited for; over HTTP/2 it is a stream like others.
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace: Some(grace), ..self }
    }

    /// Serves until the future is dropped, and with it all connections.
    ///
    /// # Errors
    /// Never: what a connection fails by is told to the observer.
    pub async fn serve<S, B>(self, service: S) -> io::Result<()>
    where
        S: Service<Request<RequestBody<Incoming>>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError> + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError> + 'static,
    {
        self.serve_until(service, pending()).await
    }

    /// Serves until `signal`, then accepts no more, lets what is open end, and drops what is not done after the
    /// [grace](Self::grace): such an exchange closes with [`Shutdown`](crate::Reason::Shutdown).
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) when exchanges had to be cut off. A connection that asks nothing is closed without.
    pub async fn serve_until<S, B>(
        mut self,
        service: S,
        signal: impl Future<Output = ()>,
    ) -> io::Result<()>
    where
        S: Service<Request<RequestBody<Incoming>>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError> + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError> + 'static,
    {
        let mut signal = pin!(signal);
        let (ends, ended) = watch::channel(());
        let mut connections = JoinSet::new();
        let cut = Arc::new(AtomicU64::new(0));
        loop {
            tokio::select! {
                () = &mut signal => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok(stream) => {
                        let served = self.lifecycle.serve_connection(&self.builder, stream, service.clone());
                        let (served, cut) = (Box::pin(served), Arc::clone(&cut));
                        connections.spawn(drive(served, self.header_timeout, ended.clone(), cut));
                    }
                    Err(error) => super::pause(&error).await,
                },
            }
        }
        drop(self.listener);
        drop(ends);
        let drained = async { while connections.join_next().await.is_some() {} };
        match self.grace {
            None => drained.await,
            Some(grace) => {
                if timeout(grace, drained).await.is_err() {
                    let before = cut.load(Ordering::Relaxed);
                    connections.shutdown().await;
                    let cut = cut.load(Ordering::Relaxed) - before;
                    if cut > 0 {
                        let message = format!(
                            "{cut} exchange(s) were not over after {grace:?}, and were cut off"
                        );
                        return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Serves one connection, with an eye on its beginning, on its idle times, and on the end of the server.
async fn drive<C: Serving>(
    mut served: Pin<Box<ServeConnection<C>>>,
    header_timeout: Duration,
    mut ended: watch::Receiver<()>,
    cut: Arc<AtomicU64>,
) {
    // Dropped before the connection.
    let driven = Driven { connection: served.connection(), cut };
    let connection = &driven.connection;
    let mut tick = pin!(sleep(header_timeout));
    let mut begun = 0;
    let mut goes_on = true;
    loop {
        tokio::select! {
            // How it ended is told to the observer.
            _ = &mut served => return,
            () = &mut tick => {
                // hyper-util has no timer while it waits for the bytes that tell the version.
                if connection.exchanges() == 0 && connection.received() < PREFACE {
                    connection.0.tell(ConnectionReason::HeaderTimeout);
                    return;
                }
                // Nor has HTTP/2, while nothing is asked. On HTTP/1 hyper's own is here first.
                let idle = connection.exchanges() == begun && driven.open() == 0;
                if idle && !goes_on {
                    return;
                }
                if idle {
                    goes_on = false;
                    served.as_mut().graceful_shutdown();
                }
                begun = connection.exchanges();
                tick.as_mut().reset(Instant::now() + header_timeout);
            }
            _ = ended.changed(), if goes_on => {
                goes_on = false;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Counts what is cut off, where the task is dropped before its connection is done.
struct Driven {
    connection: Connection,
    cut: Arc<AtomicU64>,
}

impl Driven {
    fn open(&self) -> u64 {
        self.connection.open_exchanges() + self.connection.open_upgrades()
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.cut.fetch_add(self.open(), Ordering::Relaxed);
    }
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The length of HTTP/2's preface (RFC 9113 section 3.4).
const PREFACE: u64 = 24;

impl<L: fmt::Debug, O> fmt::Debug for Server<L, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listener", &self.listener)
            .field("header_timeout", &self.header_timeout)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
