//! A server on loopback whose one handler does what a situation says, and a client that leaves it.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use axum::{
    Router, body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, future::ready, stream};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time,
};
use tower_lifecycle::{
    Disconnect, ExchangeHandle, Hooks, LifecycleLayer, Observer,
    testing::{Http2Frame, Recorder},
};

use crate::{
    situations::{Body, Hyper, Situation, Then, Way},
    support::{
        client::{Act, Client, Received},
        server::Signals,
    },
};

/// How the connection is served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Via {
    /// `axum::serve`, whose hyper cannot be told to allow closed sides.
    Axum,
    /// hyper-util in a loop.
    Hyper,
}

/// What the test sees of the handler.
#[derive(Debug)]
pub(crate) struct Stage {
    situation: Situation,
    signals: Signals,
    gone: AtomicBool,
    handle: Mutex<Option<ExchangeHandle>>,
}

/// Notes that the handler was dropped.
struct Alive(Option<Arc<Stage>>);

/// A client and the handler that it waits for.
pub(crate) struct Scene {
    stage: Arc<Stage>,
    client: Client,
    http2: bool,
    _server: Server,
}

struct Server {
    addr: SocketAddr,
    task: AbortHandle,
}

/// A layer whose disconnects can be waited for.
pub(crate) fn observed(
    recorder: &Recorder,
) -> (LifecycleLayer<(Recorder, Hooks)>, mpsc::UnboundedReceiver<Disconnect>) {
    let (tell, told) = mpsc::unbounded_channel();
    let hooks = Hooks::new().on_disconnect(move |disconnect| {
        let _ = tell.send(disconnect);
    });
    (LifecycleLayer::new((recorder.clone(), hooks)), told)
}

/// Of what happens, if it does, at once.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    time::timeout(Duration::from_secs(10), what).await.expect("it comes in time")
}

/// Long enough for what should not happen.
pub(crate) async fn a_while() {
    time::sleep(Duration::from_millis(50)).await;
}

// ===== the handler =====

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(stage) = self.0.take() {
            stage.gone.store(true, Ordering::Release);
            stage.signals.left.notify_one();
        }
    }
}

async fn handle(State(stage): State<Arc<Stage>>, request: Request) -> Response {
    if request.uri().path() == "/next" {
        return "next".into_response();
    }
    let alive = Alive(Some(Arc::clone(&stage)));
    *stage.handle.lock().unwrap() = request.extensions().get().cloned();
    let Situation { body: what, then, .. } = stage.situation;
    let mut body = Some(request.into_body());
    let mut status = StatusCode::OK;
    match (what, &mut body) {
        (Body::Begun, Some(body)) => drop(body.frame().await),
        (Body::Read, Some(body)) => {
            while let Some(frame) = body.frame().await {
                stage.signals.read.notify_one();
                if frame.is_err() {
                    // Over HTTP/2 it would be told so for ever.
                    status = StatusCode::BAD_REQUEST;
                    break;
                }
            }
        }
        _ => {}
    }
    if matches!(what, Body::Dropped | Body::Read) {
        body = None;
    }
    if then == Then::Streams {
        let last = async move {
            park(&stage, alive).await;
            "more"
        };
        let frames = stream::once(ready("hello")).chain(stream::once(last));
        return body::Body::from_stream(frames.map(Ok::<_, std::io::Error>)).into_response();
    }
    if matches!(then, Then::Blocks | Then::BlocksAndAnswers) {
        stage.signals.parked.notify_one();
        thread::sleep(Duration::from_millis(50));
    }
    if then == Then::BlocksAndAnswers {
        stage.signals.release.notify_one();
    }
    park(&stage, alive).await;
    drop(body);
    (status, "ok").into_response()
}

async fn park(stage: &Stage, mut alive: Alive) {
    stage.signals.parked.notify_one();
    stage.signals.release.notified().await;
    alive.0 = None;
}

// ===== impl Server =====

