//! A server of every kind, with a drain, and clients that keep it busy.

use std::{
    future::{Future, pending, ready},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{
        Request,
        ws::{WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, Version, header},
    middleware::map_request,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use futures_util::stream;
use hyper_util::{rt::TokioExecutor, server::conn::auto, service::TowerToHyperService};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tower_lifecycle::{
    ExchangeHandle, LifecycleLayer, Server,
    inflight::{Drain, InFlight, Open, Report},
    park::{Lot, Outcome, Policy},
    testing::{Client, MockBody, Recorder, Step},
};

/// Nothing in a test takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a server is served, and what of it knows of the drain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// `axum::serve` through the seam.
    AxumSeam,
    /// `axum::serve`, and the layers in the router.
    Axum,
    /// hyper-util, in a loop of the user's.
    Hyper,
    /// Our own server.
    Server,
    /// `axum::serve`, which is not told to stop.
    Untold,
}

impl Kind {
    pub(crate) const TOLD: [Self; 4] = [Self::AxumSeam, Self::Axum, Self::Hyper, Self::Server];
    pub(crate) const SEAMS: [Self; 3] = [Self::AxumSeam, Self::Hyper, Self::Server];
}

pub(crate) struct Site {
    pub(crate) addr: SocketAddr,
    pub(crate) inflight: InFlight,
    pub(crate) recorder: Recorder,
    pub(crate) drain: Drain,
    pub(crate) lot: Lot<u32>,
    /// How many requests the drain has let in: an exchange has begun before it is.
    let_in: Arc<AtomicU64>,
    /// Dropped, `/block` goes on.
    pub(crate) gate: Option<mpsc::Sender<()>>,
    /// Ends with the server.
    served: Option<JoinHandle<()>>,
    /// Its threads: one of them may be blocked, with the timers of all.
    runtime: Option<Runtime>,
}

type Lifecycle = LifecycleLayer<(InFlight, Recorder)>;

impl Site {
    pub(crate) fn serve(kind: Kind) -> Self {
        Self::with(kind, true)
    }

    /// With the drain's layer, or without.
    pub(crate) fn with(kind: Kind, layered: bool) -> Self {
        Self::of(InFlight::new(), kind, layered)
    }

    pub(crate) fn of(inflight: InFlight, kind: Kind, layered: bool) -> Self {
        let recorder = Recorder::new().with_patience(PATIENCE);
        let lot = Lot::new(Policy::new());
        let drain = Drain::new(&inflight).lot(&lot, Duration::from_millis(50));
        let lifecycle = LifecycleLayer::new((inflight.clone(), recorder.clone()))
            .known_error::<axum::Error>()
            .with_handle();
        let (gate, blocked) = mpsc::channel();
        let let_in = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&let_in);
        let app = app(&lot, blocked).layer(map_request(move |request: Request| {
            counts.fetch_add(1, Ordering::Relaxed);
            ready(request)
        }));
        let app = if layered { app.layer(drain.layer()) } else { app };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        let stops = drain.clone();
        let served = runtime.spawn(async move {
            serve(kind, TcpListener::from_std(listener).unwrap(), lifecycle, app, stops).await;
        });
        let (gate, served, runtime) = (Some(gate), Some(served), Some(runtime));
        Self { addr, inflight, recorder, drain, lot, let_in, gate, served, runtime }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.addr).await.unwrap().with_patience(PATIENCE)
    }

    /// Waits until so many exchanges are open, and all that have begun were let in.
    pub(crate) async fn until_open(&self, open: usize) {
        until(|| self.inflight.counts().open == open && self.has_let_in()).await;
    }

    fn has_let_in(&self) -> bool {
        let opened = self.inflight.counts().opened;
        self.drain.is_draining() || self.let_in.load(Ordering::Relaxed) >= opened
    }

    /// Sends a request of HTTP/1, and waits until it has begun, and was let in.
    pub(crate) async fn ask(&self, text: &str) -> Client {
        let mut client = self.connect().await;
        self.ask_by(&mut client, text).await;
        client
    }

    pub(crate) async fn ask_by(&self, client: &mut Client, text: &str) {
        let opened = self.inflight.counts().opened;
        client.send(text).await.unwrap();
        until(|| self.inflight.counts().opened > opened && self.has_let_in()).await;
    }

    /// A WebSocket that is open.
    pub(crate) async fn websocket(&self) -> Client {
        let client = self.upgraded().await;
        until(|| self.inflight.counts().upgraded == 1).await;
        client
    }

    /// The same, which may not be shown.
    pub(crate) async fn upgraded(&self) -> Client {
        let mut client = self.connect().await;
        client.send(UPGRADE).await.unwrap();
        client.read_until("HTTP/1.1 101 ").await.unwrap();
        client.read_until("\r\n\r\n").await.unwrap();
        client
    }

    pub(crate) async fn drained(&self, deadline: Duration) -> Report {
        let runtime = self.runtime.as_ref().unwrap().handle().clone();
        let (run, (tell, told)) = (self.drain.run(deadline), oneshot::channel());
        thread::spawn(move || tell.send(runtime.block_on(run)).is_ok());
        timeout(PATIENCE, told).await.expect("it does not end").unwrap()
    }

    /// The server ends by itself.
    pub(crate) async fn ends(mut self) {
        timeout(PATIENCE, self.served.take().unwrap())
            .await
            .expect("the server does not end")
            .unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.gate = None;
        self.runtime.take().unwrap().shutdown_background();
    }
}

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

