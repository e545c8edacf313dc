//! The heart: polls that wait for events, and events that wake them.
//!
//! **Register, check, wait.** A poll takes its place before it looks for events, and is woken to look again. What it finds
//! comes from the store; a wake carries nothing. So a poll whose client has left takes no event with it.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::{
    sync::{Semaphore, oneshot, watch},
    time::{Instant, sleep},
};
use tower_lifecycle::{
    ExchangeHandle,
    detach::shield,
    park::{Drained, Lot, Outcome, Policy, Refused},
};

use crate::{
    error::ApiError,
    id::QueueId,
    store::{Begin, Event, EventId, NewEvent, Notice, Session, Store, StoreError, Target, UserId},
};

/// Queues of a store, and the polls that are parked on them here.
#[derive(Debug)]
pub struct Queues {
    store: Arc<dyn Store>,
    lot: Lot<QueueId>,
    times: Times,
    pace: DefaultKeyedRateLimiter<QueueId>,
    rivals: Rivals,
    draining: watch::Sender<bool>,
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// How long a poll is parked, before jitter.
    pub park: Duration,
    /// How long a poll is held back that is superseded again and again.
    pub rivalry: Duration,
    /// Over how long a notice to look at all queues is spread.
    pub look_at_all: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            park: Duration::from_secs(30),
            rivalry: Duration::from_secs(3),
            look_at_all: Duration::from_secs(2),
        }
    }
}

/// The answer to a poll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The events, none or a page.
    pub events: Vec<Event>,
    /// The client should not come back on the same connection.
    pub last: bool,
}

/// What a poll asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The queue.
    pub queue: QueueId,
    /// Who asks.
    pub user: UserId,
    /// The newest event that the client has.
    pub seen: EventId,
}

/// What became of an event that was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Queues that have it, safely.
    pub queued: usize,
    /// Of the polls that it woke, those that were parked here.
    pub woken: usize,
}

/// Who was superseded lately, and how many are held back for it.
#[derive(Debug)]
struct Rivals {
    lately: Mutex<HashMap<QueueId, Instant>>,
    held: Semaphore,
}

/// Polls that may be held back at a time; more are answered at once.
const MAX_HELD: usize = 1000;

/// Polls without progress: so many at once, and so many a second.
const BURST: NonZeroU32 = NonZeroU32::new(20).unwrap();
const A_SECOND: NonZeroU32 = NonZeroU32::new(5).unwrap();

impl Queues {
    /// Queues of `store`, with nobody parked.
    pub fn new(store: Arc<dyn Store>, policy: Policy, times: Times) -> Self {
        Self {
            store,
            lot: Lot::new(policy),
            times,
            pace: RateLimiter::keyed(Quota::per_second(A_SECOND).allow_burst(BURST)),
            rivals: Rivals { lately: Mutex::default(), held: Semaphore::new(MAX_HELD) },
            draining: watch::Sender::new(false),
        }
    }

    /// Where polls are parked.
    pub fn lot(&self) -> &Lot<QueueId> {
        &self.lot
    }

    /// Where events are kept.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Makes a queue.
    ///
    /// # Errors
    /// `TOO_MANY_QUEUES`, or of the store.
    pub async fn register(&self, session: Session) -> Result<QueueId, ApiError> {
        let (queue, store) = (QueueId::random(), Arc::clone(&self.store));
        let (tell, told) = oneshot::channel();
        // It goes on without its client, to remove a queue that nobody has heard of: it would count among the user's for a week.
        tokio::spawn(async move {
            let owner = Arc::clone(&session.owner);
            let made = store.create(queue, session).await;
            if let Err(Ok(())) = tell.send(made) {
                let _ = store.remove(queue, &owner).await;
            }
        });
        told.await.map_err(|_| ApiError::Internal("a registration was lost".to_owned()))??;
        Ok(queue)
    }