impl Server {
    async fn start<O: Observer>(
        via: Via,
        layer: Option<LifecycleLayer<O>>,
        stage: Arc<Stage>,
    ) -> Self {
        let half_close = stage.situation.half_close;
        let app = Router::new().fallback(handle).with_state(stage);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = match (via, layer) {
            (Via::Axum, None) => tokio::spawn(async { axum::serve(listener, app).await.unwrap() }),
            (Via::Axum, Some(layer)) => tokio::spawn(async move {
                axum::serve(layer.listener(listener), layer.make_service(app)).await.unwrap();
            }),
            (Via::Hyper, layer) => tokio::spawn(accept(listener, layer, app, half_close)),
        };
        Self { addr, task: task.abort_handle() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<O: Observer>(
    listener: TcpListener,
    layer: Option<LifecycleLayer<O>>,
    app: Router,
    half_close: bool,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().half_close(half_close);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (builder, app) = (builder.clone(), app.clone());
        match &layer {
            None => connections.spawn(async move {
                let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(app));
                drop(builder.serve_connection_with_upgrades(io, service).await);
            }),
            Some(layer) => {
                let (io, service) = layer.connection(stream, app);
                let service = TowerToHyperService::new(service);
                connections.spawn(async move {
                    drop(builder.serve_connection_with_upgrades(io, service).await);
                })
            }
        };
    }
}

// ===== impl Scene =====

impl Scene {
    /// Until the handler is where the situation wants it.
    pub(crate) async fn begin<O: Observer>(
        situation: Situation,
        http2: bool,
        via: Via,
        layer: Option<LifecycleLayer<O>>,
    ) -> Self {
        let stage = Arc::new(Stage {
            situation,
            signals: Signals::default(),
            gone: AtomicBool::new(false),
            handle: Mutex::default(),
        });
        let server = Server::start(via, layer, Arc::clone(&stage)).await;
        let client = Client::connect(server.addr).await;
        let mut scene = Self { stage, client, http2, _server: server };
        let http1 = [Act::Send(situation.http1)];
        scene.play(if http2 { situation.http2 } else { &http1 }).await;
        if situation.then == Then::Streams && !http2 {
            scene.play(&[Act::Read("hello\r\n")]).await;
        }
        let signals = &scene.stage.signals;
        let there = if situation.hyper == Hyper::Tells { &signals.read } else { &signals.parked };
        within(there.notified()).await;
        scene
    }

    pub(crate) async fn leave(&mut self, way: Way) {
        self.play(&[way.act()]).await;
    }

    /// Until the handler was dropped.
    pub(crate) async fn until_gone(&self) {
        within(self.stage.signals.left.notified()).await;
    }

    /// Until the handler, which was told of an error, has come so far.
    pub(crate) async fn until_parked(&self) {
        within(self.stage.signals.parked.notified()).await;
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.stage.gone.load(Ordering::Acquire)
    }

    pub(crate) fn release(&self) {
        self.stage.signals.release.notify_one();
    }

    pub(crate) fn handle(&self) -> ExchangeHandle {
        self.stage.handle.lock().unwrap().clone().expect("the layer has handles")
    }

    /// Whether a client that has closed its own side alone is answered in full. It reads until it is, or the server closes.
    pub(crate) async fn is_answered(&mut self) -> bool {
        let read = if self.http2 { Act::ReadStream(1) } else { Act::ReadToEnd };
        self.play(&[read]).await;
        let Received { text, frames, end } = self.client.received();
        if self.http2 {
            return frames.iter().any(|frame| {
                let carries = matches!(frame.kind, Http2Frame::DATA | Http2Frame::HEADERS);
                carries && frame.flags & Http2Frame::END_STREAM != 0
            });
        }
        let text = String::from_utf8_lossy(&text.0);
        let (whole, nothing) = if self.stage.situation.then == Then::Streams {
            (text.ends_with("4\r\nmore\r\n0\r\n\r\n"), text.ends_with("\r\n\r\n5\r\nhello\r\n"))
        } else {
            // A further request may be answered too.
            (text.contains("\r\n\r\nok"), text.is_empty())
        };
        assert!(
            end.is_some() && (whole || nothing),
            "neither an answer nor none: {text:?} {end:?}"
        );
        whole
    }

    async fn play(&mut self, acts: &[Act]) {
        self.client.play(acts, &self.stage.signals).await;
    }
}

/// Until it holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    within(async {
        while !holds() {
            time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
