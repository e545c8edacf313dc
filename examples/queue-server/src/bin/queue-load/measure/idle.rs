//! Many idle queues expire in one moment: for how long does the server do nothing else?

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Bench;
use crate::{
    Failed,
    machine::now,
    orders::Order,
    process::{Home, Server},
    report::{Times, text},
    serve::Kind,
    wire::{self, Conn, Queue},
};

const BUDGET: Duration = Duration::from_millis(5);
/// As many as one user may have.
const EACH: usize = 20;
/// Between two requests.
const PAUSE: Duration = Duration::from_millis(1);
/// A second more is looked at, before and after.
const AROUND: Duration = Duration::from_secs(1);

/// What was seen in a stretch of time.
struct Stretch {
    late: Times,
    sends: Times,
    polls: Times,
    time: Duration,
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<(), Failed> {
    let count = bench.plan.idle_queues;
    bench.report.stage("idle queues", 0);
    let home = Home::new(bench.plan)?;
    let mut server = home.start(Kind::Queue, false).await?;
    let queue = server.create(1, 1, None).await?.remove(0);
    let mut asker = Asker::new(&server, queue);
    let calm = Instant::now();
    let before = asker.watch(&mut server, async |_| Ok(calm.elapsed() > 2 * AROUND)).await?;

    // Together, which is the worst, and after all of them are there.
    let room = Duration::from_micros(400) * u32::try_from(count)? + Duration::from_secs(2);
    let expire = now() + u64::try_from(room.as_nanos())?;
    let begun = now();
    server.create(count / EACH, EACH, Some(expire)).await?;
    let created = Duration::from_nanos(now() - begun);
    let left = Duration::from_nanos(expire.saturating_sub(now()));
    if left < AROUND {
        return Err(format!("{count} queues took {created:?} to make: too long for this").into());
    }
    sleep(left.saturating_sub(AROUND)).await;
    let mut gone = None;
    let during = asker
        .watch(&mut server, async |server| {
            if gone.is_none() && server.number(&Order::Queues).await? <= 1 {
                gone = Some(Instant::now());
            }
            Ok(gone.is_some_and(|gone| gone.elapsed() > AROUND))
        })
        .await?;
    server.end().await?;

    let rows =
        [("nothing happens", &before), ("all expire at once", &during)].map(|(what, seen)| {
            let Stretch { late, sends, polls, time } = seen;
            let worst = [late, sends, polls].map(|times| [text(times.p99()), text(times.at(1.0))]);
            [vec![what.to_owned(), format!("{time:.1?}")], worst.concat()].concat()
        });
    let title = format!("{count} idle queues are removed (made in {created:.1?})");
    let head = ["while", "for", "tick late, p99", "max", "send, p99", "max", "poll, p99", "max"];
    bench.report.table(&title, &head, &rows);
    let longest = during.late.at(1.0);
    let met = longest.is_some_and(|late| Duration::from_nanos(late) <= BUDGET);
    let what = format!("longest pause while {count} idle queues are removed");
    bench.report.budget(&what, "5 ms", text(longest), met);
    Ok(())
}

/// A client that sends an event to its queue, and polls it, again and again.
struct Asker {
    queue: Queue,
    service: std::sync::Arc<str>,
    seen: i64,
}

impl Asker {
    fn new(server: &Server, queue: Queue) -> Self {
        let service = server.service.clone();
        Self { queue, service, seen: -1 }
    }

    async fn watch(
        &mut self,
        server: &mut Server,
        mut until: impl AsyncFnMut(&mut Server) -> Result<bool, Failed>,
    ) -> Result<Stretch, Failed> {
        // Another each time: between two, a server may close what is idle.
        let mut conn = Conn::open(server.address).await?;
        server.order(&Order::Tick).await?;
        let begun = Instant::now();
        let (mut sends, mut polls) = (Vec::new(), Vec::new());
        while !until(server).await? {
            let send = wire::send([&self.queue], &self.service, 0);
            let at = now();
            conn.ask(&send).await?;
            sends.push(now() - at);
            let peek = self.queue.peek(self.seen);
            let at = now();
            let answer = conn.ask(&peek).await?;
            polls.push(now() - at);

            self.seen = answer.events()?.last().map_or(self.seen, |event| event.id);
            sleep(PAUSE).await;
        }
        let late = Times::of(server.numbers(&Order::Ticked).await?);
        let time = begun.elapsed();
        Ok(Stretch { late, sends: Times::of(sends), polls: Times::of(polls), time })
    }
}
