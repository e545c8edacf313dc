//! What all of these tests use.

use std::{fs, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use queue_server::{
    id::QueueId,
    store::{
        Appended, Begin, Begun, Event, EventId, Limits, NOTHING, NewEvent, Session, Store,
        StoreError, Target,
        embedded::{Embedded, OpenError, Opened},
    },
};
use tempfile::TempDir;

pub(crate) const FILE: &str = "queues.redb";
pub(crate) const OWNER: &str = "anna";
pub(crate) const IDLE: Duration = Duration::from_secs(600);

/// A store in a directory of its own.
pub(crate) struct Fixture {
    pub(crate) store: Embedded,
    pub(crate) dir: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let dir = TempDir::new().unwrap();
        let opened = Embedded::open(dir.path(), limits).unwrap();
        assert_eq!(opened.damage, None);
        Self { store: opened.store, dir }
    }

    /// What a crash now would leave: the file as it is, without a word to the store.
    pub(crate) fn crash(&self) -> TempDir {
        let copy = TempDir::new().unwrap();
        fs::copy(self.dir.path().join(FILE), copy.path().join(FILE)).unwrap();
        copy
    }

    pub(crate) async fn close(self) -> TempDir {
        self.store.close().await;
        drop(self.store);
        self.dir
    }
}

/// Opens, where another may still be about to let go.
pub(crate) async fn open(dir: &Path) -> Opened {
    for _ in 0..500 {
        match Embedded::open(dir, Limits::default()) {
            Err(OpenError::InUse(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("the directory stays in use");
}

pub(crate) fn session() -> Session {
    Session { owner: OWNER.into(), event_types: None, idle_timeout: IDLE, heartbeat: false }
}

pub(crate) async fn queue(store: &Embedded) -> QueueId {
    let id = QueueId::random();
    store.create(id, session()).await.unwrap();
    id
}

pub(crate) fn event(text: &str) -> NewEvent {
    NewEvent {
        kind: "note".into(),
        json: Bytes::from(format!(r#"{{"type":"note","text":"{text}"}}"#)),
    }
}

pub(crate) async fn send(
    store: &Embedded,
    queue: QueueId,
    text: &str,
) -> Result<Appended, StoreError> {
    store.append(Target::Queues(vec![queue]), event(text)).await
}

pub(crate) async fn fill(store: &Embedded, queue: QueueId, count: usize) {
    for number in 0..count {
        let appended = send(store, queue, &number.to_string()).await.unwrap();
        assert_eq!(appended.stored, [queue]);
    }
}

/// A poll that has begun, and has the queue.
#[derive(Debug)]
pub(crate) struct Polling {
    pub(crate) begun: Begun,
    pub(crate) turn: u64,
}

impl std::ops::Deref for Polling {
    type Target = Begun;

    fn deref(&self) -> &Begun {
        &self.begun
    }
}

pub(crate) async fn begin(
    store: &Embedded,
    queue: QueueId,
    seen: EventId,
) -> Result<Polling, StoreError> {
    let begun = store.begin(Begin { queue, owner: OWNER, seen }).await?;
    Ok(Polling { begun, turn: store.take(queue, seen).await?.turn })
}

/// A poll from its beginning to its end.
pub(crate) async fn poll(
    store: &Embedded,
    queue: QueueId,
    seen: EventId,
) -> Result<Vec<Event>, StoreError> {
    store.begin(Begin { queue, owner: OWNER, seen }).await?;
    let taken = store.take(queue, seen).await;
    store.end(queue);
    Ok(taken?.events)
}

/// All that is in a queue, acknowledged page by page.
pub(crate) async fn drain(store: &Embedded, queue: QueueId) -> Vec<Event> {
    let (mut seen, mut all) = (NOTHING, Vec::new());
    loop {
        let page = poll(store, queue, seen).await.unwrap();
        let Some(last) = page.last() else { return all };
        seen = last.id;
        all.extend(page);
    }
}

pub(crate) fn ids(events: &[Event]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

pub(crate) fn user(name: &str) -> Arc<str> {
    name.into()
}

macro_rules! assert_fails {
    ($result:expr, $error:pat) => {
        match $result {
            Err($error) => {}
            other => panic!("expected {}, not {other:?}", stringify!($error)),
        }
    };
}
pub(crate) use assert_fails;
