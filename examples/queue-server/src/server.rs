//! Puts the program together, and takes it down.

use std::{
    fmt,
    future::Future,
    io,
    ops::Deref,
    sync::{Arc, OnceLock},
    time::Duration,
};

use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::TcpListener,
    time::{Instant, interval, timeout_at},
};
use tower_lifecycle::{
    Hooks, LifecycleLayer, Observer, RouteLayer, Server, Summary,
    inflight::InFlight,
    inspector::Inspector,
    park::{Policy, Unparked},
};

use crate::{
    api::{self, Bodies},
    auth::Key,
    listen::Patient,
    metrics::{Metrics, route},
    queues::{Queues, Times},
    store::Store,
};

/// What handlers share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
#[derive(Debug)]
pub struct Parts {
    pub(crate) key: Key,
    pub(crate) queues: Arc<Queues>,
    pub(crate) bodies: Bodies,
    pub(crate) longest_poll: Duration,
    pub(crate) metrics: Arc<Metrics>,
    header_timeout: Duration,
    stalled: Duration,
    drain_window: Duration,
    inspector: Inspect,
    on_end: OnEnd,
}

/// What ended, told where it ends: see [`App::observed`].
#[derive(Clone, Copy, Debug)]
pub enum Ended<'a> {
    /// A parked poll.
    Park(&'a Unparked),
    /// An exchange, of any kind.
    Exchange(&'a Summary),
}

#[derive(Clone)]
struct OnEnd(Arc<dyn Fn(Ended<'_>) + Send + Sync>);

/// What a server allows, and how patient it is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long polls take.
    pub times: Times,
    /// Polls that are parked at a time.
    pub max_parked: usize,
    /// Bodies of requests.
    pub bodies: Bodies,
    /// How long a head may take, and a connection may be idle.
    pub header_timeout: Duration,
    /// How long a client may leave what was sent to it unacknowledged.
    pub stalled: Duration,
    /// Over how long parked polls are answered when the server stops.
    pub drain_window: Duration,
    /// Who may look at what is open.
    pub inspector: Inspect,
}

/// Who may look at `/inspector`.
#[derive(Clone, Default)]
pub enum Inspect {
    /// Nobody: there is none, and it costs nothing.
    #[default]
    Nobody,
    /// Who asks from this machine.
    Local,
    /// Who has the token, of 16 characters or more.
    Token(String),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            times: Times::default(),
            max_parked: 50_000,
            bodies: Bodies { longest: 1 << 20, slowest: Duration::from_secs(10) },
            header_timeout: Duration::from_secs(30),
            stalled: Duration::from_secs(20),
            drain_window: Duration::from_secs(5),
            inspector: Inspect::Nobody,
        }
    }
}

/// No poll is parked for longer, whatever its jitter: what lies between client and server often ends what is silent for a
/// minute.
pub const LONGEST_PARK: Duration = Duration::from_secs(50);

/// How much longer than the drain window a stop takes at most, and what of it is for the last answers.
const STOP: Duration = Duration::from_millis(950);
const AFTER_DRAIN: Duration = Duration::from_millis(800);

impl App {
    /// The queues of `store`, for users with tokens by `key`.
    pub fn new(store: Arc<dyn Store>, key: Key, settings: Settings) -> Self {
        Self::observed(store, key, settings, |_| {})
    }