    /// Answers at once, and disturbs no poll that is parked.
    ///
    /// # Errors
    /// Those of section "Errors" of the README.
    pub async fn peek(&self, ask: Ask) -> Result<Answer, ApiError> {
        let poll = self.begin(&ask).await?;
        let events = poll.store.read(ask.queue, ask.seen, None).await?;
        Ok(Answer { events, last: false })
    }

    /// Answers as soon as there are events, or empty when it has waited long enough. With a handle the poll's exchange says that it is parked.
    ///
    /// # Errors
    /// Those of section "Errors" of the README.
    pub async fn poll(
        &self,
        ask: Ask,
        exchange: Option<ExchangeHandle>,
    ) -> Result<Answer, ApiError> {
        // Boxed, so that a parked poll does not keep the room that its beginning needs.
        let poll = Box::pin(self.begin(&ask)).await?;
        let slot = self.lot.park(ask.queue).map_err(refused)?;
        let slot = match &exchange {
            Some(exchange) => slot.of(exchange),
            None => slot,
        };
        drop(exchange);
        let turn = OnceLock::new();
        let check = || async {
            match self.look(&ask, &turn).await {
                Ok(events) if events.is_empty() => None,
                found => Some(found),
            }
        };
        match slot.wait(self.times.park, check).await {
            Outcome::Woken(found) => self.conclude(found, poll).await,
            Outcome::Superseded => self.conclude(Err(StoreError::Superseded), poll).await,
            Outcome::Deadline if poll.session.heartbeat => {
                let found = Box::pin(self.heartbeat(&ask, &turn)).await;
                self.conclude(found, poll).await
            }
            Outcome::Deadline | Outcome::Closed => Ok(Answer::default()),
            Outcome::Draining => Ok(Answer { events: Vec::new(), last: true }),
        }
    }

