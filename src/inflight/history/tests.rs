//! Who follows what closes is told of each once, in order, or that it was missed.

use std::{
    collections::HashSet,
    convert::Infallible,
    future::{Future, pending},
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Waker},
    thread,
};

use http::{Request, Response};
use tower::{Layer as _, Service as _, service_fn};

use crate::{LifecycleLayer, RequestBody, inflight::InFlight, testing::MockBody};

/// An exchange that is dropped while it waits.
fn pass(layer: &LifecycleLayer<InFlight>) {
    let waits =
        |_: Request<RequestBody<MockBody>>| pending::<Result<Response<MockBody>, Infallible>>();
    let mut service = layer.layer(service_fn(waits));
    let mut call = pin!(service.call(Request::new(MockBody::empty())));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn what_there_is_no_room_for_is_missed_and_the_rest_is_told_oldest_first() {
    for (recent, most, told) in
        [(10, 100, 10), (100, 7, 7), (100, 100, 30), (0, 100, 0), (100, 0, 0)]
    {
        let inflight = InFlight::builder().recent(recent).build();
        let layer = LifecycleLayer::new(inflight.clone());
        pass(&layer);
        let mut seen = inflight.counts().closed;
        (0..30).for_each(|_| pass(&layer));
        let (closed, missed) = inflight.closed_since(&mut seen, most);
        assert_eq!((closed.len(), missed), (told, 30 - told as u64), "{recent}, {most}");
        assert!(closed.is_sorted_by_key(|closed| closed.id));
        assert_eq!(
            closed.last().map(|it| it.id),
            inflight.recent().first().map(|it| it.id).filter(|_| told > 0)
        );
        let (closed, missed) = inflight.closed_since(&mut seen, most);
        assert_eq!((closed.len(), missed, seen), (0, 0, 31));
    }
}

#[test]
fn who_follows_while_all_close_is_told_of_each_once_or_that_it_was_missed() {
    const EACH: u64 = 5_000;
    for recent in [4, 64, 100_000] {
        let inflight = InFlight::builder().recent(recent).build();
        let layer = LifecycleLayer::new(inflight.clone());
        let done = AtomicBool::new(false);
        let (mut seen, mut ids, mut missed) = (0, HashSet::new(), 0);
        thread::scope(|scope| {
            let works = [(); 3].map(|()| scope.spawn(|| (0..EACH).for_each(|_| pass(&layer))));
            scope.spawn(|| {
                let mut last = false;
                loop {
                    let (closed, more) = inflight.closed_since(&mut seen, 1_000_000);
                    missed += more;
                    for closed in closed {
                        assert!(ids.insert(closed.id), "told twice");
                    }
                    assert_eq!(ids.len() as u64 + missed, seen);
                    if last {
                        break;
                    }
                    last = done.load(Ordering::SeqCst);
                }
            });
            for work in works {
                work.join().unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        assert_eq!(ids.len() as u64 + missed, 3 * EACH);
        assert!(missed == 0 || recent < 100_000);
    }
}
