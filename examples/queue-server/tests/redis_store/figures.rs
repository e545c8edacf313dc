//! How fast it is. `cargo test --release -p queue-server --test redis_store -- --ignored --nocapture figures`

use hdrhistogram::Histogram;

use super::*;

const TIME: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn figures() {
    let server = RedisServer::start().await;
    for appenders in [1, 64, 1000] {
        let store = Arc::new(connect(&server, Limits::default(), Arc::new(|_| {})).await);
        let mut queues = Vec::new();
        for n in 0..appenders {
            let owner = format!("user {n}");
            queues.push((store.register(&owner).await, owner));
        }
        let until = time::Instant::now() + TIME;
        let tasks: Vec<_> = queues
            .into_iter()
            .map(|(queue, owner)| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let mut took = Histogram::<u64>::new(3).unwrap();
                    let mut newest = -1;
                    while time::Instant::now() < until {
                        let begins = time::Instant::now();
                        let appended = store.send(queue, 0).await.unwrap();
                        took.record(begins.elapsed().as_micros().try_into().unwrap()).unwrap();
                        assert_eq!(appended.stored, [queue]);
                        newest += 1;
                        if newest % 500 == 499 {
                            store.poll(queue, &owner, newest).await.unwrap();
                            store.end(queue);
                        }
                    }
                    store.remove(queue, &owner).await.unwrap();
                    took
                })
            })
            .collect();
        let mut took = Histogram::<u64>::new(3).unwrap();
        for task in tasks {
            took += task.await.unwrap();
        }
        let per_second = took.len() / TIME.as_secs();
        let [p50, p99] = [0.5, 0.99].map(|q| took.value_at_quantile(q));
        println!("{appenders:>5} appenders: {per_second:>6}/s, p50 {p50} µs, p99 {p99} µs");
    }
}
