//! Every row of the table: the hooks in order, and the verdict.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tower::Layer;
use tower_lifecycle::{
    LifecycleLayer,
    testing::{Recorder, Recording},
};

use crate::support::{
    reads_hyper,
    rows::{self, Row},
    server::{App, Signals},
};

fn observe(row: &Row) -> Vec<Recording> {
    rows::run(async {
        let recorder = Recorder::new();
        let signals = Arc::new(Signals::default());
        let layer = reads_hyper(LifecycleLayer::new(recorder.clone()));
        let service = layer.layer(App::new(row.handler, &signals));
        let settled = async || drop(recorder.settled(row.exchanges.len()).await);
        rows::play(row.client, service, &signals, settled).await;
        recorder.exchanges()
    })
}

fn check(row: &Row) -> Result<(), String> {
    let exchanges = catch_unwind(AssertUnwindSafe(|| {
        let exchanges = observe(row);
        exchanges.iter().for_each(Recording::assert_grammar);
        exchanges
    }))
    .map_err(|_| "panicked, see above".to_owned())?;
    let told = |exchange: &Recording| (exchange.words(), exchange.close().to_string());
    let told: Vec<_> = exchanges.iter().map(told).collect();
    let expected: Vec<_> = row
        .exchanges
        .iter()
        .map(|exchange| (exchange.words.clone(), exchange.verdict.to_owned()))
        .collect();
    if told == expected { Ok(()) } else { Err(format!("{told:#?}\nexpected {expected:#?}")) }
}

#[test]
fn every_row_is_told_as_expected() {
    let rows = rows::all();
    assert!(rows.len() >= 40);
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| Some(format!("\n{}: {}", row.name, check(row).err()?)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows:{}", wrong.len(), rows.len(), wrong.concat());
}
