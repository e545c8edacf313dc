//! The three seams as rows of a table: a server through each, and a rig around it that tells a test what goes on inside.

use std::{fmt, future::pending, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, Request},
    http::StatusCode,
    middleware::map_request,
    routing::{any, get, post},
};
use futures_util::stream;
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tower_lifecycle::{
    Event, EventKind, Events, ExchangeHandle, Interest, LifecycleLayer, Observer,
    observe::{self, ChannelObserver},
    testing::{Client, MockBody, Recorder, Recording},
};

use super::panics;

/// Nothing in a test takes so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub type Builder = auto::Builder<TokioExecutor>;

/// How a layer and the connections of a server are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seam {
    /// `axum::serve`, with the listener and the service wrapped.
    Axum,
    /// hyper-util, with the stream and the service wrapped.
    Connection,
    /// `serve_connection`.
    Serve,
}

/// A server, until it is dropped. With [`Seam::Axum`] its connections outlive it, as those of axum do.
#[derive(Debug)]
pub struct Serving {
    pub addr: SocketAddr,
    task: AbortHandle,
}

/// A server through a seam, whose layer records, has handles, and tells what it hears as it hears it.
pub struct Rig {
    pub addr: SocketAddr,
    pub seam: Seam,
    pub recorder: Recorder,
    pub lifecycle: LifecycleLayer<Told>,
    serving: Option<Serving>,
    events: Events,
    begun: mpsc::UnboundedReceiver<ExchangeHandle>,
    gate: Arc<Semaphore>,
}

/// The recorder stands last: what it hears of a response it has written down when the channel tells.
pub type Told = (ChannelObserver, Recorder);

// ===== impl Seam =====

impl Seam {
    pub const ALL: [Self; 3] = [Self::Axum, Self::Connection, Self::Serve];

    /// Those whose connections end with the server, and are served by a builder of the test's.
    pub const DRIVEN: [Self; 2] = [Self::Connection, Self::Serve];

    /// Serves `app` on a port of loopback. `builder` is for those that are driven.
    pub async fn serve<O: Observer>(
        self,
        builder: Builder,
        lifecycle: &LifecycleLayer<O>,
        app: Router,
    ) -> Serving {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.serve_on(listener, builder, lifecycle, app)
    }

    pub fn serve_on<O: Observer>(
        self,
        listener: TcpListener,
        builder: Builder,
        lifecycle: &LifecycleLayer<O>,
        app: Router,
    ) -> Serving {
        let addr = listener.local_addr().unwrap();
        let lifecycle = lifecycle.clone();
        let task = tokio::spawn(async move {
            if self == Self::Axum {
                let listener = lifecycle.listener(listener);
                return axum::serve(listener, lifecycle.make_service(app)).await.unwrap();
            }
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Some(_) = connections.join_next(), if !connections.is_empty() => {}
                    accepted = listener.accept() => {
                        let (stream, _) = accepted.unwrap();
                        let app = app.clone();
                        if self == Self::Serve {
                            connections.spawn(lifecycle.serve_connection(&builder, stream, app));
                        } else {
                            let (io, service) = lifecycle.connection(stream, app);
                            let service = TowerToHyperService::new(service);
                            let builder = builder.clone();
                            connections.spawn(async move {
                                builder.serve_connection_with_upgrades(io, service).await
                            });
                        }
                    }
                }
            }
        });
        Serving { addr, task: task.abort_handle() }
    }
}

