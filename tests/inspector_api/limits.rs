//! How many streams there may be, and what the largest costs.

use allocation_counter::measure;
use http_body::Body;

use crate::rig::{Site, ask, get, local, next_event, send};

#[tokio::test]
async fn a_thousand_streams_are_refused_beyond_the_limit_and_places_are_given_back() {
    let site = Site::new();
    let inspector = site.inspector();
    let mut streams = Vec::new();
    for count in 0..1000 {
        // A clone has the same places.
        let response = send(&inspector.clone(), local("/api/events"));
        if count < 32 {
            assert_eq!(response.status(), 200);
            streams.push(response.into_body());
        } else {
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["retry-after"], "5");
            assert!(
                response.body().is_end_stream() || response.body().size_hint().exact().is_some()
            );
        }
    }
    let sentence = ask(&inspector, local("/api/events")).refused(503);
    assert!(sentence.contains("Inspector::max_streams"), "{sentence}");
    let mut head = local("/api/events");
    *head.method_mut() = http::Method::HEAD;
    assert_eq!(ask(&inspector, head).status, 200, "it takes no place");
    assert_eq!(ask(&inspector, local("/api/counts")).status, 200);

    // Whether it was read or not.
    next_event(&mut streams[0]).await;
    streams.truncate(31);
    drop(streams.remove(0));
    for _ in 0..2 {
        streams.push(send(&inspector, local("/api/events")).into_body());
    }
    assert_eq!(send(&inspector, local("/api/events")).status(), 503);
    drop(streams);
    assert_eq!(send(&inspector, local("/api/events")).status(), 200);
}

#[test]
fn there_may_be_none() {
    let inspector = Site::new().inspector().max_streams(0);
    ask(&inspector, local("/api/events")).refused(503);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_exchanges_are_one_event_and_a_tick_is_as_large_as_what_changed() {
    let site = Site::new();
    let mut held: Vec<_> = (0..10_001).map(|_| site.hold(get("/held"))).collect();
    let mut events = send(&site.inspector(), local("/api/events")).into_body();
    let first = next_event(&mut events).await;
    assert_eq!(
        (first.ids("exchanges").len(), first.data["not_listed"].as_u64()),
        (10_000, Some(1))
    );
    held.truncate(10_000);
    let tick = next_event(&mut events).await;
    assert!(tick.data.to_string().len() < 2_000);
    held.truncate(5_000);
    let tick = next_event(&mut events).await;
    assert_eq!((tick.ids("closed").len(), tick.ids("gone").len()), (200, 4_800));
    assert_eq!(tick.data["missed"], 4_800);
}

#[test]
fn who_asks_for_one_exchange_pays_for_no_other() {
    let site = Site::new();
    let held: Vec<_> = (0..10_000).map(|_| site.hold(get("/held"))).collect();
    site.answer_many(1);
    let open = site.inflight.snapshot().exchanges[0].id;
    let closed = site.inflight.recent()[0].id;
    for asked in [
        format!("/api/exchanges/{open}"),
        format!("/api/exchanges/{closed}"),
        "/api/closed".to_owned(),
    ] {
        let spent = measure(|| _ = site.ask(&asked).ok());
        assert!(spent.bytes_total < 32 * 1024, "{asked}: {spent:?}");
    }
    drop(held);
}