pub(crate) fn get_http1(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// Polls until it holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    let end = async {
        while !holds() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, end).await.expect("it does not come to hold");
}

/// Method and path of each, sorted.
pub(crate) fn names(open: &[Open]) -> Vec<String> {
    let mut names: Vec<_> =
        open.iter().map(|open| format!("{} {} {}", open.method, open.path(), open.state)).collect();
    names.sort();
    names
}

async fn serve(kind: Kind, listener: TcpListener, lifecycle: Lifecycle, app: Router, drain: Drain) {
    match kind {
        Kind::AxumSeam => {
            axum::serve(lifecycle.listener(listener), lifecycle.make_service(app))
                .with_graceful_shutdown(drain.begun())
                .await
                .unwrap();
        }
        Kind::Axum => {
            axum::serve(listener, app.layer(lifecycle))
                .with_graceful_shutdown(drain.begun())
                .await
                .unwrap();
        }
        Kind::Untold => axum::serve(listener, app.layer(lifecycle)).await.unwrap(),
        Kind::Server => {
            Server::new(listener, lifecycle).serve_until(app, drain.begun()).await.unwrap();
        }
        Kind::Hyper => {
            let mut connections = tokio::task::JoinSet::new();
            let mut begun = pin!(drain.begun());
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    () = &mut begun => break,
                };
                let (io, service) = lifecycle.connection(stream, app.clone());
                let begun = drain.begun();
                connections.spawn(async move {
                    let mut builder = auto::Builder::new(TokioExecutor::new());
                    builder.http2().enable_connect_protocol();
                    let service = TowerToHyperService::new(service);
                    let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
                    tokio::select! {
                        _ = &mut connection => return,
                        () = begun => connection.as_mut().graceful_shutdown(),
                    }
                    let _ = connection.await;
                });
            }
            while connections.join_next().await.is_some() {}
        }
    }
}

fn app(lot: &Lot<u32>, blocked: mpsc::Receiver<()>) -> Router {
    let (lot, blocked) = (lot.clone(), Arc::new(Mutex::new(blocked)));
    let park = async move |exchange: ExchangeHandle| {
        let slot = lot.park(1).unwrap().of(&exchange);
        match slot.wait(PATIENCE, async || None::<()>).await {
            Outcome::Draining => "nothing yet".into_response(),
            outcome => panic!("{outcome:?}"),
        }
    };
    let block = async move || {
        let _ = blocked.lock().unwrap().recv();
    };
    let length = || {
        let steps = [Step::Data(5), Step::Never];
        let headers: HeaderMap =
            [(header::CONTENT_LENGTH, "10".parse().unwrap())].into_iter().collect();
        (headers, Body::new(MockBody::new(&steps).streamed()))
    };
    // As a proxy has it from a server that is old.
    let old = || {
        let mut response = Response::new(Body::new(MockBody::hangs_after(1)));
        *response.version_mut() = Version::HTTP_10;
        response
    };
    Router::new()
        .route("/", get(async || "hello"))
        .route("/park", get(park))
        .route("/stream", get(async || Body::new(MockBody::hangs_after(1))))
        .route("/length", get(async move || length()))
        .route("/old", get(async move || old()))
        .route(
            "/endless",
            get(async || {
                Body::from_stream(stream::repeat_with(|| {
                    Ok::<_, axum::Error>([b'x'; 10_000].to_vec())
                }))
            }),
        )
        .route("/upload", post(async |body: String| body))
        .route("/unread", post(async |_: Body| pending::<()>().await))
        .route("/never", any(async || pending::<()>().await))
        .route("/block", get(block))
        .route("/ws", any(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo)))
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let _ = socket.send(message).await;
    }
}

/// No end of a body, and no end of a connection that stands for one.
pub(crate) fn assert_broken(read: std::io::Result<bytes::Bytes>) {
    match read {
        Ok(rest) => assert!(!rest.ends_with(b"0\r\n\r\n"), "{rest:?}"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

/// Runs a test on a thread of its own, so that it has timers whatever the server does.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(2 * PATIENCE, test).await.expect("the test hangs") });
}

/// Runs it for each of them, side by side: they wait most of the time.
pub(crate) fn each<T: Send>(cases: impl IntoIterator<Item = T>, test: impl AsyncFn(T) + Sync) {
    thread::scope(|scope| {
        for case in cases {
            let test = &test;
            scope.spawn(move || run(test(case)));
        }
    });
}
