//! Nothing is left: no exchange, no connection, no task.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use tokio::{runtime::Handle, sync::Semaphore, task::JoinSet, time::sleep};
use tower_lifecycle::{
    LifecycleLayer,
    testing::{LeakCheck, Recorder},
};

use crate::{
    clients::visit,
    lines::lines,
    seeded::{Seeded, told},
    support::{
        panics,
        seams::{PATIENCE, Seam, app, builder, within},
    },
};

/// Of one server.
const BATCH: u64 = 250;
const AT_ONCE: usize = 64;

/// Serves a batch of clients that come and go. What the exchanges came to.
async fn batch(seam: Seam, cancels: bool, seeds: Range<u64>) -> BTreeSet<&'static str> {
    let what = format!("{seam:?}, seeds {seeds:?}");
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let recorder = Recorder::new();
    let leaks = LeakCheck::new().with_patience(PATIENCE);
    let (mut lines, hooks) = lines();
    let lifecycle = LifecycleLayer::new((hooks, leaks.clone(), recorder.clone()))
        .hyper_errors()
        .known_error::<axum::Error>()
        .with_handle();
    let lifecycle = if cancels { lifecycle.cancel_on_disconnect() } else { lifecycle };
    let app = app(&Arc::new(Semaphore::new(20)));
    let serving = seam.serve(builder(), &lifecycle, app).await;

    let (mut visitors, mut stay) = (JoinSet::new(), Vec::new());
    for seed in seeds {
        if visitors.len() >= AT_ONCE {
            stay.extend(visitors.join_next().await.unwrap().unwrap());
        }
        visitors.spawn(visit(serving.addr, Seeded::new(seed)));
    }
    stay.extend(visitors.join_all().await.into_iter().flatten());
    lines.opened(BATCH).await;
    if seam == Seam::Axum {
        // Its connections outlive it.
        drop(stay);
        drop(serving);
    } else {
        drop(serving);
        drop(stay);
    }
    lines.closed().await;
    leaks.settled().await;
    within("the end of all tasks", async {
        while tasks() > before {
            // Nobody is told of the end of a task that nobody joins.
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;

    assert_eq!((leaks.begun(), lifecycle.observer_panics()), (leaks.closed(), 0), "{what}");
    let exchanges = recorder.exchanges();
    for exchange in &exchanges {
        exchange.assert_grammar();
        let connection = exchange.summary().unwrap().connection.as_ref().unwrap();
        let open = (connection.open_exchanges(), connection.open_upgrades());
        assert_eq!(open, (0, 0), "{what}: {exchange}");
    }
    let summaries = recorder.connections();
    let connections: HashMap<_, _> =
        summaries.iter().map(|it| (it.connection.id(), &it.connection)).collect();
    let begun: u64 = connections.values().map(|connection| connection.exchanges()).sum();
    assert_eq!(begun, exchanges.len() as u64, "{what}");
    exchanges.iter().map(|exchange| exchange.reason().as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_end_at_random_moments_in_random_ways_leave_nothing() {
    panics::quiet();
    let (start, count) = (told("SEED", 1), told("LEAK_CONNECTIONS", 10_000));
    let rows = [
        (Seam::Axum, true),
        (Seam::Connection, false),
        (Seam::Connection, true),
        (Seam::Serve, false),
        (Seam::Serve, true),
    ];
    let mut reasons = BTreeSet::new();
    for (number, (seam, cancels)) in (0..count.div_ceil(BATCH)).zip(rows.into_iter().cycle()) {
        let first = start + number * BATCH;
        reasons.extend(batch(seam, cancels, first..first + BATCH).await);
    }
    let ways = [
        "complete",
        "disconnected",
        "reset",
        "stream_reset",
        "panicked",
        "shutdown",
        "request_failed",
    ];
    if count >= 2000 {
        assert!(ways.iter().all(|way| reasons.contains(way)), "they ended in {reasons:?}");
    }
}
