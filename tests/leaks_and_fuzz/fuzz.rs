//! Random bytes, splits and closes against real servers with all hooks: the exchanges that come of it make sense.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::routing::any;
use futures_util::FutureExt;
use tokio::{
    sync::Semaphore,
    task::{JoinSet, yield_now},
    time::timeout,
};
use tower_lifecycle::{
    ConnectionReason, LifecycleLayer, Reason,
    testing::{Client, MockBody, Recorder},
};

use crate::{
    bytes,
    lines::lines,
    seeded::{Seeded, told},
    support::{
        panics,
        seams::{PATIENCE, Seam, app, builder},
    },
};

const AT_ONCE: usize = 16;

/// One connection to a server of its own.
async fn case(seed: u64) {
    let mut choices = Seeded::new(seed);
    let recorder = Recorder::new().with_patience(PATIENCE);
    let (mut lines, hooks) = lines();
    let lifecycle = LifecycleLayer::new((hooks, recorder.clone()))
        .hyper_errors()
        .known_error::<axum::Error>()
        .with_handle();
    let seam = choices.one_of(&Seam::ALL);
    // Where the server cannot be dropped, nobody else would notice that a client has left behind a pipelined byte.
    let cancels = seam == Seam::Axum || choices.once_in(2);
    let lifecycle = if cancels { lifecycle.cancel_on_disconnect() } else { lifecycle };
    let slow = any(async |body: String| {
        yield_now().await;
        axum::body::Body::new(MockBody::with_trailers(body.len().min(3) + 1))
    });
    let app = app(&Arc::new(Semaphore::new(0))).route("/", slow);
    let serving = seam.serve(builder(), &lifecycle, app).await;

    let client = Client::connect(serving.addr).await.unwrap();
    lines.opened(1).await;
    play(client.with_patience(Duration::from_millis(5)), &mut choices).await;
    if seam != Seam::Axum {
        // Some end by themselves.
        let _ = timeout(Duration::from_millis(5), lines.closed()).await;
    }
    drop(serving);

    lines.closed().await;
    let summary = &recorder.connections()[0];
    assert_ne!(summary.close.reason, ConnectionReason::Panicked);
    assert_eq!(recorder.opened(), 1);
    let begun = || usize::try_from(summary.connection.exchanges()).unwrap();
    let exchanges = loop {
        // Over HTTP/2 one may begin when the connection is over.
        let exchanges = recorder.settled(begun()).await;
        if exchanges.len() == begun() {
            break exchanges;
        }
    };
    for exchange in &exchanges {
        exchange.assert_grammar();
        assert_ne!(exchange.reason(), Reason::Panicked, "{exchange}");
    }
    assert_eq!(lifecycle.observer_panics(), 0);
}

/// Sends what it has in pieces, and leaves.
async fn play(mut client: Client, choices: &mut Seeded) {
    let bytes = bytes::make(choices);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(if choices.once_in(2) {
            rest.len()
        } else {
            1 + choices.below(rest.len())
        });
        rest = more;
        // The server may have had enough of it.
        if client.send(piece).await.is_err() {
            break;
        }
        for _ in 0..choices.below(10) {
            yield_now().await;
        }
    }
    match choices.below(6) {
        0 => drop(client.close()),
        1 => drop(client.reset()),
        2 => drop(client.fin().await),
        3 => drop(client.read_to_end().await),
        4 => {
            let _ = client.fin().await;
            let _ = client.read_to_end().await;
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_client_sends_the_exchanges_make_sense() {
    panics::quiet();
    let (start, count) = (told("SEED", 1), told("FUZZ_CONNECTIONS", 3000));
    let mut cases = JoinSet::new();
    for seed in start..start + count {
        if cases.len() >= AT_ONCE {
            check(cases.join_next().await.unwrap().unwrap());
        }
        cases.spawn(
            async move { (seed, AssertUnwindSafe(case(seed)).catch_unwind().await.is_ok()) },
        );
    }
    while let Some(case) = cases.join_next().await {
        check(case.unwrap());
    }
}

#[track_caller]
fn check((seed, holds): (u64, bool)) {
    assert!(holds, "run again with SEED={seed} FUZZ_CONNECTIONS=1");
}
