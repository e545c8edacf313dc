//! Events: where they go, in which order, and when there are too many.

use super::*;

#[tokio::test]
async fn ids_count_from_zero_in_each_queue_and_a_page_is_the_oldest() {
    let Fixture { store, server: _server } =
        fixture_with(Limits { page: 3, ..Limits::default() }).await;
    let (one, other) = (store.register("paul").await, store.register("paul").await);
    for n in 0..5 {
        store.send(one, n).await.unwrap();
    }
    store.send(other, 5).await.unwrap();

    let page = store.read(one, -1, None).await.unwrap();
    assert_eq!(ids(&page), [0, 1, 2]);
    assert_eq!(page[1].json, event("message", 1).json);
    assert_eq!(ids(&store.read(one, 2, None).await.unwrap()), [3, 4]);
    assert!(store.read(one, 4, None).await.unwrap().is_empty());
    assert_eq!(store.all(other).await, [0]);
}

#[tokio::test]
async fn an_event_is_kept_byte_for_byte() {
    let Fixture { store, server: _server } = fixture().await;
    let queue = store.register("paul").await;
    let json: Vec<u8> = (0..=255).cycle().take(64 * 1024).collect();
    let odd = NewEvent { kind: "a b\n".into(), json: json.clone().into() };
    store.append(Target::Queues(vec![queue]), odd).await.unwrap();
    assert_eq!(store.read(queue, -1, None).await.unwrap()[0].json, json);
}

#[tokio::test]
async fn users_get_it_in_all_their_queues_that_take_its_type_and_once() {
    let Fixture { store, server: _server } = fixture().await;
    let (all, some, none, marys) = (
        store.register("paul").await,
        QueueId::random(),
        QueueId::random(),
        store.register("mary").await,
    );
    let taking = |types: &[&str]| Session {
        event_types: Some(types.iter().map(ToString::to_string).collect()),
        ..session("paul")
    };
    store.create(some, taking(&["other", "message"])).await.unwrap();
    store.create(none, taking(&["other"])).await.unwrap();

    let users = ["paul", "paul", "nobody", "mary"].map(Into::into).to_vec();
    let mut stored = store.append(Target::Users(users), event("message", 0)).await.unwrap().stored;
    stored.sort();
    let mut expected = [all, some, marys];
    expected.sort();
    assert_eq!(stored, expected);
    assert_eq!(store.all(all).await, [0]);

    let queues = Target::Queues(vec![none, all, all, QueueId::random()]);
    assert_eq!(store.append(queues, event("message", 1)).await.unwrap().stored, [all]);
    assert_eq!(store.all(all).await, [0, 1]);

    let heartbeat = store.append(Target::Heartbeat(none), event("heartbeat", 0)).await.unwrap();
    assert_eq!(heartbeat.stored, [none]);
    assert_eq!(store.all(none).await, [0]);
}

#[tokio::test]
async fn more_targets_than_one_script_may_have_get_it_all() {
    let Fixture { store, server: _server } = fixture().await;
    let mut queues = Vec::new();
    for n in 0..300 {
        queues.push(store.register(&format!("user {n}")).await);
    }
    let users = (0..300).map(|n| format!("user {n}").into()).collect();
    let by_user = store.append(Target::Users(users), event("message", 0)).await.unwrap();
    let by_queue = store.append(Target::Queues(queues.clone()), event("message", 1)).await.unwrap();
    queues.sort();
    for appended in [by_user, by_queue] {
        let mut stored = appended.stored;
        stored.sort();
        assert_eq!(stored, queues);
    }
    assert_eq!(store.all(queues[299]).await, [0, 1]);
    let nobody = store.append(Target::Users(vec![]), event("message", 2)).await.unwrap();
    assert_eq!(nobody, Appended::default());
}

