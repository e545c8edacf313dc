//! Bodies of requests: bounded in bytes and in time.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tower_lifecycle::park::{DrainError, drain_or_reject};

use crate::error::ApiError;

/// serde repeats what the client wrote, which may be long.
pub(super) fn invalid(what: &str, error: &serde_json::Error) -> ApiError {
    let error: String = error.to_string().chars().take(200).collect();
    ApiError::InvalidParam(format!("{what} is not as it should be: {error}"))
}

/// What is allowed of the body of a request.
#[derive(Clone, Copy, Debug)]
pub struct Bodies {
    /// Bytes of it.
    pub longest: usize,
    /// From its first byte to its last.
    pub slowest: Duration,
}

impl Bodies {
    /// A JSON object, whatever the request says of its type; `{}` where there is nothing.
    pub(super) async fn json<T: DeserializeOwned>(self, body: Body) -> Result<T, ApiError> {
        let bytes = self.bytes(body).await?;
        let text = if bytes.is_empty() { b"{}".as_slice() } else { &bytes };
        serde_json::from_slice(text).map_err(|error| invalid("the body", &error))
    }

    async fn bytes(self, body: Body) -> Result<Bytes, ApiError> {
        let collect = Limited::new(body, self.longest).collect();
        match timeout(self.slowest, collect).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(self.too_large()),
            Ok(Err(_)) => Err(ApiError::InvalidParam("the body broke off".to_owned())),
            Err(_) => Err(ApiError::RequestTimeout),
        }
    }

    /// Reads what nobody wants: while a part of a body is unread, hyper does not notice that a client leaves.
    pub(super) async fn discard(self, body: Body) -> Result<(), ApiError> {
        let limit = u64::try_from(self.longest).unwrap_or(u64::MAX);
        match timeout(self.slowest, drain_or_reject(body, limit)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(DrainError::TooLarge { .. })) => Err(self.too_large()),
            Ok(Err(_)) => Err(ApiError::InvalidParam("the body broke off".to_owned())),
            Err(_) => Err(ApiError::RequestTimeout),
        }
    }

    fn too_large(self) -> ApiError {
        ApiError::TooLarge(format!("the body has more than {} bytes", self.longest))
    }
}
