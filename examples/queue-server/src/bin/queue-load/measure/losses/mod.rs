//! Clients poll, leave in all ways, vanish together and come back, while events are sent: is anything lost?

mod client;
mod sender;
mod tally;

use std::time::Duration;

use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, FuturesUnordered},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use self::{client::Client, sender::Sender, tally::Tally};
use super::Bench;
use crate::{
    Failed, machine,
    machine::now,
    orders::End,
    process::{Home, Server},
    report::{Times, text},
    serve::Kind,
};

/// What clients and senders are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Run,
    /// Clients have all left.
    Away,
    Done,
}

/// Senders that send at a time, each to queues of its own, so that it is known in which order a queue has its events.
const SENDERS: usize = 16;
/// Clients that fetch the rest at a time.
const FETCH: usize = 64;
/// What a line of the table says, and by what.
type Line = (&'static str, fn(&Tally) -> String);

/// Between two looks at the server.
const MOMENT: Duration = Duration::from_millis(10);

pub(super) async fn measure(bench: &Bench<'_>) -> Result<(), Failed> {
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        let tally = round(bench, kind).await?;
        if kind == Kind::Queue {
            bench.report.none("acknowledged events that were lost", tally.lost);
            bench.report.none("events out of order", tally.disorder);
            bench.report.none("answers that should not be", tally.wrong);
            bench.report.none("polls that are parked when all is over", tally.parked);
            bench.report.none("descriptors that are left when all is over", tally.open_files);
        }
        rows.push((kind, tally));
    }
    let come_and_go = &bench.plan.come_and_go;
    let title = format!(
        "{} clients come and go for {:?}: {} events a second, {} leave a second, {} storms",
        come_and_go.clients,
        come_and_go.time,
        come_and_go.rate,
        come_and_go.churn,
        come_and_go.storms,
    );
    let lines: [Line; 13] = [
        ("events acknowledged", |tally| tally.acknowledged.to_string()),
        ("lost", |tally| tally.lost.to_string()),
        ("out of order", |tally| tally.disorder.to_string()),
        ("sent again, and ignored", |tally| tally.again.to_string()),
        ("sends that failed", |tally| tally.failed_sends.to_string()),
        ("answers that should not be", |tally| tally.wrong.to_string()),
        ("clients that left", |tally| tally.left.to_string()),
        ("send acknowledged, p50", |tally| text(tally.sends.p50())),
        ("send acknowledged, p99", |tally| text(tally.sends.p99())),
        ("storm to last unparked, worst", |tally| text(tally.storms.at(1.0))),
        ("polls left parked by storms", |tally| tally.left_parked.to_string()),
        ("polls parked in the end", |tally| tally.parked.to_string()),
        ("descriptors left in the end", |tally| tally.open_files.to_string()),
    ];
    let table: Vec<Vec<String>> = lines
        .iter()
        .map(|(what, cell)| {
            let cells = rows.iter().map(|(_, tally)| cell(tally));
            [what.to_string()].into_iter().chain(cells).collect()
        })
        .collect();
    bench.report.table(&title, &["", Kind::ALL[0].name(), Kind::ALL[1].name()], &table);
    Ok(())
}

async fn round(bench: &Bench<'_>, kind: Kind) -> Result<Tally, Failed> {
    let plan = bench.plan.come_and_go;
    let name = format!("losses of {}", kind.name());
    bench.report.stage(&name, usize::try_from(plan.time.as_secs())?);
    let home = Home::new(bench.plan)?;
    let mut server = home.start(kind, false).await?;
    let queues = server.create(plan.clients, 1, None).await?;
    let open_files = machine::open_files(server.process)?;
    let phase = watch::Sender::new(Phase::Run);
    let leaves_after = Duration::from_secs(plan.clients as u64) / plan.churn;
    let mut clients: Vec<Client> =
        queues.iter().map(|queue| Client::new(queue, server.address, leaves_after)).collect();
    let mut senders: Vec<Sender> =
        (0..SENDERS).map(|n| Sender::new(n, SENDERS, &queues, &server)).collect();
    let every = Duration::from_secs(SENDERS as u64) / plan.rate;
    let (mut storms, mut left_parked) = (Vec::new(), 0);

    let all_clients = async {
        let mut all: FuturesUnordered<_> =
            clients.iter_mut().map(|client| client.live(phase.subscribe())).collect();
        while all.next().await.is_some() {}
    };
    let all_senders = async {
        let mut all: FuturesUnordered<_> =
            senders.iter_mut().map(|sender| sender.send(every, phase.subscribe())).collect();
        while all.next().await.is_some() {}
    };
    let conduct = async {
        let begun = Instant::now();
        for storm in 1..=plan.storms {
            let at = plan.time.mul_f64(f64::from(storm) / f64::from(plan.storms + 1));
            tick_until(bench, begun, at).await;
            let known = server.ends(End::Park, 0).await?.len();
            let vanish = now();
            phase.send_replace(Phase::Away);
            left_parked = left_parked.max(gone(&mut server).await?);
            let last = server.ends(End::Park, known).await?.into_iter().max();
            storms.extend(last.map(|last| last.saturating_sub(vanish)));
            phase.send_replace(Phase::Run);
        }
        tick_until(bench, begun, plan.time).await;
        phase.send_replace(Phase::Done);
        Ok::<_, Failed>(())
    };
    let ((), (), conducted) = tokio::join!(all_clients, all_senders, conduct);
    conducted?;

    bench.report.stage(&format!("{name}: the rest"), clients.len());
    let rest = stream::iter(clients.iter_mut()).map(Ok::<_, Failed>);
    rest.try_for_each_concurrent(FETCH, async |client| {
        client.fetch_rest().await?;
        bench.report.step();
        Ok(())
    })
    .await?;
    let mut tally = Tally::of(&clients, &senders);
    tally.storms = Times::of(storms);
    tally.left_parked = left_parked;
    tally.parked = gone(&mut server).await?;
    tally.open_files = machine::open_files(server.process)?.saturating_sub(open_files + SENDERS);
    server.end().await?;
    Ok(tally)
}

async fn tick_until(bench: &Bench<'_>, begun: Instant, at: Duration) {
    while begun.elapsed() < at {
        sleep(at.saturating_sub(begun.elapsed()).min(Duration::from_secs(1))).await;
        bench.report.step();
    }
}

/// Waits until nothing is parked, but not for long. How many are.
async fn gone(server: &mut Server) -> Result<usize, Failed> {
    let waits = Instant::now() + Duration::from_secs(2);
    loop {
        let parked = server.parked().await?;
        if parked == 0 || Instant::now() > waits {
            return Ok(parked);
        }
        sleep(MOMENT).await;
    }
}
