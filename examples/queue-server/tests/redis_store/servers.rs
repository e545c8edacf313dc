//! Several servers on one Redis.

use super::*;

#[tokio::test]
async fn a_send_on_one_wakes_the_other_which_reads_it() {
    let Fixture { store: one, server } = fixture().await;
    let (other, mut heard) = listening(&server).await;
    let queue = one.register("paul").await;
    let turn = other.poll(queue, "paul", -1).await.unwrap().turn;
    assert!(other.read(queue, -1, Some(turn)).await.unwrap().is_empty());

    one.send(queue, 0).await.unwrap();
    hears(&mut heard, Notice::Look(queue)).await;
    assert_eq!(ids(&other.read(queue, -1, Some(turn)).await.unwrap()), [0]);

    drop(other);
    one.poll(queue, "paul", -1).await.unwrap();
    assert_eq!(one.all(queue).await, [0], "the next server has the same events");
}

#[tokio::test]
async fn a_poll_that_is_taken_over_by_another_server_notices() {
    let Fixture { store: one, server } = fixture().await;
    let (other, mut heard) = listening(&server).await;
    let queue = one.register("paul").await;
    let turn = other.poll(queue, "paul", -1).await.unwrap().turn;

    one.peek(queue, "paul", -1).await.unwrap();
    assert!(other.read(queue, -1, Some(turn)).await.is_ok(), "who does not park takes nothing");
    one.poll(queue, "paul", -1).await.unwrap();
    hears(&mut heard, Notice::Look(queue)).await;
    let superseded = other.read(queue, -1, Some(turn)).await;
    assert!(matches!(superseded, Err(StoreError::Superseded)), "{superseded:?}");
}

#[tokio::test]
async fn a_poll_that_takes_over_from_its_own_server_wakes_no_other() {
    let Fixture { store: one, server } = fixture().await;
    let (_other, mut heard) = listening(&server).await;
    let (queue, mark) = (one.register("paul").await, one.register("paul").await);
    one.poll(queue, "paul", -1).await.unwrap();
    one.poll(queue, "paul", -1).await.unwrap();
    one.send(mark, 0).await.unwrap();
    assert_eq!(soon(heard.recv()).await, Some(Notice::Look(mark)), "nothing came before");
}

#[tokio::test]
async fn a_removal_and_an_overflow_wake_the_other() {
    let server = RedisServer::start().await;
    let limits = Limits { events_per_queue: 1, ..Limits::default() };
    let one = connect(&server, limits, Arc::new(|_| {})).await;
    let (other, mut heard) = listening(&server).await;

    let queue = one.register("paul").await;
    let turn = other.poll(queue, "paul", -1).await.unwrap().turn;
    one.remove(queue, "paul").await.unwrap();
    hears(&mut heard, Notice::Look(queue)).await;
    assert!(matches!(other.read(queue, -1, Some(turn)).await, Err(StoreError::NotFound)));

    let queue = one.register("paul").await;
    one.send(queue, 0).await.unwrap();
    hears(&mut heard, Notice::Look(queue)).await;
    let turn = other.poll(queue, "paul", -1).await.unwrap().turn;
    assert_eq!(one.send(queue, 1).await.unwrap().overflowed, [queue]);
    hears(&mut heard, Notice::Look(queue)).await;
    assert!(matches!(other.read(queue, 0, Some(turn)).await, Err(StoreError::Overflowed)));
}

#[tokio::test]
async fn what_somebody_else_publishes_is_ignored() {
    let server = RedisServer::start().await;
    let (store, mut heard) = listening(&server).await;
    let mut redis = server.connection().await;
    for odd in [&b""[..], b"\xff\xff", b"no queue", b"00000000-0000-0000-0000-000000000000"] {
        let publish = redis::cmd("PUBLISH").arg("queue-server:look").arg(odd).to_owned();
        assert_eq!(publish.query_async::<u64>(&mut redis).await.unwrap(), 1);
    }
    let queue = store.register("paul").await;
    store.send(queue, 0).await.unwrap();
    assert_eq!(soon(heard.recv()).await, Some(Notice::Look(queue)));
}
