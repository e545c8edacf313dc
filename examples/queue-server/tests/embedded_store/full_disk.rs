//! A disk that is full, by a limit of the file's size: clear errors, what was stored stays readable, and it recovers.

use std::{path::Path, time::Duration};

use queue_server::{
    id::QueueId,
    store::{Limits, NOTHING, Store, StoreError, embedded::Embedded},
};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{
    child::{Process, say},
    support::*,
};

/// Of the file, in bytes. The empty one has a part of it.
const SPACE: u64 = 6 << 20;

/// In the child, since the limit is the process's.
pub(crate) async fn fill(dir: &Path) {
    // Else the write that is too much ends the process.
    let _ignored = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(
        rustix::process::Signal::XFSZ.as_raw(),
    ))
    .unwrap();
    let limits =
        Limits { events_per_queue: usize::MAX, bytes_per_queue: usize::MAX, ..Limits::default() };
    let store = Embedded::open(dir, limits).unwrap().store;
    let id = queue(&store).await;
    limit(Some(SPACE));
    let text = "x".repeat(30_000);
    let mut stored = 0;
    let error = loop {
        match send(&store, id, &text).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(stored > 10, "{stored}");
    say(format_args!("full {stored}"));
    assert!(store.ready().await.is_err());

    // Again and again: no crash, no half event, and what is there is readable.
    for _ in 0..20 {
        let refused = store.create(QueueId::random(), session()).await;
        if let Err(error) = refused {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        }
        if send(&store, id, &text).await.is_ok() {
            stored += 1;
        }
        readable(&store, id, stored).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // There is room again.
    limit(None);
    until(async || store.ready().await.is_ok()).await;
    until(async || send(&store, id, "room").await.is_ok()).await;
    stored += 1;
    readable(&store, id, stored).await;

    // Full again, and what is acknowledged makes room without a bigger file.
    let size = std::fs::metadata(dir.join(FILE)).unwrap().len();
    limit(Some(size));
    while send(&store, id, &text).await.is_ok() {
        stored += 1;
    }
    let events = until_some(async || store.read(id, NOTHING, None).await.ok()).await;
    let seen = events.last().unwrap().id;
    begin(&store, id, seen).await.unwrap();
    store.end(id);
    until(async || send(&store, id, &text).await.is_ok()).await;
    say(format_args!("recovered {stored} {seen}"));
    store.close().await;
    say(format_args!("queue {id}"));
}

/// Exactly these, and all of them, as soon as the file is open again.
async fn readable(store: &Embedded, id: QueueId, stored: i64) {
    let (mut seen, mut count) = (NOTHING, 0);
    loop {
        let page = until_some(async || store.read(id, seen, None).await.ok()).await;
        let Some(last) = page.last() else { break };
        assert_eq!(page[0].id, seen + 1);
        (seen, count) = (last.id, count + i64::try_from(page.len()).unwrap());
    }
    // One that failed may be there after all.
    assert!(count >= stored, "{count} of {stored}");
}

async fn until(mut done: impl AsyncFnMut() -> bool) {
    until_some(async || done().await.then_some(())).await;
}

async fn until_some<T>(mut done: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(done) = done().await {
            return done;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it does not recover");
}

fn limit(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let dir = tempfile::TempDir::new().unwrap();
    let process = Process::start("fill", dir.path());
    let full = process.line().expect("it fills up");
    assert!(full.starts_with("full "), "{full}");
    let recovered = process.line().expect("it recovers");
    let numbers: Vec<i64> = recovered.split(' ').skip(1).map(|n| n.parse().unwrap()).collect();
    let queue = process.line().expect("it closes").split_once(' ').unwrap().1.parse().unwrap();
    assert_eq!(process.line(), None);
    let opened = open(dir.path()).await;
    assert_eq!(opened.damage, None);
    let first = poll(&opened.store, queue, numbers[1]).await.unwrap();
    assert_eq!(first[0].id, numbers[1] + 1);
}
