//! Idle: nothing is open, and whoever waits for that is told so, neither too early nor never.

use std::{
    pin::pin,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use tokio::task::yield_now;
use tower_lifecycle::{
    ExchangeView, Interest, LifecycleLayer, Listener, Observer, RequestHead, ResponseHead, Summary,
    inflight::{InFlight, InFlightState},
    testing::MockBody,
};

use crate::{
    rig::{answer, open, pass, request, send, within},
    support::{
        panics::{boom, quiet},
        polls::poll_once,
    },
};

#[test]
fn who_has_nothing_open_is_idle_at_once() {
    let inflight = InFlight::new();
    let layer = LifecycleLayer::new(inflight.clone());
    assert!(inflight.is_idle());
    assert!(poll_once(pin!(inflight.idle())).is_ready());
    pass(&layer, "/");
    assert!(poll_once(pin!(inflight.idle())).is_ready());
}

#[tokio::test]
async fn it_waits_for_the_last_exchange_and_is_not_told_before() {
    for max_open in [0, 1, 2, 100] {
        let inflight = InFlight::builder().max_open(max_open).build();
        let layer = LifecycleLayer::new(inflight.clone());
        let mut held: Vec<_> = (0..4).map(|_| open(&layer, "/")).collect();
        let waits = tokio::spawn(inflight.idle());
        for next in [0, 2, 1] {
            yield_now().await;
            assert!(!waits.is_finished() && !inflight.is_idle());
            drop(held.remove(next));
        }
        yield_now().await;
        assert!(!waits.is_finished());
        held.push(open(&layer, "/another"));
        drop(held.remove(0));
        yield_now().await;
        assert!(!waits.is_finished(), "another has begun before the last of the first was over");
        held.clear();
        within("idle", waits).await.unwrap();
    }
}

#[tokio::test]
async fn thousands_wait_and_all_are_told() {
    let inflight = InFlight::new();
    let layer = LifecycleLayer::new(inflight.clone());
    let held = open(&layer, "/");
    let waits: Vec<_> = (0..5_000).map(|_| tokio::spawn(inflight.idle())).collect();
    // Some go without having been told.
    let gone = tokio::spawn(inflight.idle());
    yield_now().await;
    gone.abort();
    assert!(!waits.iter().any(tokio::task::JoinHandle::is_finished));
    drop(held);
    for wait in waits {
        within("idle", wait).await.unwrap();
    }
}

#[tokio::test]
async fn a_wait_outlives_what_it_was_made_by() {
    let inflight = InFlight::new();
    let layer = LifecycleLayer::new(inflight.clone());
    let held = open(&layer, "/");
    let waits = tokio::spawn(inflight.idle());
    drop((inflight, layer));
    yield_now().await;
    assert!(!waits.is_finished());
    drop(held);
    within("idle", waits).await.unwrap();
}

/// Two that close at the same moment, one of which is not shown, and one who begins to wait at that moment.
#[test]
fn whoever_begins_to_wait_while_the_last_ones_close_is_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for round in 0..3_000 {
        let inflight = InFlight::builder().max_open(round % 3).build();
        let layer = LifecycleLayer::new(inflight.clone());
        let start = Barrier::new(3);
        let held = [open(&layer, "/a"), open(&layer, "/b")];
        thread::scope(|scope| {
            for held in held {
                scope.spawn(|| {
                    start.wait();
                    drop(held);
                });
            }
            start.wait();
            runtime.block_on(within("idle", inflight.idle()));
            assert!(inflight.is_idle());
        });
    }
}

/// As long as there is always one that holds on until the next has begun, it is never idle.
#[test]
fn a_chain_without_a_gap_is_never_idle() {
    for max_open in [100, 1, 0] {
        chain(&InFlight::builder().max_open(max_open).build());
    }
}

fn chain(inflight: &InFlight) {
    const LINKS: u64 = 20_000;
    let layer = LifecycleLayer::new(inflight.clone());
    let done = AtomicBool::new(false);
    let looked = AtomicU64::new(0);
    thread::scope(|scope| {
        let held = open(&layer, "/first");
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let idle = poll_once(pin!(inflight.idle())).is_ready();
                let still = !done.load(Ordering::SeqCst);
                assert!(!(idle && still), "idle, though one was always open");
                looked.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut held = held;
        for _ in 0..LINKS {
            held = open(&layer, "/next");
        }
        while looked.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        done.store(true, Ordering::SeqCst);
        drop(held);
    });
    assert!(inflight.is_idle());
}

