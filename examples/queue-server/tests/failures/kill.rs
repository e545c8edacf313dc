//! `kill -9` under load, again and again: what was acknowledged is there, in order, under ids that are never given twice.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::support::{client::Client, client::json_of, redis::RedisServer, server::Running};

const ROUNDS: usize = 20;
const SENDERS: usize = 4;

/// Of each sender the numbers that were acknowledged, in order.
type Acknowledged = Arc<Mutex<[Vec<u64>; SENDERS]>>;

/// Sends numbers until one is not acknowledged, or `over`.
async fn send(
    client: Client,
    sender: usize,
    mut number: u64,
    acknowledged: Acknowledged,
    over: Arc<AtomicBool>,
) -> u64 {
    while !over.load(Ordering::Relaxed) {
        let event = json!({"type": "n", "sender": sender, "number": number});
        if !client.try_send(&event).await {
            // It may be stored or not: the number is not used again.
            return number + 1;
        }
        acknowledged.lock().await[sender].push(number);
        number += 1;
    }
    number
}

/// Reads a queue to its end, acknowledging, and adds it to what was read before.
async fn read(client: &Client, queue: &str, read: &mut BTreeMap<i64, (usize, u64)>) {
    let mut seen = read.last_key_value().map_or(-1, |(id, _)| *id);
    loop {
        let poll = client.peeking(queue, seen);
        let answer = json_of(poll.send().await.unwrap()).await;
        let events = answer["data"].as_array().unwrap_or_else(|| panic!("{answer}"));
        for event in events {
            let id = event["id"].as_i64().unwrap();
            assert!(id > seen, "the id {id} after {seen}");
            seen = id;
            let sender = usize::try_from(event["sender"].as_u64().unwrap()).unwrap();
            assert!(read.insert(id, (sender, event["number"].as_u64().unwrap())).is_none());
        }
        if events.is_empty() {
            return;
        }
    }
}

fn check(acknowledged: &[Vec<u64>; SENDERS], read: &BTreeMap<i64, (usize, u64)>) {
    for (sender, acknowledged) in acknowledged.iter().enumerate() {
        let numbers = read.values().filter(|(of, _)| *of == sender).map(|(_, number)| *number);
        let numbers: Vec<_> = numbers.collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "out of order, or twice: {numbers:?}");
        for number in acknowledged {
            assert!(numbers.binary_search(number).is_ok(), "{sender} lost {number}");
        }
    }
}

/// `fail` makes something fail, and brings it back.
async fn rounds(server: &mut Running, mut fail: impl AsyncFnMut(&mut Running, usize)) {
    let client = server.client();
    let queue = client.register().await;
    let acknowledged = Acknowledged::default();
    let mut have = BTreeMap::new();
    let mut next = [0; SENDERS];
    for round in 0..ROUNDS {
        let mut senders = JoinSet::new();
        let over = Arc::new(AtomicBool::new(false));
        for (sender, next) in next.into_iter().enumerate() {
            let (acknowledged, over) = (Arc::clone(&acknowledged), Arc::clone(&over));
            let sends = send(client.clone(), sender, next, acknowledged, over);
            senders.spawn(async move { (sender, sends.await) });
        }
        // Spread, so that it hits beginnings and ends of commits.
        sleep(Duration::from_millis(40 + 7 * round as u64)).await;
        fail(server, round).await;
        over.store(true, Ordering::Relaxed);
        for (sender, number) in timeout(Duration::from_secs(60), senders.join_all()).await.unwrap()
        {
            next[sender] = number;
        }
        read(&client, &queue, &mut have).await;
        check(&*acknowledged.lock().await, &have);
    }
    let all: usize = acknowledged.lock().await.iter().map(Vec::len).sum();
    assert!(all > ROUNDS, "there was no load: {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_lose_nothing_that_was_acknowledged() {
    let mut server = Running::start(&["--max-events", "100000", "--max-bytes", "100000000"]).await;
    rounds(&mut server, async |server, _| {
        server.kill().await;
        server.start_again().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_of_server_and_redis_lose_nothing_that_was_acknowledged() {
    let mut redis = RedisServer::start().await;
    let url = redis.url();
    let args = ["--redis", &url, "--max-events", "100000", "--max-bytes", "100000000"];
    let mut server = Running::start(&args).await;
    rounds(&mut server, async |server, round| {
        if round % 2 == 0 {
            server.kill().await;
            server.start_again().await;
        } else {
            redis.kill();
            redis.restart().await;
            let client = server.client();
            crate::support::until("Redis to be back", async || client.healthy().await).await;
        }
    })
    .await;
}
