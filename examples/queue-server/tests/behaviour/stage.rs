//! The stages of the play: servers in this process, on their stores.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use queue_server::{
    auth::Key,
    queues::{Queues, Times},
    server::{App, LONGEST_PARK, Settings},
    store::{Limits, OnNotice, Store, embedded::Embedded, redis::Redis},
};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{Mutex, oneshot},
    task::JoinHandle,
};

use crate::{redis_server::RedisServer, world::World};

/// What the servers run on. With two of them, each request goes to the other one than the request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Embedded,
    Redis,
    TwoServers,
}

/// How servers are set up, before a test changes it.
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    pub(crate) key: Key,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
}

pub(crate) const SECRET: &[u8] = b"a secret of the tests, of thirty-two bytes and more";

/// One for all tests that run at the same time; it ends with the last of them.
async fn shared_redis() -> Arc<RedisServer> {
    static SHARED: Mutex<Weak<RedisServer>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(redis) = shared.upgrade() {
        return redis;
    }
    let redis = Arc::new(RedisServer::start().await);
    *shared = Arc::downgrade(&redis);
    redis
}

// ===== impl Stage =====

impl Stage {
    pub(crate) async fn start(self) -> World {
        self.start_with(|_| {}).await
    }

    pub(crate) async fn start_with(self, change: impl FnOnce(&mut Setup)) -> World {
        let mut setup = Setup::default();
        change(&mut setup);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let redis = if self == Self::Embedded { None } else { Some(shared_redis().await) };
        let mut servers = Vec::new();
        for _ in 0..if self == Self::TwoServers { 2 } else { 1 } {
            servers.push(Server::start(&setup, redis.as_deref(), &dir).await);
        }
        World::new(servers, setup, dir, redis)
    }
}

impl Default for Setup {
    /// No test waits for a poll to end by itself unless it makes `park` shorter.
    fn default() -> Self {
        let times = Times {
            park: Duration::from_secs(25),
            rivalry: Duration::from_millis(300),
            look_at_all: Duration::from_millis(100),
        };
        let settings =
            Settings { times, drain_window: Duration::from_millis(300), ..Settings::default() };
        let key = Key::secret(SECRET).expect("a long secret");
        Self { settings, limits: Limits::default(), key }
    }
}

// ===== impl Server =====

impl Server {
    pub(crate) async fn start(setup: &Setup, redis: Option<&RedisServer>, dir: &TempDir) -> Self {
        let hears = Arc::new(OnceLock::<Arc<Queues>>::new());
        let told = Arc::clone(&hears);
        let notices: OnNotice = Arc::new(move |notice| {
            if let Some(queues) = told.get() {
                queues.notice(notice);
            }
        });
        let store: Arc<dyn Store> = match redis {
            Some(redis) => {
                let url = redis.url();
                let store = Redis::connect(&url, setup.limits, LONGEST_PARK, notices).await;
                Arc::new(store.expect("a Redis that answers"))
            }
            None => Arc::new(Embedded::open(dir.path(), setup.limits).expect("a store").store),
        };
        let server = Self::on(store, setup).await;
        assert!(hears.set(Arc::clone(server.app.queues())).is_ok(), "it is set once");
        server
    }

    /// On a store of the test's own.
    pub(crate) async fn on(store: Arc<dyn Store>, setup: &Setup) -> Self {
        let app = App::new(store, setup.key.clone(), setup.settings.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let (stop, told) = oneshot::channel();
        let running = app.clone();
        let served = tokio::spawn(async move {
            running
                .serve(listener, async {
                    // Dropped with the test.
                    let _ = told.await;
                })
                .await
        });
        Self { address, app, stop: Some(stop), served }
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take().expect("it is stopped once").send(()).expect("it runs");
    }
}
