//! The Redis store, for several servers: they share its queues, and wake each other's polls by pub/sub.
//!
//! A queue is a hash and a stream, whose entries are its events, trimmed when they are acknowledged; both have a time to
//! live. Everything that is atomic is a script, in `scripts/`, whose `layout.lua` has the keys.
//!
//! An event is as safe as the Redis: with `appendonly yes` and `appendfsync always` it is on disk when it is acknowledged,
//! and [`Redis::connect`] warns of everything less. A replica has it later, so a fail-over can lose events. The time to live
//! goes on while Redis is down. A Redis Cluster is not supported.

mod connect;
mod error;
mod listen;
mod polls;
mod scripts;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use redis::{FromRedisValue, ScriptInvocation, aio::ConnectionManager};
use tokio::{task::JoinSet, time};

pub use self::connect::ConnectError;
use self::{
    error::{ANSWER, within},
    listen::Listener,
    polls::Polls,
    scripts::SCRIPTS,
};
use super::{
    Appended, Begin, Begun, Event, EventId, Limits, NewEvent, OnNotice, Session, Stats, Store,
    StoreError, Taken, Target,
};
use crate::id::QueueId;

/// What a poll may take beyond being parked: the commands before and after.
const BESIDES_PARKING: Duration = Duration::from_secs(15);
/// Targets of one script, during which Redis does nothing else: users with up to 32 queues each, or queues.
const USERS_AT_ONCE: usize = 8;
const QUEUES_AT_ONCE: usize = 256;
/// Such scripts of one event that are on their way.
const SCRIPTS_AT_ONCE: usize = 8;

/// Queues in Redis.
pub struct Redis {
    /// `None` when closed.
    open: Mutex<Option<Open>>,
    polls: Polls,
    limits: Limits,
    /// How long a poll keeps its queue if nobody ends it.
    lease: Duration,
}

struct Open {
    connection: ConnectionManager,
    // Tasks, which end when these are dropped.
    _listens: JoinSet<()>,
    tells_ends: JoinSet<()>,
}

impl Redis {
    /// Connects to the Redis of this URL (`redis://user:password@host:6379/0`). No poll parks for longer than
    /// `longest_park`. Notices come of what this server does, too: so a send that failed half-way, or whose answer was lost,
    /// still wakes the polls here.
    ///
    /// # Errors
    /// When there is no Redis at this URL, or it cannot be used. Later it connects again by itself.
    pub async fn connect(
        url: &str,
        limits: Limits,
        longest_park: Duration,
        on_notice: OnNotice,
    ) -> Result<Self, ConnectError> {
        let client = connect::client(url)?;
        connect::check(&client).await?;
        let connection = connect::manager(&client).await?;

        let listener = Listener { client, connection: connection.clone(), on_notice };
        let subscribed = listener.subscribe().await?;
        let mut listens = JoinSet::new();
        listens.spawn(listener.listen(subscribed));

        let (polls, ends) = Polls::new();
        let mut tells_ends = JoinSet::new();
        tells_ends.spawn(polls::tell(ends, connection.clone()));
        Ok(Self {
            open: Mutex::new(Some(Open { connection, _listens: listens, tells_ends })),
            polls,
            limits,
            lease: longest_park + BESIDES_PARKING,
        })
    }

    fn connection(&self) -> Result<ConnectionManager, StoreError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.as_ref().ok_or_else(|| StoreError::Unavailable("it is closed".into()))?;
        Ok(open.connection.clone())
    }

    async fn run<T: FromRedisValue + Send>(
        &self,
        script: &mut ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection()?;
        within(script.invoke_async(&mut connection)).await
    }

    async fn look(&self, queue: QueueId, after: EventId, turn: &str) -> Result<Taken, StoreError> {
        let mut script = SCRIPTS.read.arg(queue.to_string());
        script.arg(after).arg(turn).arg(self.limits.page).arg(self.polls.token(queue));
        let (turn, events): (u64, Vec<(EventId, Vec<u8>)>) = self.run(&mut script).await?;
        let event = |(id, json)| Event { id, json: Bytes::from(json) };
        Ok(Taken { turn, events: events.into_iter().map(event).collect() })
    }

    /// To targets that one script may have.
    async fn append_to(
        &self,
        what: &str,
        targets: Vec<String>,
        event: &NewEvent,
    ) -> Result<Appended, StoreError> {
        let mut script = SCRIPTS.append.arg(what);
        script.arg(&*event.kind).arg(&event.json[..]);
        script.arg(self.limits.events_per_queue).arg(self.limits.bytes_per_queue).arg(targets);
        let (stored, overflowed): (Vec<String>, Vec<String>) = self.run(&mut script).await?;
        Ok(Appended { stored: ids(&stored)?, overflowed: ids(&overflowed)? })
    }
}

