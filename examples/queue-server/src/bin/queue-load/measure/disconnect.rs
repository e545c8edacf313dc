//! From the close of a client's socket until its poll is unparked, while many others are parked; then all of them vanish.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Bench;
use crate::{
    Failed,
    machine::{self, now},
    orders::End,
    process::{Home, Server},
    report::{Times, text},
    serve::Kind,
    wire::{Queue, Shape, Way},
};

const BUDGET: Duration = Duration::from_millis(1);
/// They come together and leave one by one.
const BATCH: usize = 20;
/// For who is not parked to be with its handler.
const MOMENT: Duration = Duration::from_millis(20);
/// Between two that leave: the server is idle again.
const PAUSE: Duration = Duration::from_millis(2);
/// Then the others' polls are about to end by themselves.
const OVER: Duration = Duration::from_secs(42);

/// Of clients that left in one way.
struct Left {
    clients: usize,
    noticed: Times,
}

/// Of all that vanish at once.
struct Vanished {
    /// From the first close to the last poll that was unparked.
    time: Option<u64>,
    parked: usize,
    open_files: usize,
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<(), Failed> {
    let mut rows = Vec::new();
    let mut vanished = Vec::new();
    let mut worst = None;
    let mut all_within = true;
    for kind in Kind::ALL {
        let mut scene = Scene::start(bench, kind).await?;
        for shape in Shape::ALL {
            for way in Way::ALL {
                let left = scene.leave(shape, way).await?;
                let noticed = &left.noticed;
                if kind == Kind::Queue {
                    worst = worst.max(noticed.p99());
                    let all = noticed.count() == left.clients as u64;
                    all_within &= all && noticed.within(BUDGET);
                }
                let count = match noticed.count() {
                    0 if left.clients == 0 => "no time left to look".to_owned(),
                    0 => format!("never within {:?}", bench.plan.patience),
                    some => format!("{some} of {}", left.clients),
                };
                let [p50, p99, max] = noticed.cells();
                let names = [shape.name(), way.name(), kind.name()].map(str::to_owned);
                rows.push([names.to_vec(), vec![count, p50, p99, max]].concat());
            }
        }
        let Vanished { time, parked, open_files } = scene.vanish().await?;
        vanished.push(vec![
            kind.name().to_owned(),
            text(time),
            parked.to_string(),
            open_files.to_string(),
        ]);
        if kind == Kind::Queue {
            bench.report.none("polls that are parked after all clients vanished", parked);
        }
    }
    let parked = bench.plan.clients;
    let title = format!("From disconnect to unparked, {parked} parked");
    // The rows of one kind of client stand together.
    rows.sort_by_key(|row| Shape::ALL.iter().position(|shape| shape.name() == row[0]));
    bench.report.table(
        &title,
        &["client", "leaves by", "server", "noticed", "p50", "p99", "max"],
        &rows,
    );
    let head = ["all vanish at once", "last unparked after", "polls left", "descriptors left"];
    bench.report.table(&format!("{parked} parked clients vanish"), &head, &vanished);
    let what = format!("disconnect to unparked, p99, {parked} parked, the worst of all ways");
    bench.report.budget(&what, "1 ms", text(worst), all_within);
    Ok(())
}

struct Scene<'a> {
    bench: &'a Bench<'a>,
    kind: Kind,
    // Its directory goes when this is dropped.
    _home: Home,
    server: Server,
    parked: Vec<crate::wire::Conn>,
    leavers: Vec<Queue>,
    open_files: usize,
    begun: Instant,
}

impl<'a> Scene<'a> {
    async fn start(bench: &'a Bench<'a>, kind: Kind) -> Result<Self, Failed> {
        let clients = bench.plan.clients.saturating_sub(BATCH);
        bench.report.stage(&format!("disconnect from {}", kind.name()), clients);
        let home = Home::new(bench.plan)?;
        let mut server = home.start(kind, false).await?;
        let queues = server.create(clients, 1, None).await?;
        let leavers = server.create(bench.plan.samples, 1, None).await?;
        let open_files = machine::open_files(server.process)?;
        let begun = Instant::now();
        let parked = bench.park(&mut server, &queues).await?;
        let all = Shape::ALL.len() * Way::ALL.len() * bench.plan.samples;
        bench.report.stage(&format!("disconnect from {}", kind.name()), 2 * all);
        Ok(Self { bench, kind, _home: home, server, parked, leavers, open_files, begun })
    }

    async fn leave(&mut self, shape: Shape, way: Way) -> Result<Left, Failed> {
        // A poll that waits for the rest of its body is not parked here, and ends with its exchange.
        let what =
            if self.kind == Kind::Queue && !shape.is_parked() { End::Exchange } else { End::Park };
        let mut known = self.server.ends(what, 0).await?.len();
        let mut patience = self.bench.plan.patience;
        let (mut clients, mut times) = (0, Vec::new());
        for queues in self.leavers.chunks(BATCH) {
            if self.begun.elapsed() > OVER {
                break;
            }
            let conns = self.bench.open(&self.server, queues, shape).await?;
            sleep(MOMENT).await;
            for conn in conns {
                clients += 1;
                self.bench.report.step();
                let left = conn.leave(way)?;
                let waits = Instant::now() + patience;
                let noticed = loop {
                    sleep(PAUSE).await;
                    let ends = self.server.ends(what, known).await?;
                    known += ends.len();
                    let noticed = ends.into_iter().find(|end| *end >= left);
                    if noticed.is_some() || Instant::now() > waits {
                        break noticed;
                    }
                };
                match noticed {
                    Some(at) => times.push(at - left),
                    // Nobody will notice the next ones either.
                    None => patience = Duration::ZERO,
                }
            }
        }
        Ok(Left { clients, noticed: Times::of(times) })
    }

    async fn vanish(mut self) -> Result<Vanished, Failed> {
        let known = self.server.ends(End::Park, 0).await?.len();
        let begun = now();
        self.parked.clear();
        let waits = Instant::now() + Duration::from_secs(5);
        while self.server.parked().await? > 0 && Instant::now() < waits {
            sleep(PAUSE).await;
        }
        let parked = self.server.parked().await?;
        let last = self.server.ends(End::Park, known).await?.into_iter().max();
        // The sockets are closed after the polls are unparked.
        while machine::open_files(self.server.process)? > self.open_files && Instant::now() < waits
        {
            sleep(PAUSE).await;
        }
        let open_files = machine::open_files(self.server.process)?.saturating_sub(self.open_files);
        self.server.end().await?;
        Ok(Vanished { time: last.map(|last| last.saturating_sub(begun)), parked, open_files })
    }
}
