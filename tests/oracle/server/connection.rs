//! One connection: hyper's, with the limits that the scenario sets, and what the server orders.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto::{self, UpgradeableConnection},
    service::TowerToHyperService,
};
use tokio::{net::TcpStream, sync::mpsc::UnboundedReceiver};
use tower_lifecycle::{LifecycleLayer, ServeConnection, testing::Recorder};

use super::service::{App, Busy};
use crate::{journal::Journal, scenario::Server as Config};

/// What Node allows the head of a request, unless told.
const HEAD: usize = 16 << 10;

/// Node adds it to the time that an idle connection is kept.
const GRACE: Duration = Duration::from_secs(1);

/// What the server wants of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// No more requests; then close.
    Finish,
    /// The same, if there is no request.
    FinishIfIdle,
    /// Now.
    Drop,
}

/// How the layer learns of connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Seam {
    /// By a stream and a service that it has wrapped, and hyper drives.
    Connection,
    /// By driving hyper.
    OwnLoop,
}

/// How connections are served.
#[derive(Clone)]
pub(super) struct Setup {
    seam: Seam,
    builder: auto::Builder<TokioExecutor>,
    /// A connection is dropped after so long a silence.
    idle: Option<Duration>,
    journal: Journal,
}

impl Setup {
    pub(super) fn new(seam: Seam, config: &Config, journal: Journal) -> Self {
        let head = config.limit(|limits| limits.headers_timeout).map(Duration::from_millis);
        let keep = config.limit(|limits| limits.keep_alive_timeout).map(Duration::from_millis);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // To hyper an idle connection is one that waits for a head.
            .header_read_timeout(head.or(keep.map(|keep| keep + GRACE)))
            .half_close(config.allows_half_open())
            .max_buf_size(config.limit(|limits| limits.max_header_size).unwrap_or(HEAD).max(8192));
        let obeys = config.timeout_listener.as_deref().is_none_or(|does| does == "destroy");
        let idle = config.limit(|limits| limits.timeout).filter(|ms| obeys && *ms > 0);
        Self { seam, builder, idle: idle.map(Duration::from_millis), journal }
    }

    /// Waits for the silence after which a connection is dropped.
    async fn idle(&self) {
        match self.idle {
            Some(idle) => self.journal.wait_quiet(idle).await,
            None => std::future::pending().await,
        }
    }
}

/// Where the layer meets the connection.
pub(super) async fn serve(
    stream: TcpStream,
    layer: LifecycleLayer<(Recorder, Journal)>,
    app: App,
    setup: Setup,
    orders: UnboundedReceiver<Order>,
) {
    setup.journal.tell("srv.connection");
    let _ = stream.set_nodelay(true);
    let busy = app.busy().clone();
    match setup.seam {
        Seam::Connection => {
            let (io, service) = layer.connection(stream, app);
            let service = TowerToHyperService::new(service);
            let serving = setup.builder.serve_connection_with_upgrades(io, service);
            drive(serving, UpgradeableConnection::graceful_shutdown, &setup, &busy, orders).await;
        }
        Seam::OwnLoop => {
            let serving = layer.serve_connection(&setup.builder, stream, app);
            drive(serving, ServeConnection::graceful_shutdown, &setup, &busy, orders).await;
        }
    }
    setup.journal.tell("sock.close");
}

/// Serves until the connection ends, or is dropped by order.
async fn drive<C: Future>(
    serving: C,
    finish: impl Fn(Pin<&mut C>),
    setup: &Setup,
    busy: &Busy,
    mut orders: UnboundedReceiver<Order>,
) {
    let mut serving = pin!(serving);
    loop {
        tokio::select! {
            // How it ended is what the exchanges and the client say.
            _ = serving.as_mut() => break,
            () = setup.idle() => break,
            order = orders.recv() => match order {
                Some(Order::FinishIfIdle) if !busy.is_idle() => {}
                Some(Order::Finish | Order::FinishIfIdle) => finish(serving.as_mut()),
                Some(Order::Drop) | None => break,
            },
        }
    }
}
