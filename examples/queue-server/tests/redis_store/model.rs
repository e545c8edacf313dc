//! Two stores on one Redis do what a vector would, whatever is asked of them in whatever order.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    sample::subsequence,
    test_runner::{Config, TestRunner},
};
use tokio::runtime::Runtime;

use super::*;

const LIMITS: Limits =
    Limits { queues_per_user: 2, events_per_queue: 4, bytes_per_queue: 200, page: 3 };
const KINDS: [&str; 2] = ["message", "other"];
const OWNERS: [&str; 2] = ["paul", "mary"];
const QUEUES: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    Create { queue: usize, owner: usize, takes: Option<Vec<&'static str>> },
    Begin { queue: usize, owner: usize, seen: EventId, take: bool },
    Read { queue: usize, after: EventId, turn: Option<u64> },
    End,
    Users { users: Vec<&'static str>, kind: usize, padding: usize },
    Queues { queues: Vec<usize>, kind: usize, padding: usize },
    Heartbeat { queue: usize },
    Remove { queue: usize, owner: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let queue = || 0..QUEUES;
    // Mostly the owner, as it is made by the queue's number.
    let owner = || prop_oneof![9 => Just(0_usize), 1 => Just(1_usize)];
    let padding = || prop_oneof![4 => 0..20_usize, 1 => 60..250_usize];
    prop_oneof![
        3 => (queue(), owner(), proptest::option::of(subsequence(&KINDS, 0..=2)))
            .prop_map(|(queue, owner, takes)| Step::Create { queue, owner, takes }),
        6 => (queue(), owner(), -2..10_i64, any::<bool>())
            .prop_map(|(queue, owner, seen, take)| Step::Begin { queue, owner, seen, take }),
        5 => (queue(), -1..10_i64, proptest::option::of(0..4_u64))
            .prop_map(|(queue, after, turn)| Step::Read { queue, after, turn }),
        2 => Just(Step::End),
        4 => (subsequence(&OWNERS, 0..=2), 0..2_usize, padding())
            .prop_map(|(users, kind, padding)| Step::Users { users, kind, padding }),
        4 => (subsequence((0..QUEUES).collect::<Vec<_>>(), 0..=QUEUES), 0..2_usize, padding())
            .prop_map(|(queues, kind, padding)| Step::Queues { queues, kind, padding }),
        1 => queue().prop_map(|queue| Step::Heartbeat { queue }),
        1 => (queue(), owner()).prop_map(|(queue, owner)| Step::Remove { queue, owner }),
    ]
}

/// A queue, as simple as can be: it keeps all, and knows what was acknowledged.
#[derive(Clone, Debug)]
struct Queue {
    session: Session,
    events: Vec<Event>,
    base: EventId,
    turn: u64,
    ended: bool,
}

#[derive(Debug, Default)]
struct Model(BTreeMap<QueueId, Queue>);

type Refused = String;

fn refusal(error: impl std::fmt::Debug) -> Refused {
    format!("{error:?}")
}

impl Model {
    fn create(&mut self, queue: QueueId, session: Session) -> Result<(), Refused> {
        let has = self.0.values().filter(|queue| queue.session.owner == session.owner).count();
        if has >= LIMITS.queues_per_user {
            return Err(refusal(StoreError::TooManyQueues(has)));
        }
        let made = Queue { session, events: vec![], base: -1, turn: 0, ended: false };
        self.0.insert(queue, made);
        Ok(())
    }

    fn begin(&mut self, begin: Begin<'_>) -> Result<(Session, bool), Refused> {
        let Some(queue) =
            self.0.get_mut(&begin.queue).filter(|queue| &*queue.session.owner == begin.owner)
        else {
            return Err(refusal(StoreError::NotFound));
        };
        if queue.ended {
            self.0.remove(&begin.queue);
            return Err(refusal(StoreError::Overflowed));
        }
        if begin.seen < -1 || begin.seen >= count(&queue.events) {
            return Err(refusal(StoreError::UnknownEvent(begin.seen)));
        }
        if begin.seen < queue.base {
            return Err(refusal(StoreError::Pruned(begin.seen)));
        }
        let progress = begin.seen > queue.base;
        queue.base = begin.seen;
        Ok((queue.session.clone(), progress))
    }

    fn take(&mut self, id: QueueId, after: EventId) -> Result<Taken, Refused> {
        let queue = self.0.get_mut(&id).ok_or_else(|| refusal(StoreError::NotFound))?;
        queue.turn += 1;
        let turn = queue.turn;
        Ok(Taken { turn, events: self.read(id, after, Some(turn))? })
    }

    fn read(
        &mut self,
        id: QueueId,
        after: EventId,
        turn: Option<u64>,
    ) -> Result<Vec<Event>, Refused> {
        let queue = self.0.get(&id).ok_or_else(|| refusal(StoreError::NotFound))?;
        if turn.is_some_and(|turn| turn != queue.turn) {
            return Err(refusal(StoreError::Superseded));
        }
        if queue.ended {
            self.0.remove(&id);
            return Err(refusal(StoreError::Overflowed));
        }
        let left = queue.events.iter().filter(|event| event.id > after.max(queue.base));
        Ok(left.take(LIMITS.page).cloned().collect())
    }

    fn append(&mut self, to: impl Fn(QueueId, &Queue) -> bool, event: &NewEvent) -> Appended {
        let mut appended = Appended::default();
        for (id, queue) in &mut self.0 {
            if queue.ended || !to(*id, queue) {
                continue;
            }
            let left = queue.events.iter().filter(|event| event.id > queue.base);
            let (events, bytes) =
                left.fold((1, event.json.len()), |(n, sum), event| (n + 1, sum + event.json.len()));
            if events > LIMITS.events_per_queue || bytes > LIMITS.bytes_per_queue {
                queue.ended = true;
                appended.overflowed.push(*id);
            } else {
                queue.events.push(Event { id: count(&queue.events), json: event.json.clone() });
                appended.stored.push(*id);
            }
        }
        appended
    }

    fn remove(&mut self, id: QueueId, owner: &str) -> Result<(), Refused> {
        if self.0.get(&id).is_some_and(|queue| &*queue.session.owner == owner) {
            self.0.remove(&id);
            return Ok(());
        }
        Err(refusal(StoreError::NotFound))
    }
}

fn count(events: &[Event]) -> EventId {
    EventId::try_from(events.len()).unwrap()
}

fn takes(queue: &Queue, kind: &str) -> bool {
    queue.session.event_types.as_ref().is_none_or(|types| types.iter().any(|one| one == kind))
}

fn new_event(kind: usize, padding: usize) -> NewEvent {
    let json = format!(r#"{{"type":"{}","n":"{:padding$}"}}"#, KINDS[kind], "");
    NewEvent { kind: KINDS[kind].into(), json: json.into() }
}

fn sorted(mut appended: Appended) -> Appended {
    appended.stored.sort();
    appended.overflowed.sort();
    appended
}

/// The queue's number gives its owner; a step may come from another.
fn owner(queue: usize, offset: usize) -> &'static str {
    OWNERS[(queue + offset) % OWNERS.len()]
}

async fn run(
    stores: &[Redis; 2],
    server: &RedisServer,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    let mut ids: Vec<_> = (0..QUEUES).map(|_| QueueId::random()).collect();
    let mut begun = Vec::new();
    for (n, step) in steps.into_iter().enumerate() {
        let store = &stores[n % 2];
        match step {
            Step::Create { queue, owner: offset, takes } => {
                if model.0.contains_key(&ids[queue]) {
                    continue;
                }
                ids[queue] = QueueId::random();
                let event_types = takes.map(|all| all.iter().map(ToString::to_string).collect());
                let session = Session { event_types, ..session(owner(queue, offset)) };
                let created = store.create(ids[queue], session.clone()).await.map_err(refusal);
                prop_assert_eq!(created, model.create(ids[queue], session));
            }
            Step::Begin { queue, owner: offset, seen, take } => {
                let poll = Begin { queue: ids[queue], owner: owner(queue, offset), seen };
                let found = store.begin(poll).await.map_err(refusal);
                if found.is_ok() {
                    begun.push((n % 2, ids[queue]));
                }
                let begins = found.is_ok();
                let found = found.map(|found| ((*found.session).clone(), found.progress));
                prop_assert_eq!(found, model.begin(poll));
                if take && begins {
                    let taken = store.take(ids[queue], seen).await.map_err(refusal);
                    prop_assert_eq!(taken, model.take(ids[queue], seen));
                }
            }
            Step::Read { queue, after, turn } => {
                let found = store.read(ids[queue], after, turn).await.map_err(refusal);
                prop_assert_eq!(found, model.read(ids[queue], after, turn));
            }
            Step::End => {
                if let Some((store, queue)) = begun.pop() {
                    stores[store].end(queue);
                }
            }
            Step::Users { users, kind, padding } => {
                let event = new_event(kind, padding);
                let target = Target::Users(users.iter().map(|user| (*user).into()).collect());
                let found = store.append(target, event.clone()).await.map_err(refusal);
                let to = |_, queue: &Queue| {
                    takes(queue, &event.kind) && users.contains(&&*queue.session.owner)
                };
                prop_assert_eq!(found.map(sorted), Ok(model.append(to, &event)));
            }
            Step::Queues { queues, kind, padding } => {
                let event = new_event(kind, padding);
                let queues: Vec<_> = queues.iter().map(|queue| ids[*queue]).collect();
                let target = Target::Queues(queues.clone());
                let found = store.append(target, event.clone()).await.map_err(refusal);
                let to = |id, queue: &Queue| takes(queue, &event.kind) && queues.contains(&id);
                prop_assert_eq!(found.map(sorted), Ok(model.append(to, &event)));
            }
            Step::Heartbeat { queue } => {
                let event = new_event(0, 0);
                let target = Target::Heartbeat(ids[queue]);
                let found = store.append(target, event.clone()).await.map_err(refusal);
                let to = |id, _: &Queue| id == ids[queue];
                prop_assert_eq!(found.map(sorted), Ok(model.append(to, &event)));
            }
            Step::Remove { queue, owner: offset } => {
                let owner = owner(queue, offset);
                let removed = store.remove(ids[queue], owner).await.map_err(refusal);
                prop_assert_eq!(removed, model.remove(ids[queue], owner));
            }
        }
    }

    for (store, queue) in begun {
        stores[store].end(queue);
    }
    for (id, queue) in model.0 {
        let removed = stores[0].remove(id, &queue.session.owner).await.map_err(refusal);
        prop_assert_eq!(removed, Ok(()));
    }
    let left: u64 = redis::cmd("DBSIZE").query_async(&mut server.connection().await).await.unwrap();
    prop_assert_eq!(left, 0, "nothing is left behind");
    Ok(())
}

#[test]
fn two_stores_do_what_a_vector_would() {
    let runtime = Runtime::new().unwrap();
    // Nothing is lost here, so nothing needs a disk.
    let server = runtime.block_on(RedisServer::start_with(&["--appendonly", "no"]));
    let stores = [(); 2].map(|()| runtime.block_on(connect(&server, LIMITS, Arc::new(|_| {}))));
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&proptest::collection::vec(step(), 1..60), |steps| {
            runtime.block_on(run(&stores, &server, steps))
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
