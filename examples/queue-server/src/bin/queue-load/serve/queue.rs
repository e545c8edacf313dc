//! The program, as a library: all of it but its command line.

use std::{
    fs, iter,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use queue_server::{
    auth::Key,
    id::QueueId,
    queues::{Queues, Times},
    server::{App, Ended, LONGEST_PARK, Settings},
    store::{Limits, NewEvent, OnNotice, Session, Store, Target, embedded::Embedded, redis::Redis},
};
use tokio::{
    net::TcpListener,
    sync::{Mutex as AsyncMutex, watch},
    task::JoinHandle,
};

use super::{Ends, SECRET, Serve, Subject};
use crate::{Failed, machine::now, orders::End};

pub(super) struct QueueServer {
    queues: Arc<Queues>,
    made: Mutex<Vec<QueueId>>,
    users: AtomicUsize,
    stop: watch::Sender<bool>,
    served: AsyncMutex<JoinHandle<()>>,
}

/// Queues that are made at a time: the store makes those durable together that wait together.
const AT_ONCE: usize = 512;
/// As the program's default.
const IDLE: Duration = Duration::from_secs(600);

impl QueueServer {
    pub(super) async fn start(
        listener: TcpListener,
        serve: &Serve,
        ends: Arc<Ends>,
    ) -> Result<Self, Failed> {
        let key = Key::secret(&fs::read(serve.dir.join(SECRET))?)?;
        let hears = Arc::new(OnceLock::<Arc<Queues>>::new());
        let store: Arc<dyn Store> = match &serve.redis {
            None => Arc::new(Embedded::open(&serve.dir, Limits::default())?.store),
            Some(url) => {
                let told = Arc::clone(&hears);
                let notices: OnNotice = Arc::new(move |notice| {
                    if let Some(queues) = told.get() {
                        queues.notice(notice);
                    }
                });
                Arc::new(Redis::connect(url, Limits::default(), LONGEST_PARK, notices).await?)
            }
        };
        // As long as it can be: no poll is to end by itself while others are measured.
        let times = Times { park: LONGEST_PARK, ..Times::default() };
        let app =
            App::observed(store, key, Settings { times, ..Settings::default() }, move |ended| {
                ends.ended(match ended {
                    Ended::Park(_) => End::Park,
                    Ended::Exchange(_) => End::Exchange,
                });
            });
        let queues = Arc::clone(app.queues());
        let _ = hears.set(Arc::clone(&queues));
        let stop = watch::Sender::new(false);
        let mut stopped = stop.subscribe();
        let served = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            if let Err(error) = app.serve(listener, stopped).await {
                eprintln!("queue-load: the queue server: {error}");
            }
        });
        let served = AsyncMutex::new(served);
        Ok(Self { queues, made: Mutex::default(), users: AtomicUsize::new(0), stop, served })
    }

    fn made(&self) -> Vec<QueueId> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Subject for QueueServer {
    async fn create(
        &self,
        users: usize,
        each: usize,
        expire: Option<u64>,
    ) -> Result<Vec<String>, Failed> {
        let first = self.users.fetch_add(users, Ordering::Relaxed);
        let all: Vec<usize> =
            (first..first + users).flat_map(|user| iter::repeat_n(user, each)).collect();
        let made = stream::iter(all).map(async |user| {
            let left = |at: u64| Duration::from_nanos(at.saturating_sub(now()));
            self.queues
                .register(Session {
                    owner: format!("u{user}").into(),
                    event_types: None,
                    idle_timeout: expire.map_or(IDLE, left),
                    heartbeat: false,
                })
                .await
        });
        let made: Vec<QueueId> = made.buffered(AT_ONCE).try_collect().await?;
        let names = made.iter().map(ToString::to_string).collect();
        self.made.lock().unwrap_or_else(PoisonError::into_inner).extend(made);
        Ok(names)
    }

    async fn fill(&self, events: usize) -> Result<(), Failed> {
        for number in 0..events {
            for queues in self.made().chunks(AT_ONCE) {
                let json = Bytes::from(format!(r#"{{"type":"load","number":{number}}}"#));
                let event = NewEvent { kind: "load".into(), json };
                self.queues.send(Target::Queues(queues.to_vec()), event).await?;
            }
        }
        Ok(())
    }

    fn parked(&self) -> usize {
        self.queues.lot().parked()
    }

    fn queues(&self) -> u64 {
        self.queues.store().stats().queues.unwrap_or_default()
    }

    fn release(&self) {
        for queue in self.made() {
            self.queues.lot().close(&queue);
        }
    }

    async fn close(&self) {
        self.stop.send_replace(true);
        let _ = (&mut *self.served.lock().await).await;
    }
}
