//! The handle as an extractor of axum.

use std::{convert::Infallible, error::Error, fmt};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};

use super::ExchangeHandle;

/// There is no [`ExchangeHandle`]: no layer that has handles is around the handler.
///
/// As a response it is a 500, because the program is put together wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingHandle;

/// Refused with a 500 that names the missing layer. `Option<ExchangeHandle>` is never refused.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_lifecycle::{ExchangeHandle, LifecycleLayer};
///
/// let app: Router = Router::new()
///     .route("/", get(async |exchange: ExchangeHandle| exchange.id().to_string()))
///     .layer(LifecycleLayer::new(()).with_handle());
/// ```
impl<S: Sync> FromRequestParts<S> for ExchangeHandle {
    type Rejection = MissingHandle;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingHandle> {
        parts.extensions.get::<Self>().cloned().ok_or(MissingHandle)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for ExchangeHandle {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

impl IntoResponse for MissingHandle {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl fmt::Display for MissingHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no `ExchangeHandle` in the request: add `.layer(LifecycleLayer::new(..).with_handle())` \
             of tower-lifecycle around this route",
        )
    }
}

impl Error for MissingHandle {}
