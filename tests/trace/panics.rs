//! A subscriber that panics harms nobody.

use std::sync::atomic::{AtomicU64, Ordering};

use tower_lifecycle::{LifecycleLayer, testing::MockBody, trace::Trace};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

use super::capture::{exchange, failure, get, reply};

/// Not `register_callsite`: a panic of it poisons the locks of `tracing-core`, and with them every macro of the process.
const CALLBACKS: [&str; 8] =
    ["enabled", "new_span", "record", "event", "enter", "exit", "clone_span", "try_close"];

/// Panics in these callbacks, whenever they are called.
struct Panicking {
    callbacks: [&'static str; 2],
    target: &'static str,
    ids: AtomicU64,
}

impl Panicking {
    fn here(&self, callback: &str) {
        assert!(!self.callbacks.contains(&callback), "{callback}");
    }
}

impl Subscriber for Panicking {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target() == self.target;
        if ours {
            self.here("enabled");
        }
        ours
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        self.here("new_span");
        Id::from_u64(self.ids.fetch_add(1, Ordering::Relaxed) + 1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {
        self.here("record");
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.here("event");
    }
    fn enter(&self, _: &Id) {
        self.here("enter");
    }
    fn exit(&self, _: &Id) {
        self.here("exit");
    }
    fn clone_span(&self, id: &Id) -> Id {
        self.here("clone_span");
        id.clone()
    }
    fn try_close(&self, _: Id) -> bool {
        self.here("try_close");
        true
    }
}

#[tokio::test]
async fn a_subscriber_that_panics_in_any_callback_changes_no_traffic() {
    let pairs = CALLBACKS.iter().flat_map(|one| CALLBACKS.map(|other| [*one, other]));
    let target = "panics";
    for callbacks in pairs {
        let subscriber = Panicking { callbacks, target, ids: AtomicU64::new(0) };
        let _guard = tracing::subscriber::set_default(subscriber);
        let layer = LifecycleLayer::new(Trace::new().target(target));
        for frames in 0..3 {
            let request = http::Request::post("/").body(MockBody::stream(frames)).unwrap();
            exchange(layer.clone(), request, reply(200, MockBody::stream(frames))).await;
        }
        exchange(layer.clone(), get("/"), reply(500, MockBody::fails_after(1))).await;
        failure(layer.clone(), get("/")).await;
        // Nobody clones a span.
        let never = callbacks == ["clone_span"; 2];
        assert_eq!(layer.observer_panics() == 0, never, "{callbacks:?}");
    }
}
