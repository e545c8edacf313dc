//! Figures, to be looked at: `cargo test --release --test embedded_store measure -- --ignored --nocapture`.

use std::{fs, sync::Arc, time::Duration};

use hdrhistogram::Histogram;
use queue_server::{
    id::QueueId,
    store::{Limits, NOTHING, Session, Store, embedded::Embedded},
};
use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, sleep},
};

use crate::support::*;

const LIMITS: Limits = Limits {
    queues_per_user: 32,
    events_per_queue: usize::MAX,
    bytes_per_queue: usize::MAX,
    page: 100,
};

async fn queues(store: &Arc<Embedded>, count: usize, idle_timeout: Duration) -> Vec<QueueId> {
    let mut tasks = JoinSet::new();
    let mut made = Vec::with_capacity(count);
    for number in 0..count {
        let (store, id) = (Arc::clone(store), QueueId::random());
        let owner = format!("user-{}", number / 8).into();
        tasks.spawn(async move {
            store.create(id, Session { owner, idle_timeout, ..session() }).await.unwrap();
        });
        made.push(id);
        if number % 1000 == 999 {
            while tasks.join_next().await.is_some() {}
        }
    }
    tasks.join_all().await;
    made
}

fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures"]
async fn appends() {
    for appenders in [1_usize, 64, 1000] {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Arc::new(Embedded::open(dir.path(), LIMITS).unwrap().store);
        let queues = queues(&store, appenders, IDLE).await;
        let text = "x".repeat(150);
        let (start, mut tasks) = (Instant::now(), JoinSet::new());
        for queue in queues {
            let (store, text) = (Arc::clone(&store), text.clone());
            tasks.spawn(async move {
                let mut times = Histogram::<u64>::new(3).unwrap();
                while start.elapsed() < Duration::from_secs(5) {
                    let at = Instant::now();
                    send(&store, queue, &text).await.unwrap();
                    times.record(u64::try_from(at.elapsed().as_micros()).unwrap()).unwrap();
                    // So that the queue stays as a queue is.
                    if times.len() % 50 == 49 {
                        begin(&store, queue, NOTHING).await.ok();
                    }
                }
                times
            });
        }
        let mut times = Histogram::<u64>::new(3).unwrap();
        for each in tasks.join_all().await {
            times.add(each).unwrap();
        }
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{appenders} appenders: {:.0}/s, p50 {} us, p99 {} us, max {} us",
            f64::from(u32::try_from(times.len()).unwrap()) / seconds,
            times.value_at_quantile(0.5),
            times.value_at_quantile(0.99),
            times.max(),
        );
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures"]
async fn start_with_10_000_queues() {
    let dir = tempfile::TempDir::new().unwrap();
    let store = Arc::new(Embedded::open(dir.path(), LIMITS).unwrap().store);
    let ids = queues(&store, 10_000, IDLE).await;
    let text = "x".repeat(150);
    for _ in 0..10 {
        for some in ids.chunks(1000) {
            futures_util::future::join_all(some.iter().map(|id| send(&store, *id, &text))).await;
        }
    }
    let crashed = tempfile::TempDir::new().unwrap();
    fs::copy(dir.path().join(FILE), crashed.path().join(FILE)).unwrap();
    let size = fs::metadata(crashed.path().join(FILE)).unwrap().len();
    store.close().await;
    drop(store);
    for (what, dir) in [("a close", &dir), ("a crash", &crashed)] {
        let at = Instant::now();
        let opened = Embedded::open(dir.path(), LIMITS).unwrap();
        println!("start after {what}: {:?} with {} MiB", at.elapsed(), size >> 20);
        assert_eq!(opened.store.stats().queues, Some(10_000));
        opened.store.close().await;
    }
}

/// One thread: what holds it up, holds up all.
#[tokio::test]
#[ignore = "it measures"]
async fn idle_queues() {
    const QUEUES: usize = 100_000;
    let idle = Duration::from_secs(60);
    let dir = tempfile::TempDir::new().unwrap();
    let store = Arc::new(Embedded::open(dir.path(), LIMITS).unwrap().store);
    let before = resident();
    let at = Instant::now();
    queues(&store, QUEUES, idle).await;
    println!("made in {:?}, {} MiB more than before", at.elapsed(), (resident() - before) >> 20);
    store.close().await;
    drop(store);

    let dir2 = tempfile::TempDir::new().unwrap();
    fs::copy(dir.path().join(FILE), dir2.path().join(FILE)).unwrap();
    let size = fs::metadata(dir2.path().join(FILE)).unwrap().len() >> 20;
    println!("a file of {size} MiB");
    let store = Arc::new(Embedded::open(dir2.path(), LIMITS).unwrap().store);
    tokio::time::pause();
    tokio::time::advance(idle).await;
    tokio::time::resume();
    // Between two yields are only others' steps. In processor time too: others use this machine as well.
    let cpu = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::try_from(now).unwrap()
    };
    let (mut longest, mut last) = ([Duration::ZERO; 2], (Instant::now(), cpu()));
    let (mut lock, begun) = (Duration::ZERO, Instant::now());
    while store.stats().queues.unwrap() > 0 {
        yield_now().await;
        let now = (Instant::now(), cpu());
        longest = [longest[0].max(now.0 - last.0), longest[1].max(now.1.saturating_sub(last.1))];
        store.end(QueueId::random());
        last = (Instant::now(), cpu());
        lock = lock.max(last.0 - now.0);
    }
    let [wall, cpu] = longest;
    println!(
        "{QUEUES} gone in {:?}, longest pause {wall:?}, of the processor {cpu:?}, longest lock {lock:?}",
        begun.elapsed()
    );
    let at = Instant::now();
    sleep(Duration::from_millis(10)).await;
    store.close().await;
    println!("the file in {:?}", at.elapsed());
}
