//! A service in memory that does what it is told, behind a drain and an observer.

use std::{
    future::{Future, pending},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use http::{Request, Response, Uri};
use tower::{Layer, Service, service_fn, util::BoxCloneService};
use tower_lifecycle::{
    LifecycleLayer, RequestBody, ResponseBody,
    inflight::{Drain, InFlight, drain::DrainBody},
    testing::{BoxError, MockBody},
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) type Reply = Response<ResponseBody<DrainBody<MockBody>>>;

/// A server without sockets.
pub(crate) struct Rig {
    pub(crate) inflight: InFlight,
    pub(crate) drain: Drain,
    service: BoxCloneService<Request<MockBody>, Reply, BoxError>,
}

impl Rig {
    /// `/never` is never answered, `/hang` and `/stream` by bodies of that kind, others at once.
    pub(crate) fn new() -> Self {
        Self::with(|drain| drain)
    }

    pub(crate) fn with(set: impl FnOnce(Drain) -> Drain) -> Self {
        Self::of(InFlight::new(), set)
    }

    pub(crate) fn of(inflight: InFlight, set: impl FnOnce(Drain) -> Drain) -> Self {
        let drain = set(Drain::new(&inflight));
        let service = service_fn(async |request: Request<RequestBody<MockBody>>| {
            if request.headers().contains_key("x-never") {
                pending::<()>().await;
            }
            Ok::<_, BoxError>(Response::new(match request.uri().path() {
                "/never" => pending().await,
                "/hang" => MockBody::hangs_after(1),
                "/stream" => MockBody::stream(2),
                _ => MockBody::empty(),
            }))
        });
        let layers = (LifecycleLayer::new(inflight.clone()), drain.layer());
        let service = BoxCloneService::new(layers.layer(service));
        Self { inflight, drain, service }
    }

    /// A request that is polled by hand.
    pub(crate) fn get(&self, path: &str) -> Polled<Result<Reply, BoxError>> {
        let request = Request::get(path).body(MockBody::empty()).unwrap();
        Polled::new(self.service.clone().call(request))
    }

    /// One that is not answered.
    pub(crate) fn hostile(&self, uri: Uri) -> Polled<Result<Reply, BoxError>> {
        let request = Request::get(uri).header("x-never", "1").body(MockBody::empty()).unwrap();
        let mut request = Polled::new(self.service.clone().call(request));
        assert!(request.poll().is_none());
        request
    }

    /// One that has been polled, and was not ready.
    pub(crate) fn begin(&self, path: &str) -> Polled<Result<Reply, BoxError>> {
        let mut request = self.get(path);
        assert!(request.poll().is_none(), "{path} is answered");
        request
    }
}

/// A future that is polled by hand, and counts how often it is woken.
pub(crate) struct Polled<T>(Pin<Box<dyn Future<Output = T> + Send>>, Arc<Wakes>);

#[derive(Debug, Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl<T> Polled<T> {
    pub(crate) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Box::pin(future), Arc::default())
    }

    pub(crate) fn poll(&mut self) -> Option<T> {
        self.poll_by(&self.waker())
    }

    pub(crate) fn poll_by(&mut self, waker: &Waker) -> Option<T> {
        match self.0.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.1))
    }

    pub(crate) fn wakes(&self) -> usize {
        self.1.0.load(Ordering::SeqCst)
    }
}
