//! Random calls, compared with a model so simple that it is right: a list of events a queue.

use std::{collections::BTreeMap, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use queue_server::{
    id::QueueId,
    store::{
        Begin, EventId, Limits, NOTHING, Session, Store, StoreError, Target, embedded::Embedded,
    },
};
use tokio::time::{Instant, sleep};

use crate::support::*;

const LIMITS: Limits =
    Limits { queues_per_user: 3, events_per_queue: 6, bytes_per_queue: 200, page: 4 };
const USERS: [&str; 2] = ["anna", "ben"];
const IDLES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];

#[derive(Clone, Debug)]
enum Call {
    Create {
        user: usize,
        idle: usize,
    },
    /// To all of a user.
    Send {
        user: usize,
        length: usize,
    },
    /// A poll from begin to end. `seen` counts back from the newest.
    Poll {
        queue: usize,
        user: usize,
        back: EventId,
    },
    /// One that stays.
    Begin {
        queue: usize,
        take: bool,
    },
    Read {
        queue: usize,
    },
    End {
        queue: usize,
    },
    Remove {
        queue: usize,
        user: usize,
    },
    Wait {
        seconds: u64,
    },
    Restart,
    Crash,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let (queue, user) = (0..8_usize, 0..USERS.len());
    let call = prop_oneof![
        3 => (user.clone(), 0..IDLES.len()).prop_map(|(user, idle)| Call::Create { user, idle }),
        8 => (user.clone(), 0..40_usize).prop_map(|(user, length)| Call::Send { user, length }),
        8 => (queue.clone(), user.clone(), -2..7_i64)
            .prop_map(|(queue, user, back)| Call::Poll { queue, user, back }),
        2 => (queue.clone(), any::<bool>()).prop_map(|(queue, take)| Call::Begin { queue, take }),
        3 => queue.clone().prop_map(|queue| Call::Read { queue }),
        2 => queue.clone().prop_map(|queue| Call::End { queue }),
        1 => (queue, user).prop_map(|(queue, user)| Call::Remove { queue, user }),
        3 => (1..8_u64).prop_map(|seconds| Call::Wait { seconds }),
        1 => Just(Call::Restart),
        1 => Just(Call::Crash),
    ];
    prop::collection::vec(call, 1..60)
}

#[derive(Clone)]
struct Queue {
    owner: &'static str,
    idle: Duration,
    events: Vec<(EventId, usize)>,
    base: EventId,
    next: EventId,
    turn: u64,
    polls: u32,
    ended: Instant,
    overflowed: bool,
}

#[derive(Default)]
struct Model(BTreeMap<QueueId, Queue>);

/// Errors by their names: they have no equality.
fn name<T>(result: Result<T, StoreError>) -> Result<T, String> {
    result.map_err(|error| format!("{error:?}"))
}

impl Model {
    fn expire(&mut self) {
        let now = Instant::now();
        self.0.retain(|_, queue| queue.polls > 0 || now < queue.ended + queue.idle);
    }

    fn expires_within(&self, time: Duration) -> bool {
        let then = Instant::now() + time;
        self.0.values().any(|queue| queue.polls == 0 && queue.ended + queue.idle <= then)
    }

    fn create(
        &mut self,
        id: QueueId,
        owner: &'static str,
        idle: Duration,
    ) -> Result<(), StoreError> {
        if self.0.values().filter(|queue| queue.owner == owner).count() >= LIMITS.queues_per_user {
            return Err(StoreError::TooManyQueues(LIMITS.queues_per_user));
        }
        let queue = Queue {
            owner,
            idle,
            events: Vec::new(),
            base: NOTHING,
            next: 0,
            turn: 0,
            polls: 0,
            ended: Instant::now(),
            overflowed: false,
        };
        self.0.insert(id, queue);
        Ok(())
    }

    fn send(&mut self, owner: &str, size: usize) -> (Vec<QueueId>, Vec<QueueId>) {
        let (mut stored, mut overflowed) = (Vec::new(), Vec::new());
        for (id, queue) in &mut self.0 {
            if queue.owner != owner || queue.overflowed {
                continue;
            }
            queue.events.push((queue.next, size));
            queue.next += 1;
            let bytes: usize = queue.events.iter().map(|(_, size)| size).sum();
            if queue.events.len() > LIMITS.events_per_queue || bytes > LIMITS.bytes_per_queue {
                (queue.overflowed, queue.events) = (true, Vec::new());
                overflowed.push(*id);
            } else {
                stored.push(*id);
            }
        }
        (stored, overflowed)
    }

    fn begin(&mut self, poll: &Begin<'_>) -> Result<bool, StoreError> {
        let queue = self.0.get_mut(&poll.queue).ok_or(StoreError::NotFound)?;
        if queue.owner != poll.owner {
            return Err(StoreError::NotFound);
        }
        if queue.overflowed {
            self.0.remove(&poll.queue);
            return Err(StoreError::Overflowed);
        }
        if poll.seen < NOTHING || poll.seen >= queue.next {
            return Err(StoreError::UnknownEvent(poll.seen));
        }
        if poll.seen < queue.base {
            return Err(StoreError::Pruned(poll.seen));
        }
        let progress = poll.seen > queue.base;
        queue.base = poll.seen;
        queue.events.retain(|(id, _)| *id > poll.seen);
        queue.polls += 1;
        Ok(progress)
    }

    fn take(&mut self, id: QueueId) -> Result<(u64, Vec<EventId>), StoreError> {
        let queue = self.0.get_mut(&id).ok_or(StoreError::NotFound)?;
        queue.turn += 1;
        let turn = queue.turn;
        Ok((turn, self.read(id)?))
    }

