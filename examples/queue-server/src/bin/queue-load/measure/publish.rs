//! From the request that sends an event until the client has it, while nothing else happens.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Bench;
use crate::{
    Failed,
    machine::now,
    process::Home,
    report::{Times, text},
    serve::Kind,
    wire::{self, Conn, Shape},
};

const BUDGET: Duration = Duration::from_millis(2);
/// For the poll to be parked, and the server to be idle.
const PAUSE: Duration = Duration::from_millis(1);
/// Then the others' polls are about to end by themselves.
const OVER: Duration = Duration::from_secs(42);

pub(super) async fn measure(bench: &Bench<'_>) -> Result<(), Failed> {
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        let (answered, stored) = round(bench, kind).await?;
        let cells =
            [vec![kind.name().to_owned()], answered.cells().to_vec(), stored.cells().to_vec()];
        rows.push([cells.concat(), vec![answered.count().to_string()]].concat());
        if kind == Kind::Queue {
            let measured = text(answered.p99());
            let what = "publish to answer on the wire, p99, idle";
            bench.report.budget(what, "2 ms", measured, answered.within(BUDGET));
        }
    }
    let title =
        format!("From the request that sends an event, {} others parked", bench.plan.clients);
    let head = [
        "server",
        "client has it, p50",
        "p99",
        "max",
        "sender is answered, p50",
        "p99",
        "max",
        "events",
    ];
    bench.report.table(&title, &head, &rows);
    Ok(())
}

async fn round(bench: &Bench<'_>, kind: Kind) -> Result<(Times, Times), Failed> {
    let others = bench.plan.clients.saturating_sub(2);
    let events = bench.plan.samples * 5;
    bench.report.stage(&format!("publish by {}", kind.name()), others + events);
    let home = Home::new(bench.plan)?;
    let mut server = home.start(kind, false).await?;
    let queues = server.create(others + 1, 1, None).await?;
    let Some((queue, others)) = queues.split_first() else { return Err("no queue".into()) };
    let begun = Instant::now();
    let _others = bench.park(&mut server, others).await?;
    let mut client = Conn::open(server.address).await?;
    let mut sender = Conn::open(server.address).await?;
    let (mut answered, mut stored) = (Vec::new(), Vec::new());
    let mut seen = -1;
    for number in 0..events as u64 {
        if begun.elapsed() > OVER {
            break;
        }
        client.write(&queue.poll(seen, Shape::Poll)).await?;
        let send = wire::send([queue], &server.service, number);
        sleep(PAUSE).await;
        let begun = now();
        sender.write(&send).await?;
        let both = tokio::try_join!(
            async { client.answer().await.map(|answer| (answer, now() - begun)) },
            async { sender.answer().await.map(|_| now() - begun) },
        );
        let ((answer, has), knows) = both?;
        answered.push(has);
        stored.push(knows);
        let events = answer.events()?;
        if !matches!(events[..], [ref event] if event.number == number) {
            return Err(format!("event {number} was answered by {events:?}").into());
        }
        seen = events[0].id;
        bench.report.step();
    }
    server.end().await?;
    Ok((Times::of(answered), Times::of(stored)))
}
