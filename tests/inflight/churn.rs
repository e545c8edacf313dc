//! A hundred thousand exchanges that end in every way, while others look, follow and fall behind.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use allocation_counter::measure;
use http::{Request, Response};
use tower::{Layer, Service as _, service_fn};
use tower_lifecycle::{
    Data, LifecycleLayer, Listener, Observer, RequestBody, RequestHead, ResponseHead, Summary,
    inflight::{Change, Filter, InFlight, Story},
    testing::{BoxError, MockBody},
};

use crate::{
    rig::{Answer, Held, answer, request, send},
    support::panics::{boom, catch, drop_unwinding, quiet},
};

const EXCHANGES: u64 = 100_000;
const THREADS: u64 = 4;

/// Panics in a hook now and then, by which it is silenced.
#[derive(Clone, Default)]
struct Fragile(Arc<AtomicU64>);

struct Breaks(u64);

impl Observer for Fragile {
    type State = Breaks;

    fn begin(&self, _: &RequestHead<'_>) -> Option<Breaks> {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        if n % 101 == 0 {
            boom();
        }
        (n % 7 != 0).then_some(Breaks(n))
    }
}

impl Listener for Breaks {
    fn on_request_data(&mut self, _: Data) {
        if self.0 % 103 == 0 {
            boom();
        }
    }
    fn on_response(&mut self, _: &ResponseHead<'_>) {
        if self.0 % 107 == 0 {
            boom();
        }
    }
    fn on_close(&mut self, _: &Summary) {
        if self.0 % 109 == 0 {
            boom();
        }
    }
}

impl Drop for Breaks {
    fn drop(&mut self) {
        if self.0 % 113 == 0 {
            boom();
        }
    }
}

/// One exchange, by its number. What is held on to goes to `held`.
fn exchange<O: Observer>(layer: &LifecycleLayer<O>, n: u64, held: &mut Vec<Held>) {
    let path = ["/a", "/b", "/c"][usize::try_from(n % 3).unwrap()];
    let asks = |answer| request("POST", path, answer).map(|_| MockBody::stream(2));
    match n % 13 {
        0 => send(layer, asks(answer(200, MockBody::stream(2)))).finish(),
        1 => send(layer, asks(Answer::Reads(Box::new(answer(404, MockBody::empty()))))).finish(),
        // Dropped before the first poll.
        2 => drop(unpolled(layer, path)),
        3 => drop(send(layer, asks(Answer::None))),
        4 => drop(send(layer, asks(answer(200, MockBody::hangs_after(2)))).poll()),
        5 => drop(send(layer, asks(Answer::Fails))),
        6 => send(layer, asks(answer(500, MockBody::fails_after(1)))).finish(),
        7 => drop(send(layer, asks(Answer::Panics))),
        8 => send(layer, asks(answer(200, MockBody::panics_after(1)))).finish(),
        9 => drop_unwinding(send(layer, asks(Answer::None))),
        10 => drop_unwinding(send(layer, asks(answer(200, MockBody::hangs_after(1)))).poll()),
        11 => send(layer, asks(answer(200, MockBody::declares(15, 1)))).finish(),
        // Closed by another exchange, much later.
        _ => {
            held.push(send(layer, asks(answer(200, MockBody::stream(3)))));
            if held.len() > 100 {
                held.swap_remove(usize::try_from(n % 100).unwrap()).finish();
            }
        }
    }
}

fn unpolled<O: Observer>(layer: &LifecycleLayer<O>, path: &str) -> impl Sized + use<O> {
    let service = service_fn(async |_: Request<RequestBody<MockBody>>| {
        Ok::<_, BoxError>(Response::new(MockBody::empty()))
    });
    layer.layer(service).call(Request::post(path).body(MockBody::stream(1)).unwrap())
}

/// `EXCHANGES` through `layer` on some threads, while others look. How many the slow one was told of, and has missed.
fn churn<O: Observer>(inflight: &InFlight, layer: &LifecycleLayer<O>) -> (u64, u64) {
    let done = AtomicBool::new(false);
    let mut slow = inflight.subscribe().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                look(inflight);
                looks += 1;
                thread::sleep(Duration::from_millis(2));
            }
            looks
        });
        let follows = scope.spawn(|| {
            let mut changes = inflight.subscribe().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.unwrap().block_on(async {
                while !done.load(Ordering::Relaxed) {
                    drop(inflight.subscribe());
                    drop(tokio::time::timeout(Duration::from_millis(10), changes.recv()).await);
                }
            });
        });
        let works: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for n in 0..EXCHANGES / THREADS {
                        exchange(layer, n * THREADS + thread, &mut held);
                    }
                    // What is left goes while others go.
                    for held in held {
                        drop(catch(|| held.finish()));
                    }
                })
            })
            .collect();
        for work in works {
            work.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert!(looks.join().unwrap() > 0);
        follows.join().unwrap();
    });
    let (mut told, mut missed) = (0, 0);
    while told + missed < 2 * EXCHANGES {
        match runtime.block_on(crate::rig::within("a change", slow.recv())).unwrap() {
            Change::Missed(more) => missed += more,
            _ => told += 1,
        }
    }
    (told, missed)
}