#[test]
fn who_is_told_of_idle_finds_the_history_complete() {
    let inflight = InFlight::new();
    let layer = LifecycleLayer::new(inflight.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for round in 1..=2_000 {
        let held = open(&layer, "/");
        thread::scope(|scope| {
            scope.spawn(|| drop(held));
            runtime.block_on(within("idle", inflight.idle()));
            let counts = inflight.counts();
            assert_eq!((counts.open, counts.closed, counts.opened), (0, round, round));
        });
    }
}

#[cfg(all(feature = "axum", feature = "hyper"))]
mod upgraded {
    use std::{
        sync::{Arc, mpsc},
        time::Duration,
    };

    use axum::{Router, extract::WebSocketUpgrade, routing::any};
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio::net::TcpListener;
    use tokio_tungstenite::tungstenite::Message;
    use tower_lifecycle::{ExchangeHandle, Server};

    use super::*;
    use crate::rig::PATIENCE;

    /// Calls a function at each close.
    #[derive(Clone)]
    struct Slow(Arc<dyn Fn() + Send + Sync>);

    struct Closing(Arc<dyn Fn() + Send + Sync>);

    impl Observer for Slow {
        type State = Closing;

        fn interest(&self) -> Interest {
            Interest::CLOSE
        }

        fn begin(&self, _: &RequestHead<'_>) -> Option<Closing> {
            Some(Closing(Arc::clone(&self.0)))
        }
    }

    impl Listener for Closing {
        fn on_close(&mut self, _: &Summary) {
            (self.0)();
        }
    }

    fn app() -> Router {
        let echo = |handle: ExchangeHandle, upgrade: WebSocketUpgrade| async move {
            let guard = handle.connection().unwrap().guard_upgrade();
            upgrade.on_upgrade(async move |mut socket| {
                while let Some(Ok(message)) = socket.recv().await {
                    if socket.send(message).await.is_err() {
                        break;
                    }
                }
                // The socket first: whoever hears of the guard's end finds the stream gone.
                drop(socket);
                drop(guard);
            })
        };
        let bare = |upgrade: WebSocketUpgrade| async move {
            upgrade.on_upgrade(async |mut socket| while socket.recv().await.is_some() {})
        };
        Router::new().route("/guarded", any(echo)).route("/bare", any(bare))
    }

    async fn serve<O: Observer>(layer: LifecycleLayer<O>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(Server::new(listener, layer.with_handle()).serve(app()));
        addr.to_string()
    }

    async fn socket(
        addr: &str,
        path: &str,
    ) -> tokio_tungstenite::WebSocketStream<tokio::net::TcpStream> {
        let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        tokio_tungstenite::client_async(format!("ws://{addr}{path}"), stream).await.unwrap().0
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_waits_for_the_last_upgraded_stream_whether_it_is_shown_or_not() {
        for path in ["/guarded", "/bare"] {
            for max_open in [0, 1, 100] {
                let inflight = InFlight::builder().max_open(max_open).build();
                let addr = serve(LifecycleLayer::new(inflight.clone())).await;
                let mut first = socket(&addr, path).await;
                let second = socket(&addr, path).await;
                let closed = async {
                    while inflight.counts().closed < 2 {
                        yield_now().await;
                    }
                };
                within("the close of both exchanges", closed).await;
                let waits = tokio::spawn(inflight.idle());
                drop(second);
                let gone = async {
                    while inflight.counts().connections > 1 {
                        yield_now().await;
                    }
                };
                within("the end of one connection", gone).await;
                assert!(!inflight.is_idle(), "{path}, {max_open} shown");
                if path == "/guarded" {
                    first.send(Message::text("hello")).await.unwrap();
                    let echoed = within("an echo", first.next()).await.unwrap().unwrap();
                    assert_eq!(echoed, Message::text("hello"));
                }
                assert!(!waits.is_finished(), "{path}, {max_open} shown");
                drop(first);
                within("idle", waits).await.unwrap();
            }
        }
    }

    /// The exchange is closed for who observes it before the connection counts the upgrade.
    #[tokio::test(flavor = "multi_thread")]
    async fn it_is_not_idle_between_an_exchange_and_what_it_was_upgraded_to() {
        let inflight = InFlight::new();
        let (tell, closing) = mpsc::channel();
        let idle = inflight.clone();
        let slow = Slow(Arc::new(move || {
            // Whoever looks now: another thread.
            let idle = idle.clone();
            let idle = thread::spawn(move || idle.is_idle()).join().unwrap();
            tell.send(idle).unwrap();
        }));
        let addr = serve(LifecycleLayer::new((slow, inflight.clone()))).await;
        let socket = socket(&addr, "/bare").await;
        let was_idle = closing.recv_timeout(PATIENCE).unwrap();
        assert!(!was_idle, "it was idle while the stream was handed over");
        let waits = tokio::spawn(inflight.idle());
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(!waits.is_finished());
        drop(socket);
        within("idle", waits).await.unwrap();
    }
}

/// Wraps the registry, and panics when there is a response: the registry hears of no close.
struct Silenced(InFlight);

struct Silent(InFlightState);

impl Observer for Silenced {
    type State = Silent;

    fn interest(&self) -> Interest {
        self.0.interest() | Interest::RESPONSE
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<Silent> {
        self.0.begin(head).map(Silent)
    }
}

impl Listener for Silent {
    fn opened(&mut self, view: &ExchangeView) {
        self.0.opened(view);
    }

    fn on_response(&mut self, _: &ResponseHead<'_>) {
        boom();
    }

    fn on_close(&mut self, summary: &Summary) {
        self.0.on_close(summary);
    }
}

#[tokio::test]
async fn who_is_silenced_before_the_close_is_open_no_more() {
    quiet();
    for max_open in [0, 10] {
        let inflight = InFlight::builder().max_open(max_open).build();
        let layer = LifecycleLayer::new(Silenced(inflight.clone()));
        let held = open(&layer, "/");
        let waits = tokio::spawn(inflight.idle());
        yield_now().await;
        assert!(!waits.is_finished());
        let answered = send(&layer, request("GET", "/", answer(200, MockBody::hangs_after(1))));
        assert_eq!((inflight.counts().open, layer.observer_panics()), (1, 1));
        drop(held);
        within("idle", waits).await.unwrap();
        drop(answered);
        assert_eq!((inflight.counts().open, inflight.recent().len()), (0, 1));
    }
}
