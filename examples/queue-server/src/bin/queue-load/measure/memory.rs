//! Memory of a parked poll.

use super::Bench;
use crate::{
    Failed,
    process::Home,
    report::{float, median, ratio},
    serve::Kind,
};

/// Bytes a poll that a poll may take beyond the minimal server's.
const BUDGET: f64 = 1536.0;

pub(super) async fn measure(bench: &Bench<'_>) -> Result<(), Failed> {
    let mut rows = Vec::new();
    let mut worst = f64::NEG_INFINITY;
    for one_arena in [false, true] {
        let mut bytes = [Vec::new(), Vec::new()];
        for _ in 0..bench.plan.rounds {
            for (kind, bytes) in Kind::ALL.into_iter().zip(&mut bytes) {
                bytes.push(round(bench, kind, one_arena).await?);
            }
        }
        let [minimal, queue] = bytes.map(median);
        rows.push(vec![
            (if one_arena { "`MALLOC_ARENA_MAX=1`" } else { "as it is" }).to_owned(),
            format!("{minimal:.0} B"),
            format!("{queue:.0} B"),
            format!("{:.0} B", queue - minimal),
            ratio(queue, minimal),
        ]);
        worst = worst.max(queue - minimal);
    }
    let title = format!("Resident memory of a parked poll, {} parked", bench.plan.clients);
    let head = ["allocator", "minimal", "queue", "queue beyond minimal", "of minimal"];
    bench.report.table(&title, &head, &rows);
    let what = "memory of a parked poll beyond minimal";
    bench.report.budget(what, "1.5 KB", format!("{worst:.0} B"), worst <= BUDGET);
    Ok(())
}

async fn round(bench: &Bench<'_>, kind: Kind, one_arena: bool) -> Result<f64, Failed> {
    let clients = bench.plan.clients;
    bench.report.stage(&format!("memory of {}", kind.name()), clients);
    let home = Home::new(bench.plan)?;
    let mut server = home.start(kind, one_arena).await?;
    let queues = server.create(clients, 1, None).await?;
    // What a server has anyway is not a poll's.
    let (first, rest) = queues.split_at(clients / 10);
    let _first = bench.park(&mut server, first).await?;
    let before = server.resident()?;
    let _rest = bench.park(&mut server, rest).await?;
    let grown = server.resident()?.saturating_sub(before);
    server.end().await?;
    Ok(float(grown) / float(rest.len() as u64))
}