    /// The same, and calls `on_end` after the metrics have heard of it. It must not block.
    pub fn observed(
        store: Arc<dyn Store>,
        key: Key,
        settings: Settings,
        on_end: impl Fn(Ended<'_>) + Send + Sync + 'static,
    ) -> Self {
        let on_end = OnEnd(Arc::new(on_end));
        let metrics = Arc::new(Metrics::new());
        let (hears, tell) = (Arc::clone(&metrics), on_end.clone());
        let policy = Policy::new().longest(LONGEST_PARK).max_parked(settings.max_parked).on_unpark(
            move |unparked| {
                hears.unparked(unparked);
                (tell.0)(Ended::Park(unparked));
            },
        );
        Self(Arc::new(Parts {
            key,
            queues: Arc::new(Queues::new(store, policy, settings.times)),
            bodies: settings.bodies,
            longest_poll: LONGEST_PARK,
            metrics,
            header_timeout: settings.header_timeout,
            stalled: settings.stalled,
            drain_window: settings.drain_window,
            inspector: settings.inspector,
            on_end,
        }))
    }

    /// The queues.
    pub fn queues(&self) -> &Arc<Queues> {
        &self.0.queues
    }

    /// The endpoints, as a service of axum.
    pub fn router(&self) -> axum::Router {
        api::router(self.clone())
    }

    /// Serves until `stop`, then accepts no more, answers what is parked, and lets go of the store.
    ///
    /// # Errors
    /// When connections had to be dropped, because they were not done a second after the drain window.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let inspector = self.inspector()?;
        let inflight = inspector.as_ref().map(|(inflight, _)| inflight.clone());
        let mut router = self.router();
        let lifecycle = LifecycleLayer::new((self.observer(), inflight));
        let mut lifecycle = lifecycle.cancel_on_disconnect().hyper_errors();
        if let Some((_, inspector)) = inspector {
            // Polls say that they are parked, and routes which they are, by handles.
            lifecycle = lifecycle.with_handle();
            router = router.layer(RouteLayer::new()).nest_service("/inspector", inspector);
        }
        let mut builder = Builder::new(TokioExecutor::new());
        // A client that vanishes without a word is known to be gone when a ping is not answered.
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.stalled)
            .keep_alive_timeout(self.stalled);
        let server = Server::new(Patient::new(listener, self.stalled), lifecycle)
            .builder(builder)
            .header_timeout(self.header_timeout)
            .grace(self.drain_window + AFTER_DRAIN);
        let tidy = tokio::spawn(tidy(Arc::clone(&self.queues)));
        let queues = Arc::clone(&self.queues);
        let window = self.drain_window;
        let end = OnceLock::new();
        let result = server
            .serve_until(router, async {
                stop.await;
                let _ = end.set(Instant::now() + window + STOP);
                tracing::info!(
                    parked = queues.lot().parked(),
                    ?window,
                    "stopping: parked polls are answered"
                );
                tokio::spawn(async move { queues.drain(window, AFTER_DRAIN).await });
            })
            .await;
        tidy.abort();
        // What was acknowledged is safe by now, so a store that hangs is not waited for.
        let end = end.into_inner().unwrap_or_else(Instant::now);
        if timeout_at(end, self.queues.store().close()).await.is_err() {
            tracing::warn!("the store did not let go in time");
        }
        result
    }

    /// What shows what is open, if somebody may look.
    fn inspector(&self) -> io::Result<Option<(InFlight, Inspector)>> {
        let inflight = InFlight::new();
        let inspector = Inspector::new(inflight.clone());
        let inspector = match &self.inspector {
            Inspect::Nobody => return Ok(None),
            Inspect::Local => inspector,
            Inspect::Token(token) => inspector.token(token.as_str()).map_err(io::Error::other)?,
        };
        let queues = Arc::clone(&self.queues);
        Ok(Some((inflight, inspector.ends_when(move || queues.drains()))))
    }

    fn observer(&self) -> impl Observer + use<> {
        let (metrics, on_end) = (Arc::clone(&self.metrics), self.on_end.clone());
        Hooks::new().on_close(move |summary| {
            metrics.closed(summary);
            log(summary);
            (on_end.0)(Ended::Exchange(summary));
        })
    }
}

fn log(summary: &Summary) {
    tracing::debug!(
        method = %summary.method,
        route = route(summary),
        status = summary.status.map(|status| status.as_u16()),
        close = %summary.close,
        duration = ?summary.duration(),
        "exchange"
    );
}

async fn tidy(queues: Arc<Queues>) {
    let mut every = interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        queues.tidy();
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl fmt::Debug for Inspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Local => "Local",
            Self::Token(_) => "Token",
        })
    }
}

impl fmt::Debug for OnEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnEnd").finish_non_exhaustive()
    }
}
