//! Routes: what the outermost layer cannot see.

use std::task::{Context, Poll};

use axum::extract::MatchedPath;
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::ExchangeHandle;

/// Layer that tells the exchange which route was chosen: its template, in [`Summary::route`](crate::Summary::route).
///
/// A layer around a router sees the path and not the route. This one goes inside, by `Router::layer`, and tells the exchange
/// of an outer layer that has [handles](crate::LifecycleLayer::with_handle). The first that is called counts.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::Body, extract::Request, routing::get};
/// use tower::{Layer, ServiceExt};
/// use tower_lifecycle::{Hooks, LifecycleLayer, RouteLayer};
///
/// let log = Hooks::new().on_close(|summary| assert_eq!(summary.route.as_deref(), Some("/users/{id}")));
/// let app: Router = Router::new()
///     .route("/users/{id}", get(async || "Hello"))
///     .layer(RouteLayer::new());
/// let service = LifecycleLayer::new(log).with_handle().layer(app);
/// service.oneshot(Request::get("/users/7").body(Body::empty())?).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RouteLayer;

/// Service of [`RouteLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Route<S> {
    inner: S,
}

impl RouteLayer {
    /// The layer.
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = Route<S>;

    fn layer(&self, inner: S) -> Route<S> {
        Route { inner }
    }
}

impl<S, B> Service<Request<B>> for Route<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let extensions = request.extensions();
        let route = extensions.get::<MatchedPath>();
        if let (Some(exchange), Some(route)) = (extensions.get::<ExchangeHandle>(), route) {
            exchange.set_route(route.as_str());
        }
        self.inner.call(request)
    }
}