/// hyper-util's defaults, with a timer, as those have who ask for timeouts.
pub fn builder() -> Builder {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    builder
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// ===== impl Rig =====

impl Rig {
    pub async fn start(seam: Seam) -> Self {
        Self::with(seam, builder(), |lifecycle| lifecycle, |app| app).await
    }

    /// With another builder, and more said to the layer and to the app.
    pub async fn with(
        seam: Seam,
        builder: Builder,
        layered: impl FnOnce(LifecycleLayer<Told>) -> LifecycleLayer<Told>,
        routed: impl FnOnce(Router) -> Router,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, seam, builder, layered, routed)
    }

    pub fn on(
        listener: TcpListener,
        seam: Seam,
        builder: Builder,
        layered: impl FnOnce(LifecycleLayer<Told>) -> LifecycleLayer<Told>,
        routed: impl FnOnce(Router) -> Router,
    ) -> Self {
        panics::quiet();
        let recorder = Recorder::new().with_patience(PATIENCE);
        let (observer, events) = observe::channel(100_000);
        let observer = observer.with_interest(Interest::ALL);
        let lifecycle = LifecycleLayer::new((observer, recorder.clone()))
            .known_error::<axum::Error>()
            .hyper_errors()
            .with_handle();
        let lifecycle = layered(lifecycle);
        let gate = Arc::new(Semaphore::new(0));
        let (tells, begun) = mpsc::unbounded_channel();
        let app = routed(app(&gate)).layer(map_request(move |request: Request| {
            // The test may have heard enough.
            let handle = request.extensions().get::<ExchangeHandle>();
            let _ = handle.map(|handle| tells.send(handle.clone()));
            std::future::ready(request)
        }));
        let serving = seam.serve_on(listener, builder, &lifecycle, app);
        let addr = serving.addr;
        Self { addr, seam, recorder, lifecycle, serving: Some(serving), events, begun, gate }
    }

    pub async fn connect(&self) -> Client {
        Client::connect(self.addr).await.unwrap().with_patience(PATIENCE)
    }

    /// The next exchange that has come to the app.
    pub async fn begun(&mut self) -> ExchangeHandle {
        within("an exchange", self.begun.recv()).await.unwrap()
    }

    /// Waits for a hook.
    pub async fn hears(&mut self, is: fn(&EventKind) -> bool) -> Event {
        within("a hook", async {
            loop {
                let event = self.events.recv().await.unwrap();
                if is(&event.kind) {
                    return event;
                }
            }
        })
        .await
    }

    /// Waits for the response's end, which is not its finish.
    pub async fn hears_the_end(&mut self) -> Event {
        self.hears(|kind| matches!(kind, EventKind::ResponseEnd(_))).await
    }

    /// Lets one handler behind the gate go on.
    pub fn release(&self) {
        self.gate.add_permits(1);
    }

    /// Drops the server, and with it what it drives.
    pub fn stop(&mut self) {
        self.serving = None;
    }

    /// The only exchange, when it is over.
    pub async fn only(&self) -> Recording {
        self.recorder.settled(1).await;
        self.recorder.only()
    }

    /// All exchanges so far, when they are over, each with its grammar checked.
    pub async fn all(&self, count: usize) -> Vec<Recording> {
        let exchanges = self.recorder.settled(count).await;
        assert_eq!(exchanges.len(), count, "{exchanges:#?}");
        for exchange in &exchanges {
            exchange.assert_grammar();
        }
        exchanges
    }
}

impl fmt::Debug for Rig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rig").field("seam", &self.seam).finish_non_exhaustive()
    }
}

/// What a test waits for, which is to come.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} does not come"))
}

/// A handler for each way to answer.
pub fn app(gate: &Arc<Semaphore>) -> Router {
    let gate = Arc::clone(gate);
    let pass = async move || {
        gate.acquire().await.unwrap().forget();
        "hello"
    };
    let chunks = || stream::repeat_with(|| Ok::<_, axum::Error>(vec![b'x'; 10_000]));
    Router::new()
        .route("/full", any(async || "hello"))
        .route("/full/{n}", get(async || "hello"))
        .route("/size/{n}", get(async |Path(size): Path<usize>| vec![b'x'; size]))
        .route("/stream", get(async || Body::new(MockBody::stream(2))))
        .route("/trailers", get(async || Body::new(MockBody::with_trailers(2))))
        .route("/endless", get(async move || Body::from_stream(chunks())))
        .route("/hang", get(async || Body::new(MockBody::hangs_after(1))))
        .route("/empty", get(async || ()))
        .route("/204", get(async || StatusCode::NO_CONTENT))
        .route("/304", get(async || StatusCode::NOT_MODIFIED))
        .route("/echo", post(async |body: String| body))
        // Does not look whether all of it came.
        .route(
            "/careless",
            post(async |body: Body| {
                to_bytes(body, 1 << 30).await.map_or(0, |all| all.len()).to_string()
            }),
        )
        .route("/gate", any(pass))
        .route("/park", any(async |_: Body| pending::<()>().await))
        .route("/panic", any(async || -> () { panics::boom() }))
        .route("/panics", get(async || Body::new(MockBody::panics_after(1))))
}
