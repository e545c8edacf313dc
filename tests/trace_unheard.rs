//! What a `Trace` costs where there is no subscriber. A file of its own, because a subscriber in any thread makes all ask.

#![cfg(feature = "tracing")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifecycle::{
    Interest, LifecycleLayer, Observer, RequestHead, testing::MockBody, trace::Trace,
};

/// Counts what `begin` makes and allocates.
#[derive(Clone, Default)]
struct Counting(Trace, Arc<[AtomicUsize; 3]>);

impl Observer for Counting {
    type State = <Trace as Observer>::State;

    fn interest(&self) -> Interest {
        self.0.interest()
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<Self::State> {
        let mut state = None;
        let allocated = allocation_counter::measure(|| state = self.0.begin(head)).count_total;
        let counts = [1, state.iter().count(), usize::try_from(allocated).unwrap()];
        for (sum, count) in self.1.iter().zip(counts) {
            sum.fetch_add(count, Ordering::Relaxed);
        }
        state
    }
}

#[tokio::test]
async fn without_a_subscriber_there_is_no_state_and_no_allocation() {
    let counting = Counting::default();
    let layer = LifecycleLayer::new(counting.clone());
    for _ in 0..3 {
        let service = layer.layer(service_fn(async |_: Request<_>| {
            Ok::<_, Infallible>(Response::new(MockBody::empty()))
        }));
        service.oneshot(Request::new(MockBody::empty())).await.unwrap();
    }
    let counts = counting.1.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts, [3, 0, 0]);
}
