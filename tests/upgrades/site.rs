//! A server that speaks WebSocket, behind any seam.

use std::{io, net::SocketAddr};

use axum::{
    Router,
    body::Body,
    extract::{
        Request,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{StatusCode, Version, header},
    response::Response,
    routing::{any, get},
};
use hyper_util::{rt::TokioExecutor, server::conn::auto, service::TowerToHyperService};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tower_lifecycle::{
    ConnectionSummary, ExchangeHandle, Hooks, LifecycleLayer, Observer, Reason, Server,
    UpgradeGuard, UpgradeSummary, testing::Recorder,
};

use crate::support::{
    panics::{boom, quiet},
    rows::PATIENCE,
};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Seam {
    /// `axum::serve`.
    Axum,
    /// hyper-util, in a loop of the user's.
    Connection,
    /// Our own server, by `serve_connection`.
    Server,
}

pub(crate) const SEAMS: [Seam; 3] = [Seam::Axum, Seam::Connection, Seam::Server];

pub(crate) struct Site {
    pub(crate) addr: SocketAddr,
    pub(crate) recorder: Recorder,
    upgrades: mpsc::UnboundedReceiver<UpgradeSummary>,
    task: AbortHandle,
}

impl Site {
    pub(crate) async fn serve(seam: Seam) -> Self {
        quiet();
        let (tell, upgrades) = mpsc::unbounded_channel();
        let hooks = Hooks::new().on_upgrade_close(move |summary| drop(tell.send(summary.clone())));
        let recorder = Recorder::new();
        let lifecycle = LifecycleLayer::new((recorder.clone(), hooks)).with_handle();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = match seam {
            Seam::Axum => tokio::spawn(async move {
                let service = lifecycle.make_service(app());
                axum::serve(lifecycle.listener(listener), service).await
            }),
            Seam::Connection => tokio::spawn(accept(listener, lifecycle)),
            Seam::Server => tokio::spawn(Server::new(listener, lifecycle).serve(app())),
        };
        Self { addr, recorder, upgrades, task: task.abort_handle() }
    }

    /// Drops the server. Of those here only [`Seam::Server`] has its connections with it.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }

    /// A WebSocket that is open is no connection that is over.
    pub(crate) fn assert_lives(&self) {
        assert_eq!(self.recorder.connections().len(), 0);
    }

    /// The next upgrade whose guard was dropped.
    pub(crate) async fn upgrade(&mut self) -> UpgradeSummary {
        timeout(PATIENCE, self.upgrades.recv()).await.expect("a guard is dropped").unwrap()
    }

    /// The only connection, which is over, with all that was told of it.
    pub(crate) async fn connection(mut self) -> ConnectionSummary {
        let [connection] = self.recorder.disconnected(1).await.try_into().unwrap();
        assert_eq!((connection.connection.open_exchanges(), self.recorder.opened()), (0, 1));
        let open = connection.connection.open_upgrades();
        assert_eq!(open, 0, "upgrades are open of a connection that is over");
        assert!(self.upgrades.try_recv().is_err(), "an upgrade is over twice");
        connection
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept<O: Observer>(
    listener: TcpListener,
    lifecycle: LifecycleLayer<O>,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let (io, service) = lifecycle.connection(stream, app());
        connections.spawn(async move {
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http2().enable_connect_protocol();
            let service = TowerToHyperService::new(service);
            drop(builder.serve_connection_with_upgrades(io, service).await);
        });
    }
}

fn app() -> Router {
    Router::new()
        .route("/bare", any(bare))
        .route("/guarded", any(guarded))
        .route("/refused", any(async || StatusCode::FORBIDDEN))
        .route("/unawaited", any(unawaited))
        .route("/ignored", get(ignored))
        .route("/plain", get(async || "hello"))
}

async fn bare(exchange: ExchangeHandle, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| serve(exchange, None, socket))
}

async fn guarded(exchange: ExchangeHandle, upgrade: WebSocketUpgrade) -> Response {
    let guard = exchange.connection().unwrap().guard_upgrade();
    upgrade.on_upgrade(|socket| serve(exchange, Some(guard), socket))
}

/// Answers what is known of the connection, until it is told to go. The socket is dropped before the guard.
async fn serve(exchange: ExchangeHandle, guard: Option<UpgradeGuard>, mut socket: WebSocket) {
    assert_eq!(exchange.closed().await.reason, Reason::Upgraded);
    let connection = exchange.connection().unwrap();
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        if let Some(guard) = &guard {
            guard.received(text.len() as u64);
        }
        match text.as_str() {
            "panic" => boom(),
            "leave" => return,
            text => {
                let open = (connection.open_upgrades(), connection.open_exchanges());
                socket.send(Message::text(format!("{text}: {open:?} open"))).await.unwrap();
            }
        }
    }
}

/// Grants what nobody is there to take over.
async fn unawaited(request: Request) -> Response {
    let response = Response::builder();
    let response = match request.version() {
        Version::HTTP_2 => response,
        _ => response
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket"),
    };
    response.body(Body::empty()).unwrap()
}

/// Would take the connection over, and does not offer it.
async fn ignored(request: Request) -> &'static str {
    tokio::spawn(async { drop(hyper::upgrade::on(request).await) });
    "ignored"
}
