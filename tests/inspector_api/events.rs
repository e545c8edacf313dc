//! Streams of events, by a clock that the test advances.

use std::time::Duration;

use tokio::time::{Instant, advance};
use tower_lifecycle::inflight::InFlight;

use crate::{
    polls::poll_body,
    rig::{Site, event, get, local, next, next_event, send},
};

const ZERO: Duration = Duration::ZERO;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test(start_paused = true)]
async fn first_there_is_everything_and_then_what_has_changed() {
    let site = Site::new();
    site.answer(get("/before/1"), 200, ZERO);
    site.answer(get("/before/2"), 200, ZERO);
    let held = site.hold(get("/held"));
    let mut events = send(&site.inspector(), local("/api/events")).into_body();

    let first = next_event(&mut events).await;
    assert_eq!((&*first.name, first.data["counts"]["open"].as_u64()), ("snapshot", Some(1)));
    let [before_1, before_2] = first.ids("closed")[..] else { panic!("{first:?}") };
    assert!(before_1 < before_2, "newest last");
    let [id] = first.ids("exchanges")[..] else { panic!("{first:?}") };

    let mut streams = site.stream(get("/streams"));
    let begun = Instant::now();
    let tick = next_event(&mut events).await;
    assert_eq!(begun.elapsed(), ms(500));
    assert_eq!(tick.name, "tick");
    let [streaming] = tick.ids("opened")[..] else { panic!("{tick:?}") };
    assert_eq!(tick.data["opened"][0]["path"], "/streams");
    assert_eq!(
        (tick.ids("changed"), tick.ids("closed"), tick.ids("gone")),
        (vec![], vec![], vec![])
    );
    assert_eq!(tick.data["missed"], 0);

    assert!(poll_body(&mut streams).is_ready());
    let tick = next_event(&mut events).await;
    assert_eq!((tick.ids("opened"), tick.ids("changed")), (vec![], vec![streaming]));
    assert_eq!(tick.data["changed"][0]["response"]["bytes"], 10);

    drop((held, streams));
    site.answer(get("/short"), 200, ZERO);
    let tick = next_event(&mut events).await;
    assert_eq!(tick.ids("closed")[..2], [id, streaming]);
    assert_eq!(tick.data["closed"][2]["path"], "/short");
    assert_eq!(
        (tick.ids("opened"), tick.ids("changed"), tick.ids("gone")),
        (vec![], vec![], vec![])
    );
    assert_eq!(tick.data["counts"]["open"], 0);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_changes_there_is_a_comment_every_fifteen_seconds() {
    let site = Site::new();
    let _held = site.hold(get("/held"));
    for interval in ["100ms", "60s"] {
        let path = format!("/api/events?interval={interval}");
        let mut events = send(&site.inspector(), local(&path)).into_body();
        next_event(&mut events).await;
        for _ in 0..3 {
            let begun = Instant::now();
            site.clock.advance(Duration::from_secs(15));
            assert_eq!(next(&mut events).await.unwrap(), ":\n\n");
            assert_eq!(begun.elapsed(), Duration::from_secs(15), "{interval}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_filter_or_the_limit_leaves_out_is_gone_and_what_was_seen_is_seen_closed() {
    let site = Site::new();
    let path = "/api/events?path=/in&limit=2&interval=1s";
    let mut events = send(&site.inspector(), local(path)).into_body();
    let _other = site.hold(get("/out"));
    let first = next_event(&mut events).await;
    assert!(first.ids("exchanges").is_empty());

    let held: Vec<_> = (0..3).map(|_| site.hold(get("/in"))).collect();
    let tick = next_event(&mut events).await;
    let [one, two] = tick.ids("opened")[..] else { panic!("{tick:?}") };
    assert_eq!(tick.data["not_listed"], 1);

    let mut held = held.into_iter();
    drop(held.next());
    site.answer(get("/out"), 200, ZERO);
    let tick = next_event(&mut events).await;
    assert_eq!((tick.ids("closed"), tick.ids("gone")), (vec![one], vec![]));
    let [three] = tick.ids("opened")[..] else { panic!("{tick:?}") };
    drop(held);
    let tick = next_event(&mut events).await;
    assert_eq!(tick.ids("closed"), [two, three]);

    // No closed one has a state.
    let mut events = send(&site.inspector(), local("/api/events?state=unknown")).into_body();
    let streams = site.stream(get("/in"));
    let [seen] = next_event(&mut events).await.ids("exchanges")[..] else { panic!("one") };
    drop(streams);
    assert_eq!(next_event(&mut events).await.ids("closed"), [seen]);

    let mut events = send(&site.inspector(), local("/api/events?older_than=5s")).into_body();
    assert!(next_event(&mut events).await.ids("exchanges").is_empty());
    site.clock.advance(Duration::from_secs(6));
    assert_eq!(next_event(&mut events).await.data["opened"][0]["path"], "/out");
}

#[tokio::test(start_paused = true)]
async fn what_leaves_the_filter_while_it_is_open_is_gone() {
    let site = Site::new();
    let _first = site.hold(get("/a"));
    let mut streams = site.stream(get("/b"));
    // One in the state, then in another: the body is asked for a frame that it has not.
    let mut events = send(&site.inspector(), local("/api/events?state=unknown")).into_body();
    let [id] = next_event(&mut events).await.ids("exchanges")[..] else { panic!("one") };
    while poll_body(&mut streams).is_ready() {}
    let tick = next_event(&mut events).await;
    assert_eq!((tick.ids("gone"), tick.ids("closed")), (vec![id], vec![]));
}

#[tokio::test(start_paused = true)]
async fn closes_beyond_two_hundred_are_counted_and_their_exchanges_are_gone() {
    let site = Site::new();
    let held = site.hold(get("/held"));
    let mut events = send(&site.inspector(), local("/api/events")).into_body();
    let [id] = next_event(&mut events).await.ids("exchanges")[..] else { panic!("one") };
    drop(held);
    site.answer_many(250);
    let tick = next_event(&mut events).await;
    assert_eq!((tick.ids("closed").len(), tick.data["missed"].as_u64()), (200, Some(51)));
    assert_eq!(tick.ids("gone"), [id]);
    site.answer_many(3);
    let tick = next_event(&mut events).await;
    assert_eq!((tick.ids("closed").len(), tick.data["missed"].as_u64()), (3, Some(0)));

    // Less is remembered than is told.
    let site = Site::with(InFlight::builder().recent(4));
    let mut events = send(&site.inspector(), local("/api/events")).into_body();
    next_event(&mut events).await;
    site.answer_many(10);
    let tick = next_event(&mut events).await;
    assert_eq!((tick.ids("closed").len(), tick.data["missed"].as_u64()), (4, Some(6)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_looks_at_nothing_and_tells_once_what_has_changed_often() {
    let site = Site::new();
    let mut events = send(&site.inspector(), local("/api/events?interval=100ms")).into_body();
    next_event(&mut events).await;
    let mut streams = site.stream(get("/streams"));
    for _ in 0..1000 {
        site.answer_many(1);
        advance(ms(100)).await;
    }
    assert!(poll_body(&mut streams).is_ready());
    let frame = next(&mut events).await.unwrap();
    assert!(frame.len() < 200_000, "{}", frame.len());
    let tick = event(&frame).unwrap();
    assert_eq!((tick.ids("opened").len(), tick.ids("changed").len()), (1, 0));
    assert_eq!((tick.ids("closed").len(), tick.data["missed"].as_u64()), (200, Some(800)));
    // It makes up for nothing: there is no tick for each that was missed.
    let begun = Instant::now();
    site.answer_many(1);
    assert_eq!(next_event(&mut events).await.ids("closed").len(), 1);
    assert_eq!(begun.elapsed(), ms(100));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_a_drain_begins_and_says_so() {
    let site = Site::new();
    let (begins, begun) = tokio::sync::watch::channel(false);
    let inspector = site.inspector().ends_when(move || {
        let mut begun = begun.clone();
        async move { _ = begun.wait_for(|begun| *begun).await }
    });
    let mut events = send(&inspector, local("/api/events")).into_body();
    assert_eq!(next_event(&mut events).await.data["counts"]["draining"], false);
    let started = Instant::now();
    begins.send(true).unwrap();
    let last = next_event(&mut events).await;
    assert_eq!((&*last.name, &last.data["counts"]["draining"]), ("tick", &true.into()));
    assert!(next(&mut events).await.is_none());
    assert!(next(&mut events).await.is_none());
    assert_eq!(started.elapsed(), ZERO);

    let mut late = send(&inspector, local("/api/events")).into_body();
    let first = next_event(&mut late).await;
    assert_eq!((&*first.name, &first.data["counts"]["draining"]), ("snapshot", &true.into()));
    assert!(next(&mut late).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_inspector_that_sees_its_own_stream_does_not_talk_to_itself_for_ever() {
    let site = Site::new();
    let mut own = site.stream(get("/inspector/api/events"));
    let mut events = send(&site.inspector(), local("/api/events?interval=100ms")).into_body();
    next_event(&mut events).await;
    // The event that was sent is itself a change, which is one row a tick and no more.
    for _ in 0..2 {
        assert!(poll_body(&mut own).is_ready());
        assert_eq!(next_event(&mut events).await.ids("changed").len(), 1);
    }
}