// ===== impl Store =====

#[async_trait]
impl Store for Redis {
    async fn create(&self, queue: QueueId, session: Session) -> Result<(), StoreError> {
        let types = session.event_types.as_ref().map(serde_json::to_string).transpose();
        let types = types.map_err(|error| StoreError::Failed(error.to_string()))?;
        let mut script = SCRIPTS.create.arg(queue.to_string());
        script.arg(&*session.owner).arg(types.unwrap_or_default());
        script.arg(millis(session.idle_timeout)).arg(u8::from(session.heartbeat));
        self.run(script.arg(self.limits.queues_per_user)).await
    }

    async fn session(&self, queue: QueueId, owner: &str) -> Result<Arc<Session>, StoreError> {
        let mut script = SCRIPTS.session.arg(queue.to_string());
        let (idle, heartbeat, types): (u64, bool, Option<String>) =
            self.run(script.arg(owner)).await?;
        session(owner, idle, heartbeat, types.as_deref()).map(Arc::new)
    }

    async fn begin(&self, begin: Begin<'_>) -> Result<Begun, StoreError> {
        let poll = self.polls.begin(begin.queue);
        let mut script = SCRIPTS.begin.arg(begin.queue.to_string());
        script.arg(begin.owner).arg(begin.seen).arg(poll.token()).arg(millis(self.lease));
        let (progress, idle, heartbeat, types): (bool, u64, bool, Option<String>) =
            self.run(&mut script).await?;

        let session = session(begin.owner, idle, heartbeat, types.as_deref())?;
        poll.keep();
        Ok(Begun { session: Arc::new(session), progress })
    }

    async fn take(&self, queue: QueueId, after: EventId) -> Result<Taken, StoreError> {
        self.look(queue, after, "take").await
    }

    async fn read(
        &self,
        queue: QueueId,
        after: EventId,
        turn: Option<u64>,
    ) -> Result<Vec<Event>, StoreError> {
        let turn = turn.map(|turn| turn.to_string()).unwrap_or_default();
        Ok(self.look(queue, after, &turn).await?.events)
    }

    fn end(&self, queue: QueueId) {
        self.polls.end(queue);
    }

    /// What goes to more queues than one script may have is several, each of them atomic: an append that fails or is
    /// cancelled half-way is in some of its queues.
    async fn append(&self, target: Target, event: NewEvent) -> Result<Appended, StoreError> {
        let (what, targets, at_once) = match target {
            Target::Users(users) => ("users", distinct(&users), USERS_AT_ONCE),
            Target::Queues(queues) => ("queues", distinct(&queues), QUEUES_AT_ONCE),
            Target::Heartbeat(queue) => ("heartbeat", vec![queue.to_string()], 1),
        };
        let chunks: Vec<_> = targets.chunks(at_once).map(<[String]>::to_vec).collect();
        let event = &event;
        stream::iter(chunks)
            .map(|targets| self.append_to(what, targets, event))
            .buffer_unordered(SCRIPTS_AT_ONCE)
            .try_fold(Appended::default(), async |mut all, some| {
                all.stored.extend(some.stored);
                all.overflowed.extend(some.overflowed);
                Ok(all)
            })
            .await
    }

    async fn remove(&self, queue: QueueId, owner: &str) -> Result<(), StoreError> {
        self.run(SCRIPTS.remove.arg(queue.to_string()).arg(owner)).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.run(&mut SCRIPTS.ready.prepare_invoke()).await
    }

    /// Redis would have to count.
    fn stats(&self) -> Stats {
        Stats { queues: None }
    }

    async fn close(&self) {
        self.polls.close();
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut open) = open {
            // A Redis that is not told of the last ends gives the polls up later.
            let _ = time::timeout(ANSWER, open.tells_ends.join_next()).await;
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn session(
    owner: &str,
    idle: u64,
    heartbeat: bool,
    types: Option<&str>,
) -> Result<Session, StoreError> {
    let types = types.map(serde_json::from_str).transpose();
    Ok(Session {
        owner: owner.into(),
        event_types: types.map_err(|error| StoreError::Failed(error.to_string()))?,
        idle_timeout: Duration::from_millis(idle),
        heartbeat,
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn distinct<T: ToString>(targets: &[T]) -> Vec<String> {
    let targets: HashSet<_> = targets.iter().map(ToString::to_string).collect();
    targets.into_iter().collect()
}

fn ids(texts: &[String]) -> Result<Vec<QueueId>, StoreError> {
    let id = |text: &String| text.parse();
    let ids = texts.iter().map(id).collect::<Result<_, _>>();
    ids.map_err(|_| StoreError::Failed("there is a queue in Redis whose id is none".into()))
}