    async fn conclude(
        &self,
        found: Result<Vec<Event>, StoreError>,
        poll: Polling<'_>,
    ) -> Result<Answer, ApiError> {
        match found {
            Ok(events) => Ok(Answer { events, last: false }),
            Err(StoreError::Superseded) => {
                let queue = poll.queue;
                drop(poll);
                Box::pin(self.superseded(queue)).await;
                Err(ApiError::Superseded)
            }
            // Removed, on whatever server: empty now, and gone for the next poll.
            Err(StoreError::NotFound) => Ok(Answer::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// The first look takes the queue. Not sooner: a poll that is refused takes it from nobody.
    async fn look(&self, ask: &Ask, turn: &OnceLock<u64>) -> Result<Vec<Event>, StoreError> {
        if let Some(turn) = turn.get() {
            // Which of the polls here has the queue is for the lot to say: it knows in which order they came.
            let turn = self.store.is_shared().then_some(*turn);
            return self.store.read(ask.queue, ask.seen, turn).await;
        }
        let taken = self.store.take(ask.queue, ask.seen).await?;
        turn.get_or_init(|| taken.turn);
        Ok(taken.events)
    }

    async fn begin<'a>(&'a self, ask: &Ask) -> Result<Polling<'a>, ApiError> {
        let Ask { queue, ref user, seen } = *ask;
        let poll = self.store.begin(Begin { queue, owner: user, seen }).await?;
        let progress = poll.progress;
        let poll = Polling { store: &*self.store, queue, session: poll.session };
        if !progress && self.pace.check_key(&ask.queue).is_err() {
            return Err(ApiError::SlowDown);
        }
        Ok(poll)
    }

    /// An empty answer, as a numbered event.
    async fn heartbeat(&self, ask: &Ask, turn: &OnceLock<u64>) -> Result<Vec<Event>, StoreError> {
        let json = Bytes::from_static(br#"{"type":"heartbeat"}"#);
        let beat = NewEvent { kind: "heartbeat".into(), json };
        self.store.append(Target::Heartbeat(ask.queue), beat).await?;
        // A poll that has come meanwhile.
        self.lot.wake(&ask.queue);
        // This one has left the lot, so the store says whether it was superseded.
        self.store.read(ask.queue, ask.seen, turn.get().copied()).await
    }

    /// Holds a poll back that was superseded, if that happens again and again: two clients that poll the same queue, and
    /// come back at once, would else never rest.
    async fn superseded(&self, queue: QueueId) {
        if !self.rivals.again(queue, self.times.rivalry) {
            return;
        }
        if let Ok(_held) = self.rivals.held.try_acquire() {
            let mut draining = self.draining.subscribe();
            tokio::select! {
                () = sleep(self.times.rivalry) => {}
                _ = draining.wait_for(|draining| *draining) => {}
            }
        }
    }

    /// Stores an event and wakes who waits for it.
    ///
    /// # Errors
    /// Of the store.
    pub async fn send(&self, target: Target, event: NewEvent) -> Result<Sent, ApiError> {
        let (store, lot) = (Arc::clone(&self.store), self.lot.clone());
        // Whoever sends may leave: what is stored is to wake those who wait for it all the same.
        let sent = shield(async move {
            let appended = store.append(target, event).await?;
            let woken = lot.wake_many(&appended.stored);
            lot.wake_many(&appended.overflowed);
            Ok::<_, StoreError>(Sent { queued: appended.stored.len(), woken })
        });
        Ok(sent.await?)
    }

    /// Answers a parked poll, then removes the queue.
    ///
    /// # Errors
    /// `BAD_EVENT_QUEUE_ID`, or of the store.
    pub async fn remove(&self, queue: QueueId, user: &UserId) -> Result<(), ApiError> {
        // Who may not remove it must not end its poll either.
        self.store.session(queue, user).await?;
        self.lot.close(&queue);
        self.store.remove(queue, user).await?;
        // Who came between the two looks, and finds it gone.
        self.lot.wake(&queue);
        Ok(())
    }

    /// What goes on elsewhere on the same store.
    pub fn notice(self: &Arc<Self>, notice: Notice) {
        match notice {
            Notice::Look(queue) => {
                self.lot.wake(&queue);
            }
            Notice::LookAtAll => {
                let queues = Arc::clone(self);
                tokio::spawn(async move { queues.lot.wake_all(queues.times.look_at_all).await });
            }
        }
    }

    /// Parks nothing more, answers what is parked, spread over `window`, and waits for it no longer than `patience` more.
    pub async fn drain(&self, window: Duration, patience: Duration) -> Drained {
        self.draining.send_replace(true);
        self.lot.drain(window, patience).await
    }

    /// Resolves once it [drains](Self::drain).
    pub fn drains(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut draining = self.draining.subscribe();
        async move {
            // Without queues there is nothing to drain.
            let _ = draining.wait_for(|draining| *draining).await;
        }
    }

    /// Forgets what does not matter any more. To be called every few seconds.
    pub fn tidy(&self) {
        self.pace.retain_recent();
        self.pace.shrink_to_fit();
        self.rivals.tidy(self.times.rivalry);
    }
}

/// A poll that has begun, and ends where this is dropped.
struct Polling<'a> {
    store: &'a dyn Store,
    queue: QueueId,
    session: Arc<Session>,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.store.end(self.queue);
    }
}

impl Rivals {
    /// Notes that a poll of `queue` was superseded. Whether one was before, less than `rivalry` ago.
    fn again(&self, queue: QueueId, rivalry: Duration) -> bool {
        let before = self.lately().insert(queue, Instant::now());
        before.is_some_and(|before| before.elapsed() < rivalry)
    }

    fn tidy(&self, rivalry: Duration) {
        let mut lately = self.lately();
        lately.retain(|_, before| before.elapsed() < rivalry);
        lately.shrink_to_fit();
    }

    fn lately(&self) -> MutexGuard<'_, HashMap<QueueId, Instant>> {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(refused: Refused) -> ApiError {
    match refused {
        Refused::Draining => ApiError::Draining,
        _ => ApiError::ParkFull,
    }
}