#[tokio::test]
async fn concurrent_events_have_ids_of_their_own() {
    let Fixture { store, server: _server } = fixture().await;
    let queue = store.register("paul").await;
    let store = Arc::new(store);
    let sends: Vec<_> = (0..200)
        .map(|n| (n, Arc::clone(&store)))
        .map(|(n, store)| tokio::spawn(async move { store.send(queue, n).await.unwrap() }))
        .collect();
    for send in sends {
        assert_eq!(send.await.unwrap().stored, [queue]);
    }
    let mut all = store.all(queue).await;
    all.extend(ids(&store.read(queue, 99, None).await.unwrap()));
    assert_eq!(all, (0..200).collect::<Vec<_>>());
}

/// With room for three events of `size` bytes.
async fn full(limits: Limits) -> (Fixture, QueueId) {
    let fixture = fixture_with(limits).await;
    let queue = fixture.store.register("paul").await;
    for n in 0..3 {
        assert_eq!(fixture.store.send(queue, n).await.unwrap().stored, [queue]);
    }
    (fixture, queue)
}

async fn three_events() -> (Fixture, QueueId) {
    full(Limits { events_per_queue: 3, ..Limits::default() }).await
}

#[tokio::test]
async fn one_event_too_many_ends_the_queue_which_is_told_once() {
    let (Fixture { store, server: _server }, queue) = three_events().await;
    let appended = store.send(queue, 3).await.unwrap();
    assert_eq!(appended, Appended { stored: vec![], overflowed: vec![queue] });
    assert_eq!(store.send(queue, 4).await.unwrap(), Appended::default(), "it takes no more");

    let foreign = store.poll(queue, "mary", -1).await;
    assert!(matches!(foreign, Err(StoreError::NotFound)), "{foreign:?}");
    let told = store.poll(queue, "paul", -1).await;
    assert!(matches!(told, Err(StoreError::Overflowed)), "{told:?}");
    assert!(matches!(store.poll(queue, "paul", -1).await, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn an_overflow_is_told_to_the_poll_that_has_the_queue() {
    let (Fixture { store, server: _server }, queue) = three_events().await;
    let old = store.poll(queue, "paul", -1).await.unwrap().turn;
    let new = store.poll(queue, "paul", -1).await.unwrap().turn;
    store.send(queue, 3).await.unwrap();
    assert!(matches!(store.read(queue, -1, Some(old)).await, Err(StoreError::Superseded)));
    assert!(matches!(store.read(queue, -1, Some(new)).await, Err(StoreError::Overflowed)));
    assert!(matches!(store.read(queue, -1, Some(new)).await, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn what_is_acknowledged_makes_room() {
    let (Fixture { store, server: _server }, queue) = three_events().await;
    store.poll(queue, "paul", 1).await.unwrap();
    for n in 3..5 {
        assert_eq!(store.send(queue, n).await.unwrap().stored, [queue]);
    }
    assert_eq!(store.all(queue).await, [2, 3, 4]);
    assert_eq!(store.send(queue, 5).await.unwrap().overflowed, [queue]);
}

#[tokio::test]
async fn bytes_are_counted_and_given_back() {
    let size = event("message", 0).json.len();
    let limits = Limits { bytes_per_queue: 3 * size, ..Limits::default() };
    let (Fixture { store, server: _server }, queue) = full(limits).await;
    store.poll(queue, "paul", 0).await.unwrap();
    assert_eq!(store.send(queue, 3).await.unwrap().stored, [queue]);
    assert_eq!(store.send(queue, 4).await.unwrap().overflowed, [queue]);
}

#[tokio::test]
async fn an_overflow_of_one_queue_is_none_of_another() {
    let (Fixture { store, server: _server }, queue) = three_events().await;
    let other = store.register("paul").await;
    let appended =
        store.append(Target::Users(vec!["paul".into()]), event("message", 3)).await.unwrap();
    assert_eq!(appended, Appended { stored: vec![other], overflowed: vec![queue] });
}

#[tokio::test]
async fn an_ended_queue_can_be_removed() {
    let (Fixture { store, server: _server }, queue) = three_events().await;
    store.send(queue, 3).await.unwrap();
    store.remove(queue, "paul").await.unwrap();
    assert!(matches!(store.poll(queue, "paul", -1).await, Err(StoreError::NotFound)));
}
