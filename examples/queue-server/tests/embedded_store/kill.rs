//! `kill -9` under load: what was acknowledged is there, and no id is given twice.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use queue_server::{
    id::QueueId,
    store::{EventId, Limits, NOTHING, Store, embedded::Embedded},
};

use crate::{
    child::{Process, say},
    support::*,
};

const QUEUES: usize = 4;
const SENDERS: usize = 6;

/// In the child: appends to some queues at once, and says which text each queue has, after the store said that it is safe.
pub(crate) async fn append(dir: &Path) {
    let limits = Limits {
        queues_per_user: 1000,
        events_per_queue: usize::MAX,
        bytes_per_queue: usize::MAX,
        ..Limits::default()
    };
    let store = Arc::new(Embedded::open(dir, limits).unwrap().store);
    let run = QueueId::random();
    for _ in 0..QUEUES {
        let id = queue(&store).await;
        for sender in 0..SENDERS {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for number in 0.. {
                    let text = format!("{run}-{sender}-{number}");
                    send(&store, id, &text).await.unwrap();
                    say(format_args!("{id} {text}"));
                }
            });
        }
    }
    std::future::pending::<()>().await;
}

/// What all rounds together know of a queue.
#[derive(Default)]
struct Known {
    /// Texts that were acknowledged.
    safe: Vec<String>,
    /// What had each id when it was last read.
    read: BTreeMap<EventId, String>,
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_no_id_is_given_twice() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut known: BTreeMap<QueueId, Known> = BTreeMap::new();
    for round in 1..=10 {
        let process = Process::start("append", dir.path());
        let mut said = Vec::new();
        // Not always at the same place.
        for _ in 0..50 + round * 37 {
            said.push(process.line().expect("it runs until it is killed"));
        }
        said.extend(process.kill());
        for line in said {
            let (queue, text) = line.split_once(' ').unwrap();
            let queue = queue.parse().unwrap();
            known.entry(queue).or_default().safe.push(text.to_owned());
        }

        let opened = open(dir.path()).await;
        assert_eq!(opened.damage, None);
        for (id, known) in &mut known {
            // Ours continue to get events, to see that ids go on.
            send(&opened.store, *id, "after").await.unwrap();
            check(&opened.store, *id, known).await;
        }
        opened.store.close().await;
    }
    let safe: usize = known.values().map(|known| known.safe.len()).sum();
    assert!(safe > 1000, "{safe}");
}

async fn check(store: &Embedded, id: QueueId, known: &mut Known) {
    let (mut seen, mut now) =
        (known.read.keys().next_back().copied().unwrap_or(NOTHING), BTreeMap::new());
    // Acknowledges what the round before read, as its client would.
    while let page @ [_, ..] = &*poll(store, id, seen).await.unwrap() {
        for event in page {
            assert!(event.id > seen, "{} after {seen}", event.id);
            seen = event.id;
            let json: serde_json::Value = serde_json::from_slice(&event.json).unwrap();
            now.insert(event.id, json["text"].as_str().unwrap().to_owned());
        }
    }
    for (id, text) in now {
        assert!(known.read.insert(id, text).is_none(), "the id {id} was given before");
    }
    let all: std::collections::HashSet<_> = known.read.values().collect();
    for text in &known.safe {
        assert!(all.contains(text), "{text} was acknowledged and is lost");
    }
}

#[tokio::test]
async fn the_directory_of_a_killed_server_is_free() {
    let dir = tempfile::TempDir::new().unwrap();
    let process = Process::start("append", dir.path());
    process.line().unwrap();
    assert!(Embedded::open(dir.path(), Limits::default()).is_err());
    process.kill();
    tokio::time::timeout(Duration::from_secs(10), open(dir.path())).await.unwrap();
}
