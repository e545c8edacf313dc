//! What the layer allocates beyond the bare service, in memory and without a runtime.

mod support;

use std::{
    convert::Infallible,
    hint::black_box,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use allocation_counter::measure;
use axum::{Router, routing::post};
use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body::{Body, Frame};
use tower::service_fn;
use tower_layer::Layer;
use tower_lifecycle::{
    Data, End, Failure, Finish, Interest, LifecycleLayer, Listener, Observer, RequestBody,
    RequestClose, RequestHead, ResponseHead, Summary,
};
use tower_service::Service;

use support::polls::{data, now, read};

/// Counts the calls of its hooks in plain fields.
struct Counting(Interest);

#[derive(Default)]
struct Counts {
    hooks: u64,
    bytes: u64,
}

impl Observer for Counting {
    type State = Counts;

    fn interest(&self) -> Interest {
        self.0
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<Counts> {
        Some(Counts::default())
    }
}

impl Listener for Counts {
    fn on_request_data(&mut self, data: Data) {
        self.bytes += data.bytes;
    }
    fn on_request_end(&mut self, _: &End<'_>) {
        self.hooks += 1;
    }
    fn on_request_error(&mut self, _: &Failure<'_>) {
        self.hooks += 1;
    }
    fn on_request_close(&mut self, _: RequestClose) {
        self.hooks += 1;
    }
    fn on_response(&mut self, _: &ResponseHead<'_>) {
        self.hooks += 1;
    }
    fn on_response_data(&mut self, data: Data) {
        self.bytes += data.bytes;
    }
    fn on_response_end(&mut self, _: &End<'_>) {
        self.hooks += 1;
    }
    fn on_response_error(&mut self, _: &Failure<'_>) {
        self.hooks += 1;
    }
    fn on_finish(&mut self, _: Finish) {
        self.hooks += 1;
    }
    fn on_close(&mut self, summary: &Summary) {
        assert_eq!(summary.close.reason.as_str(), "complete");
        assert_eq!((black_box(self.hooks), self.bytes), (5, 16));
    }
}

/// Two frames of four bytes, without an allocation.
#[derive(Default)]
struct Frames(u8);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0 += 1;
        Poll::Ready((self.0 <= 2).then(|| Ok(Frame::data(data(4)))))
    }
}

async fn handler<B>(request: Request<B>) -> Result<Response<Frames>, Infallible>
where
    B: Body<Data = Bytes>,
{
    assert_eq!(read(request.into_body()).ok(), Some(8));
    Ok(Response::new(Frames::default()))
}

/// Allocations of one exchange with `service`; those of making the request are not counted.
fn exchange<S, B, R>(service: &mut S, body: B) -> u64
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/path?query");
    let counted = measure(|| {
        let Ok(response) = now(service.call(request)) else { panic!("a response") };
        assert_eq!(read(response.into_body()).ok(), Some(8));
    });
    counted.count_total
}

/// Beyond the bare service.
fn cost(observer: impl Observer) -> u64 {
    let bare = exchange(&mut service_fn(handler::<Frames>), Frames::default());
    let layer = LifecycleLayer::new(observer);
    let mut service = layer.layer(service_fn(handler::<RequestBody<Frames>>));
    let all = exchange(&mut service, Frames::default());
    assert_eq!(layer.observer_panics(), 0);
    all - bare
}

#[test]
fn who_observes_nothing_allocates_nothing() {
    assert_eq!(cost(()), 0);
    assert_eq!(cost(None::<Counting>), 0);
    assert_eq!(cost(Counting(Interest::NONE)), 0);
}

#[test]
fn an_exchange_is_one_allocation_whoever_observes_it() {
    assert_eq!(
        cost(Counting(Interest::DEFAULT - Interest::MARKS - Interest::URI - Interest::TRAILERS)),
        1
    );
}

#[test]
fn marks_and_a_static_uri_allocate_nothing_more() {
    assert_eq!(cost(Counting(Interest::DEFAULT)), 1);
    assert_eq!(cost((Counting(Interest::DEFAULT), Counting(Interest::DEFAULT))), 1);
}

/// Changes nothing. Not of size zero, because axum clones a layer into a box for each request.
#[derive(Clone)]
struct Transparent(#[expect(dead_code, reason = "for its size")] Arc<()>);

impl<S> Layer<S> for Transparent {
    type Service = S;

    fn layer(&self, inner: S) -> S {
        inner
    }
}

/// Both bodies are boxed once more, and axum applies the layer anew for each request: that has to be free.
#[test]
fn inside_an_axum_router_the_layer_allocates_three_times_at_most() {
    async fn route(request: axum::extract::Request) -> Response<axum::body::Body> {
        let Ok(response) = handler(request).await;
        response.map(axum::body::Body::new)
    }
    let router = || -> Router { Router::new().route("/path", post(route)) };
    let layer = LifecycleLayer::new(Counting(Interest::DEFAULT));
    let mut bare = router().layer(Transparent(Arc::default()));
    let mut unobserved = router().layer(LifecycleLayer::new(()));
    let mut observed = router().layer(layer.clone());
    let body = || axum::body::Body::new(Frames::default());
    for _ in 0..3 {
        let bare = exchange(&mut bare, body());
        assert!(exchange(&mut observed, body()) <= bare + 3);
        assert!(exchange(&mut unobserved, body()) <= bare + 2, "the bodies' boxes");
    }
    assert_eq!(layer.observer_panics(), 0);
}