    fn read(&mut self, id: QueueId) -> Result<Vec<EventId>, StoreError> {
        let queue = self.0.get(&id).ok_or(StoreError::NotFound)?;
        if queue.overflowed {
            self.0.remove(&id);
            return Err(StoreError::Overflowed);
        }
        Ok(queue.events.iter().map(|(id, _)| *id).take(LIMITS.page).collect())
    }

    fn end(&mut self, id: QueueId) {
        if let Some(queue) = self.0.get_mut(&id).filter(|queue| queue.polls > 0) {
            queue.polls -= 1;
            queue.ended = Instant::now();
        }
    }

    fn remove(&mut self, id: QueueId, owner: &str) -> Result<(), StoreError> {
        self.0.get(&id).filter(|queue| queue.owner == owner).ok_or(StoreError::NotFound)?;
        self.0.remove(&id);
        Ok(())
    }

    fn restart(&mut self) {
        for queue in self.0.values_mut() {
            (queue.turn, queue.polls, queue.ended) = (0, 0, Instant::now());
        }
    }
}

async fn compare(calls: Vec<Call>) {
    let mut dir = tempfile::TempDir::new().unwrap();
    let mut store = Embedded::open(dir.path(), LIMITS).unwrap().store;
    let mut model = Model::default();
    let mut made = vec![QueueId::random()];
    for call in calls {
        model.expire();
        let pick = |queue: usize| made[queue % made.len()];
        match call {
            Call::Create { user, idle } => {
                let (id, owner, idle) = (QueueId::random(), USERS[user], IDLES[idle]);
                made.push(id);
                let session = Session { owner: owner.into(), idle_timeout: idle, ..session() };
                assert_eq!(
                    name(store.create(id, session).await),
                    name(model.create(id, owner, idle))
                );
            }
            Call::Send { user, length } => {
                let event = event(&"x".repeat(length));
                let size = event.json.len();
                let target = Target::Users(vec![USERS[user].into()]);
                let appended = store.append(target, event).await.unwrap();
                assert_eq!((appended.stored, appended.overflowed), model.send(USERS[user], size));
            }
            Call::Poll { queue, user, back } => {
                let id = pick(queue);
                let newest = model.0.get(&id).map_or(NOTHING, |queue| queue.next - 1);
                let poll = Begin { queue: id, owner: USERS[user], seen: newest - back };
                let begun = name(store.begin(poll).await);
                let expected = name(model.begin(&poll));
                assert_eq!(begun.as_ref().map(|begun| begun.progress), expected.as_ref().copied());
                if begun.is_ok() {
                    let taken = name(store.take(id, poll.seen).await);
                    let taken = taken.map(|taken| (taken.turn, ids(&taken.events)));
                    assert_eq!(taken, name(model.take(id)));
                    store.end(id);
                    model.end(id);
                }
            }
            Call::Begin { queue, take } => {
                let id = pick(queue);
                let Some(Queue { owner, base, .. }) = model.0.get(&id) else { continue };
                let poll = Begin { queue: id, owner, seen: *base };
                let begun = name(store.begin(poll).await).map(|begun| begun.progress);
                assert_eq!(begun, name(model.begin(&poll)));
                if take && begun.is_ok() {
                    let taken = name(store.take(id, NOTHING).await);
                    let taken = taken.map(|taken| (taken.turn, ids(&taken.events)));
                    assert_eq!(taken, name(model.take(id)));
                }
            }
            Call::Read { queue } => {
                let id = pick(queue);
                let turn = model.0.get(&id).map(|queue| queue.turn);
                if let Some(turn) = turn {
                    let stale = name(store.read(id, NOTHING, Some(turn + 1)).await);
                    assert_eq!(stale, name(Err(StoreError::Superseded)));
                }
                let events = name(store.read(id, NOTHING, turn).await);
                assert_eq!(events.map(|events| ids(&events)), name(model.read(id)));
            }
            Call::End { queue } => {
                // One that has begun: else the contract says nothing.
                if model.0.get(&pick(queue)).is_some_and(|queue| queue.polls > 0) {
                    store.end(pick(queue));
                    model.end(pick(queue));
                }
            }
            Call::Remove { queue, user } => {
                let (id, owner) = (pick(queue), USERS[user]);
                assert_eq!(name(store.remove(id, owner).await), name(model.remove(id, owner)));
            }
            Call::Wait { seconds } => sleep(Duration::from_secs(seconds)).await,
            Call::Restart => {
                store.close().await;
                drop(store);
                store = reopen(dir.path());
                model.restart();
            }
            Call::Crash => {
                // What is lazy is written by then. What expires by then may come back with the file.
                let written = Duration::from_secs(3);
                if model.expires_within(written) {
                    continue;
                }
                sleep(written).await;
                let crashed = tempfile::TempDir::new().unwrap();
                std::fs::copy(dir.path().join(FILE), crashed.path().join(FILE)).unwrap();
                (store, dir) = (reopen(crashed.path()), crashed);
                model.restart();
            }
        }
        model.expire();
        sleep(Duration::ZERO).await;
        assert!(store.stats().queues.unwrap() >= model.0.len() as u64);
    }
    // What expires meanwhile may be collected or not.
    let before = model.0.len() as u64;
    sleep(Duration::from_secs(2)).await;
    model.expire();
    assert!((model.0.len() as u64..=before).contains(&store.stats().queues.unwrap()));
}

fn reopen(dir: &std::path::Path) -> Embedded {
    let opened = Embedded::open(dir, LIMITS).unwrap();
    assert_eq!(opened.damage, None);
    opened.store
}

#[test]
fn random_calls_do_what_the_model_does() {
    let mut runner =
        TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    runner
        .run(&calls(), |calls| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(compare(calls));
            Ok(())
        })
        .unwrap();
}
