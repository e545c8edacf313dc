//! The hooks of connections: once each, and guarded like all others.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::Router;
use tower_lifecycle::{
    Connection, ConnectionSummary, Interest, LifecycleLayer, Observer, RequestHead, observe,
    testing::{Client, Recorder},
};

use crate::support::{
    panics,
    seams::{Seam, builder},
};

/// Panics in each hook of a connection, and in no other.
struct Panics;

impl Observer for Panics {
    type State = observe::HooksState;

    fn interest(&self) -> Interest {
        Interest::CONNECTION
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<Self::State> {
        None
    }

    fn on_connection_open(&self, _: &Connection) {
        panics::boom()
    }

    fn on_connection_close(&self, _: &ConnectionSummary) {
        panics::boom()
    }
}

#[tokio::test]
async fn a_panic_in_them_is_caught_and_counted_and_the_next_observer_hears() {
    panics::quiet();
    for seam in Seam::ALL {
        let (first, last) = (Recorder::new(), Recorder::new());
        let names = Arc::new(Mutex::new(Vec::new()));
        let caught = Arc::clone(&names);
        let lifecycle = LifecycleLayer::new((first.clone(), Panics, last.clone()))
            .on_observer_panic(move |panic| caught.lock().unwrap().push(panic.hook));
        let app: Router = Router::new().fallback(async || "hello");
        let serving = seam.serve(builder(), &lifecycle, app).await;
        let mut client = Client::connect(serving.addr).await.unwrap();
        client.send("GET / HTTP/1.1\r\n\r\n").await.unwrap();
        client.read_until("hello").await.unwrap();
        client.close().unwrap();
        for recorder in [&first, &last] {
            assert_eq!(recorder.disconnected(1).await.len(), 1, "{seam:?}");
            assert_eq!(recorder.only().words().split(' ').next_back(), Some("close(complete)"));
        }
        assert_eq!(lifecycle.observer_panics(), 2, "{seam:?}");
        let names = names.lock().unwrap().clone();
        assert_eq!(names, ["on_connection_open", "on_connection_close"], "{seam:?}");
    }
}

/// Asks for connections alone.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicUsize; 3]>);

impl Observer for Counts {
    type State = observe::HooksState;

    fn interest(&self) -> Interest {
        Interest::CONNECTION
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<Self::State> {
        self.0[2].fetch_add(1, Ordering::Relaxed);
        None
    }

    fn on_connection_open(&self, connection: &Connection) {
        assert_eq!((connection.received(), connection.sent()), (0, 0), "nothing was read yet");
        self.0[0].fetch_add(1, Ordering::Relaxed);
    }

    fn on_connection_close(&self, summary: &ConnectionSummary) {
        assert_eq!(summary.connection.open_exchanges(), 0);
        self.0[1].fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn they_are_told_to_who_asks_for_them_alone() {
    for seam in Seam::ALL {
        let (counts, recorder) = (Counts::default(), Recorder::new());
        let lifecycle = LifecycleLayer::new((counts.clone(), recorder.clone()));
        let app: Router = Router::new().fallback(async || "hello");
        let serving = seam.serve(builder(), &lifecycle, app).await;
        for _ in 0..3 {
            let mut client = Client::connect(serving.addr).await.unwrap();
            client.send("GET / HTTP/1.1\r\n\r\n").await.unwrap();
            client.read_until("hello").await.unwrap();
        }
        recorder.disconnected(3).await;
        let [opened, closed, _] = &*counts.0;
        assert_eq!(opened.load(Ordering::Relaxed), 3, "{seam:?}");
        assert_eq!(closed.load(Ordering::Relaxed), 3, "{seam:?}");
        assert_eq!(lifecycle.observer_panics(), 0, "{seam:?}");
    }
}
