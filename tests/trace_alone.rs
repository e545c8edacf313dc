//! The only subscriber of a process is that of one thread. It is a process of its own, because `tracing` then takes a short cut.
#![cfg(feature = "tracing")]

use std::{
    convert::Infallible,
    future::Future as _,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
};

use http::{Request, Response};
use tower::{Layer as _, ServiceExt, service_fn};
use tower_lifecycle::{LifecycleLayer, ResponseBody, testing::MockBody, trace::Trace};
use tracing::{Event, Metadata, Subscriber, span};

/// Counts spans and summaries.
#[derive(Clone, Default)]
struct Count {
    spans: Arc<AtomicU64>,
    summaries: Arc<AtomicU64>,
}

impl Subscriber for Count {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn event(&self, event: &Event<'_>) {
        let is_summary = event.metadata().name() == "lifecycle.close";
        self.summaries.fetch_add(u64::from(is_summary), Ordering::Relaxed);
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// An exchange whose response is not read yet.
fn answer(layer: &LifecycleLayer<Trace>) -> ResponseBody<MockBody> {
    let service = layer.layer(service_fn(async |_: Request<_>| {
        Ok::<_, Infallible>(Response::new(MockBody::stream(1)))
    }));
    let response = pin!(service.oneshot(Request::new(MockBody::empty())));
    let Poll::Ready(response) = response.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it is pending");
    };
    response.unwrap().into_body()
}

#[test]
fn a_thread_without_a_subscriber_does_not_silence_the_one_that_has_it() {
    let count = Count::default();
    let layer = LifecycleLayer::new(Trace::new());
    let _guard = tracing::subscriber::set_default(count.clone());
    let elsewhere = |drop: Box<dyn FnOnce() + Send>| thread::spawn(drop).join().unwrap();
    let told = || (count.spans.load(Ordering::Relaxed), count.summaries.load(Ordering::Relaxed));

    let unheard = layer.clone();
    elsewhere(Box::new(move || drop(answer(&unheard))));
    assert_eq!(told(), (0, 0));

    let first = answer(&layer);
    elsewhere(Box::new(|| drop(first)));
    assert_eq!(told(), (1, 1));

    drop(answer(&layer));
    assert_eq!(told(), (2, 2));
}
