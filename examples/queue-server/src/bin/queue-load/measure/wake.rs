//! Thousands of parked polls are answered at once.

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Duration, timeout};

use super::Bench;
use crate::{
    Failed,
    machine::now,
    orders::Order,
    process::{Home, Server},
    report::{float, median, ratio},
    serve::Kind,
    wire::{self, Answer, Conn, Queue, Shape},
};

/// Of the minimal server's rate.
const BUDGET: f64 = 0.9;
/// Of each kind, in each process, after one that does not count.
const WAKES: usize = 3;

#[derive(Clone, Copy)]
enum By {
    /// What wakes parked polls, and nothing else.
    Primitive,
    /// One request that sends one event to all of their queues.
    Send,
}

/// Of all wakes by one thing.
#[derive(Default)]
struct Woken {
    /// Answers a second.
    rates: Vec<f64>,
    /// Nanoseconds of the server's processors an answer.
    costs: Vec<f64>,
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<(), Failed> {
    let mut all: [[Woken; 2]; 2] = Default::default();
    for _ in 0..bench.plan.rounds {
        for (kind, all) in Kind::ALL.into_iter().zip(&mut all) {
            round(bench, kind, all).await?;
        }
    }
    let [minimal, queue] = all.map(|of| of.map(|woken| (median(woken.rates), median(woken.costs))));
    let mut rows = Vec::new();
    for (what, minimal, queue) in [
        ("the primitive: `notify_waiters`, `Lot::close`", minimal[0], queue[0]),
        ("one event sent to all", minimal[1], queue[1]),
    ] {
        rows.push(vec![
            what.to_owned(),
            format!("{:.0}/s", minimal.0),
            format!("{:.0}/s", queue.0),
            ratio(queue.0, minimal.0),
            format!("{:.1} µs", minimal.1 / 1e3),
            format!("{:.1} µs", queue.1 / 1e3),
            ratio(queue.1, minimal.1),
        ]);
    }
    let head = [
        "woken by",
        "minimal",
        "queue",
        "of minimal",
        "minimal, processor an answer",
        "queue",
        "of minimal",
    ];
    bench.report.table(
        &format!("{} parked polls answered at once", bench.plan.crowd),
        &head,
        &rows,
    );
    let share = queue[0].0 / minimal[0].0;
    let what = format!("rate of answers when {} are woken", bench.plan.crowd);
    bench.report.budget(
        &what,
        "90 % of minimal",
        format!("{:.0} %", share * 100.0),
        share >= BUDGET,
    );
    Ok(())
}

async fn round(bench: &Bench<'_>, kind: Kind, all: &mut [Woken; 2]) -> Result<(), Failed> {
    let crowd = bench.plan.crowd;
    bench.report.stage(&format!("wake of {}", kind.name()), crowd * (2 * WAKES + 3));
    let home = Home::new(bench.plan)?;
    let mut server = home.start(kind, false).await?;
    let queues = server.create(crowd, 1, None).await?;
    let mut seen = vec![-1; crowd];
    let mut conns = bench.park(&mut server, &queues).await?;
    for (by, woken) in [By::Primitive, By::Send].into_iter().zip(all) {
        for wake in 0..=WAKES {
            let used = server.number(&Order::Cpu).await?;
            let (time, answers) = answered(&mut server, &mut conns, &queues, by).await?;
            let used = server.number(&Order::Cpu).await? - used;
            if wake > 0 {
                let crowd = float(crowd as u64);
                woken.rates.push(crowd / (float(time) / 1e9));
                woken.costs.push(float(used) / crowd);
            }
            for (((conn, queue), seen), answer) in
                conns.iter_mut().zip(&queues).zip(&mut seen).zip(answers)
            {
                *seen = answer.events()?.last().map_or(*seen, |event| event.id);
                conn.write(&queue.poll(*seen, Shape::Poll)).await?;
                bench.report.step();
            }
            server.until_parked(crowd).await?;
        }
    }
    server.end().await
}

/// From the wake until the last client has its answer.
async fn answered(
    server: &mut Server,
    conns: &mut [Conn],
    queues: &[Queue],
    by: By,
) -> Result<(u64, Vec<Answer>), Failed> {
    let mut answers: Vec<Option<Answer>> = conns.iter().map(|_| None).collect();
    let reading = conns.iter_mut().enumerate().map(async |(n, conn)| (n, conn.answer().await));
    let mut reading: FuturesUnordered<_> = reading.collect();
    let read = async {
        while let Some((n, answer)) = reading.next().await {
            answers[n] = Some(answer?);
        }
        Ok::<_, Failed>(now())
    };
    let mut sender = Conn::open(server.address).await?;
    let request = match by {
        By::Primitive => Vec::new(),
        By::Send => wire::send(queues, &server.service, 0),
    };
    let wake = async {
        match by {
            By::Primitive => server.number(&Order::Release).await,
            By::Send => {
                let begun = now();
                let answer = sender.ask(&request).await?;
                if answer.status != 200 {
                    return Err(format!("the send was answered by {}", answer.status).into());
                }
                Ok(begun)
            }
        }
    };
    let both = async { tokio::try_join!(read, wake) };
    let both = timeout(Duration::from_secs(30), both).await;
    let (last, begun) = both.map_err(|_| "not every poll was answered in 30 s")??;
    Ok((last.saturating_sub(begun), answers.into_iter().flatten().collect()))
}