/// What is shown holds together, whatever goes on.
fn look(inflight: &InFlight) {
    let snapshot = inflight.select(&Filter::new().limit(50));
    assert!(snapshot.exchanges.len() <= 50);
    for open in &snapshot.exchanges {
        assert!(open.request.bytes <= 10 && open.response.bytes <= 15);
        match inflight.story(open.id) {
            Some(Story::Open(now)) => assert_eq!(now.id, open.id),
            Some(Story::Closed(closed)) => assert_eq!(closed.id, open.id),
            None => {}
        }
    }
    let counts = inflight.counts();
    assert!(counts.open < 1_000 && counts.closed <= EXCHANGES);
    assert!(inflight.recent().len() <= 1_024);
    let slowest = inflight.slowest();
    assert!(slowest.len() <= 100 && slowest.is_sorted_by(|a, b| a.duration >= b.duration));
    assert!(inflight.failed().len() <= 100);
}

/// Nothing is open, everything was counted, and of the past is kept what may be.
fn settled(inflight: &InFlight) {
    let counts = inflight.counts();
    assert_eq!((counts.open, counts.not_shown), (0, 0));
    assert_eq!((counts.opened, counts.closed), (EXCHANGES, EXCHANGES));
    assert!(inflight.is_idle() && inflight.snapshot().exchanges.is_empty());
    assert_eq!((inflight.recent().len(), inflight.failed().len()), (1_024, 100));
    assert_eq!(inflight.slowest().len(), 100);
}

#[test]
fn a_hundred_thousand_come_and_go_and_nothing_is_left() {
    quiet();
    let inflight = InFlight::new();
    let layer = LifecycleLayer::new((Fragile::default(), inflight.clone(), Fragile::default()));
    let (told, missed) = churn(&inflight, &layer);
    settled(&inflight);
    assert_eq!((told, missed), (4_096, 2 * EXCHANGES - 4_096), "who is slow is told how much");
    assert!(layer.observer_panics() > 1_000);
}

#[test]
fn the_same_for_who_joins_and_for_who_has_room_for_few() {
    quiet();
    let inflight = InFlight::builder().max_open(20).build();
    let inner = LifecycleLayer::new(inflight.clone());
    let outer = LifecycleLayer::new(Fragile::default()).with_handle();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let counts = inflight.snapshot().counts;
                assert!(
                    counts.open - counts.not_shown <= 20 + 4,
                    "as many as begin now: {counts:?}"
                );
                thread::sleep(Duration::from_millis(2));
            }
        });
        let works: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (inner, outer) = (&inner, &outer);
                scope.spawn(move || {
                    let mut held = std::collections::VecDeque::new();
                    for n in 0..EXCHANGES / THREADS {
                        held.push_back(joined(outer, inner, n + thread));
                        if held.len() > 8 {
                            drop(held.pop_front());
                        }
                    }
                })
            })
            .collect();
        for work in works {
            work.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    settled_joined(&inflight);
}

fn settled_joined(inflight: &InFlight) {
    let counts = inflight.counts();
    assert_eq!(
        (counts.open, counts.not_shown, counts.opened, counts.closed),
        (0, 0, EXCHANGES, EXCHANGES)
    );
    assert!(inflight.is_idle());
}

/// An exchange of `outer` that `inner` has joined, held where it is.
fn joined<A: Observer, B: Observer>(
    outer: &LifecycleLayer<A>,
    inner: &LifecycleLayer<B>,
    n: u64,
) -> impl Sized + use<A, B> {
    let handler = service_fn(move |_: Request<RequestBody<RequestBody<MockBody>>>| async move {
        match n % 4 {
            0 => std::future::pending().await,
            1 => Err::<_, BoxError>("fails".into()),
            2 => boom(),
            _ => Ok(Response::new(MockBody::hangs_after(1))),
        }
    });
    let mut service = outer.layer(inner.layer(handler));
    let mut call = Box::pin(service.call(Request::new(MockBody::stream(1))));
    let polled = catch(|| crate::support::polls::poll_once(call.as_mut()));
    let response = match polled {
        Ok(std::task::Poll::Ready(response)) => response.ok(),
        _ => None,
    };
    (call, response)
}

