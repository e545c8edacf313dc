//! The server under test: hyper's own, with the layer around a service that does what the scenario says.

mod body;
mod connection;
mod handler;
mod output;
mod request;
mod service;
mod upgrade;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::mpsc::{self, UnboundedSender},
    task::JoinSet,
    time,
};
use tower_lifecycle::{LifecycleLayer, testing::Recorder};

pub(crate) use self::connection::Seam;
use self::{
    connection::{Order, Setup, serve},
    service::App,
};
use crate::{
    journal::Journal,
    scenario::{Action, Scenario},
};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

/// Serves one scenario, until it is dropped.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) journal: Journal,
    pub(crate) recorder: Recorder,
    /// For how long a handler may be silent, as far as it knows.
    pub(crate) longest_wait: Duration,
    control: Control,
    _accepting: JoinSet<()>,
}

/// Reaches all connections. Clones reach the same.
#[derive(Clone, Default)]
pub(crate) struct Control(Arc<Mutex<Links>>);

#[derive(Default)]
struct Links {
    closing: bool,
    connections: Vec<UnboundedSender<Order>>,
}

impl Server {
    pub(crate) async fn start(scenario: &Arc<Scenario>, seam: Seam) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let (journal, recorder, control) = (Journal::new(), Recorder::new(), Control::default());
        let layer = LifecycleLayer::new((recorder.clone(), journal.clone()))
            .with_handle()
            .hyper_errors()
            .cancel_on_disconnect()
            .half_close(scenario.server.allows_half_open());
        let setup = Setup::new(seam, &scenario.server, journal.clone());
        let app = App::new(Arc::clone(scenario), journal.clone(), control.clone());
        let mut accepting = JoinSet::new();
        let links = control.clone();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (link, orders) = mpsc::unbounded_channel();
                if !links.add(link.clone()) {
                    continue;
                }
                let (setup, layer, app) = (setup.clone(), layer.clone(), app.on(link));
                connections.spawn(async move { serve(stream, layer, app, setup, orders).await });
            }
        });
        let longest_wait = Duration::from_millis(scenario.longest_wait_ms());
        Ok(Self { addr, journal, recorder, longest_wait, control, _accepting: accepting })
    }

    /// Waits until no exchange is open.
    pub(crate) async fn settled(&self) {
        while !self.recorder.exchanges().iter().all(|exchange| exchange.dropped) {
            time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn act(&self, action: Action) {
        self.control.act(action);
    }
}

impl Control {
    /// False when the server does not take connections any more.
    fn add(&self, link: UnboundedSender<Order>) -> bool {
        let mut links = self.0.lock().unwrap();
        links.connections.push(link);
        !links.closing
    }

    fn act(&self, action: Action) {
        let order = match action {
            Action::Close | Action::H2SessionClose | Action::H2Goaway => Order::Finish,
            Action::CloseIdle => Order::FinishIfIdle,
            Action::CloseAll | Action::H2SessionDestroy => Order::Drop,
        };
        let mut links = self.0.lock().unwrap();
        links.closing |= action == Action::Close;
        // Those that are closed do not hear it.
        links.connections.retain(|link| link.send(order).is_ok());
    }
}
