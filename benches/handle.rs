//! What is done with a handle: to wait, to be called back, to mark, to look.
//!
//! `cargo bench -p tower-lifecycle-benches --bench handle`

use std::{
    future::{Future, Pending, pending},
    hint::black_box,
    pin::pin,
    task::{Context, Waker},
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use tower::{Layer, Service, service_fn};
use tower_lifecycle::{ExchangeHandle, Interest, LifecycleLayer, ResponseFuture};
use tower_lifecycle_benches::Counting;

type Parked = Pending<Result<Response<String>, ()>>;

/// An exchange whose handler is parked, and its handle.
fn parked() -> (ResponseFuture<Parked>, ExchangeHandle) {
    let mut handle = None;
    let layer = LifecycleLayer::new(Counting(Interest::CLOSE | Interest::MARKS)).with_handle();
    let mut service = layer.layer(service_fn(|request: Request<_>| {
        let _: &tower_lifecycle::RequestBody<String> = request.body();
        handle = request.extensions().get::<ExchangeHandle>().cloned();
        pending()
    }));
    let exchange = service.call(Request::new(String::new()));
    drop(service);
    (exchange, handle.expect("the layer has handles"))
}

fn handle(criterion: &mut Criterion) {
    let (exchange, handle) = parked();
    criterion.bench_function("clone and drop", |bencher| bencher.iter(|| handle.clone()));
    criterion.bench_function("stage", |bencher| bencher.iter(|| black_box(&handle).stage()));
    criterion.bench_function("close_reason", |bencher| {
        bencher.iter(|| black_box(&handle).close_reason());
    });
    criterion.bench_function("closed, made and dropped unpolled", |bencher| {
        bencher.iter(|| drop(handle.closed()));
    });
    let mut context = Context::from_waker(Waker::noop());
    criterion.bench_function("closed, polled once and dropped", |bencher| {
        bencher.iter(|| pin!(handle.closed()).poll(&mut context).is_pending());
    });
    criterion.bench_function("on_close and taken back", |bencher| {
        bencher.iter(|| handle.on_close(|close| _ = black_box(close)));
    });
    criterion.bench_function("mark", |bencher| {
        bencher.iter_batched_ref(parked, |(_, handle)| handle.mark("db"), BatchSize::SmallInput);
    });
    drop(exchange);
    criterion.bench_function("closed, when it is", |bencher| {
        bencher.iter(|| pin!(handle.closed()).poll(&mut context).is_ready());
    });
}

criterion_group!(benches, handle);
criterion_main!(benches);
