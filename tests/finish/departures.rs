//! Clients that leave at once when they have what they came for: ordinary traffic, and no disconnect.

use std::collections::BTreeMap;

use tokio::task::JoinSet;
use tower_lifecycle::{EventKind, testing::Client};

use crate::support::seams::{Rig, Seam, builder};

const CLIENTS: usize = 2000;
const AT_ONCE: usize = 64;

/// A client that reads its answer and leaves. Whether it has read all of it.
async fn visit(mut client: Client, number: usize, closes_half: bool) -> bool {
    client.send(format!("GET /full/{number} HTTP/1.1\r\n\r\n")).await.unwrap();
    if closes_half {
        client.fin().await.unwrap();
    }
    let read = client.read_until("hello").await.is_ok();
    let _ = client.close();
    read
}

/// Checks that all who read everything closed as complete, and returns how many those were.
async fn visits(rig: &Rig, closes_half: bool) -> usize {
    let mut read = BTreeMap::new();
    let mut visitors = JoinSet::new();
    for number in 0..CLIENTS {
        if visitors.len() >= AT_ONCE {
            let (number, all) = visitors.join_next().await.unwrap().unwrap();
            read.insert(format!("GET /full/{number}"), all);
        }
        let client = rig.connect().await;
        visitors.spawn(async move { (number, visit(client, number, closes_half).await) });
    }
    read.extend(
        visitors
            .join_all()
            .await
            .into_iter()
            .map(|(number, all)| (format!("GET /full/{number}"), all)),
    );
    assert_eq!(read.len(), CLIENTS);
    let connections = rig.recorder.disconnected(CLIENTS).await;
    let exchanges = rig.recorder.settled(1).await;
    assert!(connections.len() >= exchanges.len());
    for exchange in &exchanges {
        exchange.assert_grammar();
        let (name, close) = (exchange.name(), exchange.close().to_string());
        let disconnected =
            exchange.hooks.iter().any(|hook| matches!(hook, EventKind::Disconnect(_)));
        if read[&name] {
            assert_eq!(close, "complete, by local, known by io", "{name}: {exchange}");
            assert!(!disconnected, "{name}: {exchange}");
        }
    }
    read.values().filter(|all| **all).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_everything_and_closes_at_once_is_no_disconnect() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        assert_eq!(visits(&rig, false).await, CLIENTS, "{seam:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_who_sends_its_fin_right_behind_the_request() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        // How many are answered is up to hyper, which may see the FIN first.
        visits(&rig, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_where_such_a_client_is_waited_for() {
    for seam in Seam::DRIVEN {
        let mut builder = builder();
        builder.http1().half_close(true);
        let rig = Rig::with(seam, builder, |lifecycle| lifecycle.half_close(true), |app| app).await;
        assert_eq!(visits(&rig, true).await, CLIENTS, "{seam:?}");
    }
}