/// After the first some thousand nothing more is kept of those that follow.
#[test]
fn memory_is_bounded() {
    quiet();
    let inflight = InFlight::builder().recent(100).notable(10).build();
    let layer = LifecycleLayer::new(inflight.clone());
    let _behind = inflight.subscribe().unwrap();
    let mut held = Vec::new();
    let mut pass = |exchanges| {
        let mut run = || (0..exchanges).for_each(|n| exchange(&layer, n, &mut held));
        measure(&mut run).bytes_current
    };
    pass(13 * 500);
    let [first, second] = [(); 2].map(|()| pass(13 * 1_000));
    // What is remembered is not always the same.
    assert!(first.abs() < 100_000 && second.abs() < 100_000, "{first}, then {second} bytes");
}

/// What is not looked at costs no more than the exchange, the path, what is remembered of it, and two waits, of which that has
/// a copy.
#[test]
fn an_exchange_that_nobody_looks_at_is_few_allocations() {
    let inflight = InFlight::builder().recent(8).build();
    let layer = LifecycleLayer::new(inflight.clone());
    let once = |layer: &LifecycleLayer<InFlight>| {
        let asked = request("GET", "/path", answer(200, MockBody::empty()));
        measure(|| send(layer, asked).finish()).count_total
    };
    let bare = {
        let layer = LifecycleLayer::new(None::<InFlight>);
        let asked = request("GET", "/path", answer(200, MockBody::empty()));
        measure(|| send(&layer, asked).finish()).count_total
    };
    // Maps grow to what they need.
    for _ in 0..1_000 {
        once(&layer);
    }
    let cost = (0..100).map(|_| once(&layer)).max().unwrap() - bare;
    assert!(cost <= 7, "{cost} allocations");
}

#[cfg(all(feature = "axum", feature = "hyper"))]
#[tokio::test(flavor = "multi_thread")]
async fn some_thousand_clients_that_vanish_leave_nothing() {
    use futures_util::{StreamExt as _, stream};
    use tower_lifecycle::testing::Leaver;

    use crate::{
        rig::within,
        support::seams::{self, Seam, builder},
    };

    quiet();
    for seam in Seam::ALL {
        let inflight = InFlight::builder().max_open(64).build();
        let layer = LifecycleLayer::new(inflight.clone()).with_handle().cancel_on_disconnect();
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let serving = seam.serve(builder(), &layer, seams::app(&gate)).await;
        let mut slow = inflight.subscribe().unwrap();
        let leavers: Vec<_> = Leaver::all().collect();
        let leave = async |n: usize| {
            let path = ["/echo", "/hang", "/park", "/careless", "/endless", "/panic"][n % 6];
            let leaver = leavers[n / 6 % leavers.len()].clone().path(path);
            // Some phases do not come on some paths.
            let patience = Duration::from_millis(200);
            drop(tokio::time::timeout(patience, leaver.leave(serving.addr)).await);
            let counts = inflight.snapshot().counts;
            // And those that begin at this very moment.
            assert!(counts.open - counts.not_shown <= 64 + 16, "{counts:?}");
        };
        stream::iter(0..1_200).for_each_concurrent(100, leave).await;
        within("idle", inflight.idle()).await;
        let gone = async {
            while inflight.counts().connections > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within("the end of all connections", gone).await;
        let counts = inflight.counts();
        assert_eq!((counts.open, counts.not_shown), (0, 0), "{seam:?}");
        assert!(counts.closed > 500 && counts.opened == counts.closed, "{seam:?}: {counts:?}");
        let mut balance = [0_i64; 2];
        let (mut told, mut missed) = (0, 0);
        while let Ok(Some(change)) =
            tokio::time::timeout(Duration::from_millis(20), slow.recv()).await
        {
            told += 1;
            match change {
                Change::Opened(_) => balance[0] += 1,
                Change::Closed(_) => balance[0] -= 1,
                Change::Connected(_) => balance[1] += 1,
                Change::Disconnected(_) => balance[1] -= 1,
                Change::Missed(more) => missed += more,
                _ => {}
            }
        }
        assert!(missed > 0 || balance == [0, 0], "{balance:?} of {told}");
    }
}
