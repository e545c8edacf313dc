//! From the start of the program until it answers, with what was stored before.

use std::time::Duration;

use super::Bench;
use crate::{
    Failed,
    machine::now,
    orders::Order,
    process::{Home, Server},
    report::{Times, text},
    serve::Kind,
    wire::{Conn, Queue},
};

const BUDGET: Duration = Duration::from_secs(1);
/// Of each queue.
const EVENTS: usize = 10;
const STARTS: usize = 5;

/// How the server before has ended.
#[derive(Clone, Copy)]
enum Before {
    Stopped,
    Killed,
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<(), Failed> {
    let count = bench.plan.stored_queues;
    bench.report.stage("startup", 3 * STARTS);
    let home = Home::new(bench.plan)?;
    let mut server = home.start(Kind::Queue, false).await?;
    let queues = server.create(count, 1, None).await?;
    server.order(&Order::Fill { events: EVENTS }).await?;
    let queue = queues.last().ok_or("no queue")?;
    stop(server, Before::Stopped).await?;

    let mut rows = Vec::new();
    for (what, before) in [("stopped", Before::Stopped), ("killed", Before::Killed)] {
        let mut times = Vec::new();
        // Who comes first comes after a server that was stopped.
        for start in 0..=STARTS {
            let (server, time) = started(&home, queue).await?;
            if start > 0 {
                times.push(time);
            }
            stop(server, before).await?;
            bench.report.step();
        }
        let times = Times::of(times);
        rows.push(vec![what.to_owned(), text(times.p50()), text(times.at(1.0))]);
        let slowest = times.at(1.0);
        let met = slowest.is_some_and(|time| Duration::from_nanos(time) <= BUDGET);
        let what = format!("start-up with {count} stored queues, the last server {what}");
        bench.report.budget(&what, "1 s", text(slowest), met);
    }
    let title = format!("Start-up with {count} stored queues of {EVENTS} events");
    bench.report.table(&title, &["the server before was", "answers after, p50", "max"], &rows);
    Ok(())
}

/// A server, and when it first answered.
async fn started(home: &Home, queue: &Queue) -> Result<(Server, u64), Failed> {
    let begun = now();
    let server = home.start(Kind::Queue, false).await?;
    let mut conn = Conn::open(server.address).await?;
    let events = conn.ask(&queue.peek(-1)).await?.events()?.len();
    let time = now() - begun;
    if events != EVENTS {
        return Err(format!("{events} events are there after a restart, of {EVENTS}").into());
    }
    Ok((server, time))
}

async fn stop(mut server: Server, how: Before) -> Result<(), Failed> {
    match how {
        Before::Stopped => {
            server.order(&Order::Close).await?;
            server.end().await
        }
        Before::Killed => server.kill().await,
    }
}
