//! The server: a handler that never answers, behind each of the subjects, and what is heard of it.

use std::{future, io, net::SocketAddr, sync::mpsc};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    routing,
};
use tokio::net::TcpListener;
use tower_lifecycle::{
    Disconnect, Interest, LifecycleLayer, Listener, Observer, RequestHead, Summary,
};
use tower_lifecycle_benches::{Counting, PassThrough};

use crate::{os::now, words::Subject};

/// Serves on each of these addresses for as long as the runtime lives.
pub(crate) async fn serve(
    subject: Subject,
    addresses: u8,
    facts: &Facts,
) -> io::Result<Vec<SocketAddr>> {
    let mut bound = Vec::new();
    for last in 1..=addresses {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, last], 0))).await?;
        bound.push(listener.local_addr()?);
        let facts = facts.clone();
        tokio::spawn(serve_one(subject, listener, facts));
    }
    Ok(bound)
}

async fn serve_one(subject: Subject, listener: TcpListener, facts: Facts) -> io::Result<()> {
    let router =
        Router::new().route("/polls/{id}", routing::get(poll).post(hold)).with_state(facts.clone());
    let counting = LifecycleLayer::new((Counting::hooks(), facts.clone()));
    let all = LifecycleLayer::new((Counting::all(), facts)).with_handle();
    match subject {
        Subject::Bare => axum::serve(listener, router).await,
        Subject::PassThrough => axum::serve(listener, router.layer(PassThrough::default())).await,
        Subject::Layer => axum::serve(listener, router.layer(counting)).await,
        Subject::Seam => seam(&counting, listener, router).await,
        Subject::SeamHandle => seam(&all, listener, router).await,
        Subject::SeamCancel => seam(&counting.cancel_on_disconnect(), listener, router).await,
    }
}

async fn seam<O: Observer>(
    lifecycle: &LifecycleLayer<O>,
    listener: TcpListener,
    router: Router,
) -> io::Result<()> {
    axum::serve(lifecycle.listener(listener), lifecycle.make_service(router)).await
}

async fn poll(State(facts): State<Facts>, Path(id): Path<usize>) {
    let _parked = Parked::new(id, facts);
    future::pending::<()>().await;
}

async fn hold(State(facts): State<Facts>, Path(id): Path<usize>, _held: Body) {
    let _parked = Parked::new(id, facts);
    future::pending::<()>().await;
}

// ===== what is heard =====

/// Where what is heard goes.
#[derive(Clone)]
pub(crate) struct Facts(pub(crate) mpsc::Sender<Fact>);

pub(crate) struct Fact {
    /// The client's.
    pub(crate) id: usize,
    pub(crate) what: What,
    pub(crate) at: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Parked,
    Disconnected,
    Dropped,
    Closed,
}

impl Facts {
    fn tell(&self, id: usize, what: What) {
        let _ = self.0.send(Fact { id, what, at: now() });
    }
}

/// Held by a handler.
struct Parked {
    id: usize,
    facts: Facts,
}

impl Parked {
    fn new(id: usize, facts: Facts) -> Self {
        facts.tell(id, What::Parked);
        Self { id, facts }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.facts.tell(self.id, What::Dropped);
    }
}

/// The state of an exchange.
pub(crate) struct Watch {
    id: usize,
    facts: Facts,
}

impl Observer for Facts {
    type State = Watch;

    fn interest(&self) -> Interest {
        Interest::DISCONNECT | Interest::CLOSE
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<Watch> {
        let (_, id) = head.uri.path().rsplit_once('/')?;
        Some(Watch { id: id.parse().ok()?, facts: self.clone() })
    }
}

impl Listener for Watch {
    fn on_disconnect(&mut self, _: Disconnect) {
        self.facts.tell(self.id, What::Disconnected);
    }

    fn on_close(&mut self, _: &Summary) {
        self.facts.tell(self.id, What::Closed);
    }
}
