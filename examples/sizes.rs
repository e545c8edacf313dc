//! Prints the sizes of the types that every exchange goes through, and what one exchange allocates.
//!
//! `cargo run --example sizes`

use std::{convert::Infallible, future::Ready, mem::size_of};

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tower::{Layer, Service, service_fn};
use tower_lifecycle::{
    Close, Data, End, Failure, Interest, Lifecycle, LifecycleLayer, Listener, Marks, Observer,
    RequestBody, RequestHead, ResponseBody, ResponseFuture, ResponseHead, Summary, Transfer,
};

type Answer = Result<Response<Full<Bytes>>, Infallible>;

/// An observer whose state takes no room.
struct Nothing(Interest);

struct NoState;

impl Observer for Nothing {
    type State = NoState;

    fn interest(&self) -> Interest {
        self.0
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<NoState> {
        Some(NoState)
    }
}

impl Listener for NoState {}

fn main() {
    println!("{:<38}{:>6}{:>8}{:>7}", "wrapper", "inner", "wrapped", "adds");
    wrapper::<Full<Bytes>, RequestBody<Full<Bytes>>>("RequestBody<Full<Bytes>>");
    wrapper::<Incoming, RequestBody<Incoming>>("RequestBody<hyper::body::Incoming>");
    wrapper::<Body, RequestBody<Body>>("RequestBody<axum::body::Body>");
    wrapper::<(), RequestBody<()>>("RequestBody<()>");
    wrapper::<Full<Bytes>, ResponseBody<Full<Bytes>>>("ResponseBody<Full<Bytes>>");
    wrapper::<Body, ResponseBody<Body>>("ResponseBody<axum::body::Body>");
    wrapper::<(), ResponseBody<()>>("ResponseBody<()>");
    wrapper::<Ready<Answer>, ResponseFuture<Ready<Answer>>>("ResponseFuture<Ready<_>>");
    wrapper::<(), ResponseFuture<()>>("ResponseFuture<()>");
    wrapper::<(), Lifecycle<(), ()>>("Lifecycle<(), ()>");

    println!("\n{:<38}{:>6}", "value", "bytes");
    value::<Summary>("Summary");
    value::<Transfer>("  Transfer, twice in it");
    value::<Marks>("  Marks");
    value::<Close>("  Close");
    value::<RequestHead<'_>>("RequestHead");
    value::<ResponseHead<'_>>("ResponseHead");
    value::<Data>("Data");
    value::<End<'_>>("End");
    value::<Failure<'_>>("Failure");
    value::<Interest>("Interest");
    value::<LifecycleLayer<()>>("LifecycleLayer");

    println!("\n{:<38}{:>6}{:>14}", "allocated by one exchange", "bytes", "allocations");
    allocated("bare service", &mut service_fn(answer));
    for (name, interest) in [
        ("layer, nothing wanted", Interest::NONE),
        (
            "layer, all hooks",
            Interest::DEFAULT - Interest::MARKS - Interest::URI - Interest::TRAILERS,
        ),
        ("layer, what is default", Interest::DEFAULT),
    ] {
        allocated(name, &mut LifecycleLayer::new(Nothing(interest)).layer(service_fn(answer)));
    }
}

fn wrapper<Inner, Wrapped>(name: &str) {
    let (inner, wrapped) = (size_of::<Inner>(), size_of::<Wrapped>());
    println!("{name:<38}{inner:>6}{wrapped:>8}{:>+7}", wrapped - inner);
}

fn value<T>(name: &str) {
    println!("{name:<38}{:>6}", size_of::<T>());
}

fn answer<B>(request: Request<B>) -> Ready<Answer> {
    drop(request);
    std::future::ready(Ok(Response::new(Full::default())))
}

/// What the request and its answer are made of is not counted.
fn allocated<S>(name: &str, service: &mut S)
where
    S: Service<Request<Full<Bytes>>, Error = Infallible>,
{
    let request = Request::new(Full::from("Hello"));
    let info = allocation_counter::measure(|| drop(service.call(request).now_or_never()));
    println!("{name:<38}{:>6}{:>14}", info.bytes_total, info.count_total);
}
