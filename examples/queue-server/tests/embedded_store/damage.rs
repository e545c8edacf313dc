//! Files that are not as the store left them: reported and set aside, or read as if nothing were, but no third.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use queue_server::store::{
    Limits, NOTHING, Store,
    embedded::{Embedded, OpenError},
};
use tempfile::TempDir;

use crate::support::*;

/// A file of some events that was closed, and its queue.
async fn closed() -> (TempDir, queue_server::id::QueueId) {
    let it = Fixture::new();
    let queue = queue(&it.store).await;
    fill(&it.store, queue, 40).await;
    (it.close().await, queue)
}

fn set_aside(dir: &Path) -> Vec<String> {
    let names =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.contains("damaged")).collect();
    names.sort();
    names
}

/// Whether it is reported. Then the file is aside as it was, and the store is empty, and works; else all events are there.
async fn is_reported(damaged: &[u8], queue: queue_server::id::QueueId, what: &str) -> bool {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(FILE), damaged).unwrap();
    let opened = Embedded::open(dir.path(), Limits::default())
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let store = opened.store;
    let reported = opened.damage.is_some();
    if let Some(damage) = opened.damage {
        assert_eq!(damage.moved_to, dir.path().join(format!("{FILE}.damaged-1")), "{what}");
        assert_eq!(set_aside(dir.path()), [format!("{FILE}.damaged-1")], "{what}");
        assert!(!damage.reason.is_empty());
        assert_eq!(store.stats().queues, Some(0), "{what}");
        let anew = crate::support::queue(&store).await;
        fill(&store, anew, 2).await;
        assert_eq!(ids(&drain(&store, anew).await), [0, 1], "{what}");
    } else {
        assert_eq!(set_aside(dir.path()), [""; 0], "{what}");
        let events = poll(&store, queue, NOTHING).await.unwrap();
        assert_eq!(ids(&events), (0..40).collect::<Vec<_>>(), "{what}");
        for (event, number) in events.iter().zip(0..) {
            assert_eq!(event.json, crate::support::event(&number.to_string()).json, "{what}");
        }
    }
    store.close().await;
    drop(store);
    // No loop: what is reported once is not there any more.
    let again = Embedded::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(again.damage, None, "{what}");
    reported
}

#[tokio::test]
async fn garbage_is_set_aside() {
    let (_, queue) = closed().await;
    for garbage in [
        &b"x"[..],
        b"\0",
        &[0; 10_000],
        &[0xff; 4096],
        b"redb\x1a\n\xa9\r\n",
        b"{\"not\":\"a store\"}",
    ] {
        assert!(is_reported(garbage, queue, "garbage").await);
    }
}

#[tokio::test]
async fn an_empty_file_is_set_aside() {
    let (_, queue) = closed().await;
    assert!(is_reported(b"", queue, "empty").await);
}

#[tokio::test]
async fn a_file_cut_anywhere_is_set_aside_or_whole() {
    let (dir, queue) = closed().await;
    let whole = fs::read(dir.path().join(FILE)).unwrap();
    assert!(!is_reported(&whole, queue, "whole").await);
    let mut reported = 0;
    for part in [1, 9, 64, 320, 4095, 4096, 8192, 12_288, 16_384, 40_000] {
        reported += u32::from(is_reported(&whole[..part], queue, &format!("cut at {part}")).await);
    }
    for part in (1..8).map(|eighth| whole.len() * eighth / 8).chain([whole.len() - 1]) {
        reported += u32::from(is_reported(&whole[..part], queue, &format!("cut at {part}")).await);
    }
    assert!(reported >= 10, "{reported}");
}

#[tokio::test]
async fn flipped_bytes_are_found_where_they_matter() {
    let (dir, queue) = closed().await;
    let whole = fs::read(dir.path().join(FILE)).unwrap();
    let mut reported = 0;
    // All of the header's bytes would take minutes. So does each page's first.
    let header = (0..320).step_by(7);
    for at in header.chain((4096..whole.len()).step_by(4096)) {
        let mut damaged = whole.clone();
        for byte in damaged.iter_mut().skip(at).take(8) {
            *byte ^= 0x5a;
        }
        reported += u32::from(is_reported(&damaged, queue, &format!("flipped at {at}")).await);
    }
    assert!(reported > 0);
}

#[tokio::test]
async fn an_event_that_is_not_as_it_was_is_never_given_out() {
    let (dir, queue) = closed().await;
    let whole = fs::read(dir.path().join(FILE)).unwrap();
    let text = event("17").json;
    for at in 0..whole.len() - text.len() {
        if whole[at..].starts_with(&text) {
            let mut damaged = whole.clone();
            damaged[at + text.len() - 3] ^= 1;
            is_reported(&damaged, queue, &format!("text at {at}")).await;
        }
    }
}

#[tokio::test]
async fn damage_upon_damage_keeps_all_files() {
    let dir = TempDir::new().unwrap();
    for text in ["one", "two", "three"] {
        fs::write(dir.path().join(FILE), text).unwrap();
        let opened = open(dir.path()).await;
        let damage = opened.damage.unwrap();
        assert_eq!(fs::read_to_string(damage.moved_to).unwrap(), text);
        opened.store.close().await;
    }
    assert_eq!(set_aside(dir.path()).len(), 3);
}

#[tokio::test]
async fn a_start_that_was_cut_short_is_begun_again() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("queues.redb.new"), "half").unwrap();
    let opened = Embedded::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(opened.damage, None);
    queue(&opened.store).await;
}

fn is_left_alone(dir: &Path) -> OpenError {
    let error = Embedded::open(dir, Limits::default()).unwrap_err();
    assert_eq!(set_aside(dir), [""; 0]);
    redb::Database::open(dir.join(FILE)).unwrap();
    error
}

#[tokio::test]
async fn a_file_of_another_version_or_program_is_left_alone() {
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    let write = |version: Option<u64>| {
        let dir = TempDir::new().unwrap();
        let db = redb::Database::create(dir.path().join(FILE)).unwrap();
        let transaction = db.begin_write().unwrap();
        if let Some(version) = version {
            let mut meta = transaction.open_table(meta).unwrap();
            meta.insert("version", version).unwrap();
        }
        transaction.commit().unwrap();
        drop(db);
        dir
    };
    let foreign = is_left_alone(write(None).path());
    assert!(foreign.to_string().contains("another program"), "{foreign}");
    let newer = is_left_alone(write(Some(2)).path());
    assert!(newer.to_string().contains("version 2"), "{newer}");
}

#[tokio::test]
async fn what_cannot_be_read_for_want_of_rights_is_left_alone() {
    // Root may all.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let (dir, _) = closed().await;
    let allow = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
    allow(0o000);
    let error = Embedded::open(dir.path(), Limits::default()).unwrap_err();
    allow(0o700);
    assert!(matches!(error, OpenError::Directory { .. }), "{error}");
}

#[tokio::test]
async fn a_directory_that_is_a_file_is_an_error_with_its_name() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("data");
    fs::write(&path, "").unwrap();
    let error = Embedded::open(&path, Limits::default()).unwrap_err();
    assert!(matches!(error, OpenError::Directory { .. }));
    assert!(error.to_string().contains("data"), "{error}");
}
