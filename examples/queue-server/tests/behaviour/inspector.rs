//! `/inspector`.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::{
    stage::Stage,
    world::{World, answer, bounded, until},
};
use queue_server::server::Inspect;

const TOKEN: &str = "0123456789abcdef";

async fn world(inspector: Inspect) -> World {
    Stage::Embedded.start_with(|setup| setup.settings.inspector = inspector).await
}

#[tokio::test]
async fn a_parked_poll_shows_as_parked_without_the_id_of_its_queue() {
    bounded(async {
        let world = world(Inspect::Local).await;
        let queue = world.queue().await;
        let poll = world.park(&queue, -1).await;
        let parked = "/inspector/api/exchanges?state=parked";
        let asked = async || answer(world.request("GET", parked)).await;
        let mut shown = asked().await;
        while shown.fields()["exchanges"] == json!([]) {
            tokio::task::yield_now().await;
            shown = asked().await;
        }
        let open = &shown.fields()["exchanges"][0];
        assert_eq!(open["method"], "GET");
        assert_eq!(
            (&open["path"], &open["route"]),
            (&json!("/api/v1/events"), &json!("/api/v1/events"))
        );
        assert!(!shown.text.contains(&queue.id), "{}", shown.text);
        poll.abort();
        world.until_parked(0).await;
        until("it has closed", || world.parked() == 0).await;
        let closed = answer(world.request("GET", "/inspector/api/closed?route=events")).await;
        assert!(!closed.text.contains(&queue.id), "{}", closed.text);
        let page = answer(world.request("GET", "/inspector")).await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-security-policy").is_some());
    })
    .await;
}

#[tokio::test]
async fn it_is_there_for_whom_it_is_meant() {
    bounded(async {
        let nobody = world(Inspect::Nobody).await;
        assert_eq!(answer(nobody.request("GET", "/inspector")).await.status, 404);
        let local = world(Inspect::Local).await;
        let through = local.request("GET", "/inspector").header("x-forwarded-for", "203.0.113.7");
        assert_eq!(answer(through).await.status, 403);
        let token = world(Inspect::Token(TOKEN.to_owned())).await;
        assert_eq!(answer(token.request("GET", "/inspector")).await.status, 401);
        let known = token.request("GET", "/inspector").bearer_auth(TOKEN);
        assert_eq!(answer(known).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn who_looks_does_not_hold_up_a_server_that_stops() {
    bounded(async {
        let mut world = world(Inspect::Local).await;
        let events = world.request("GET", "/inspector/api/events?interval=100ms");
        let events = events.send().await.expect("a stream");
        world.servers[0].stop();
        let served = timeout(Duration::from_secs(20), &mut world.servers[0].served).await;
        served.expect("an end").expect("no panic").expect("no connection had to be cut");
        assert!(events.text().await.expect("a stream that ends").starts_with("event: snapshot"));
    })
    .await;
}
