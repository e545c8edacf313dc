//! What a client is told when something did not work.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use uuid::Uuid;

use crate::store::StoreError;

/// An error of the API: a status, a code that programs read, and a message for people.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No token, or none that is valid now.
    #[error("a valid bearer token is needed: {0}")]
    Unauthorized(&'static str),
    /// A valid token without the right.
    #[error("this needs a service token")]
    Forbidden,
    /// There is nothing by this path.
    #[error("there is nothing here; see the README for what there is")]
    NoSuchPath,
    /// There is something by this path, but not for this method.
    #[error("this path does not take this method")]
    MethodNotAllowed,
    /// A parameter that is needed is missing.
    #[error("the parameter `{0}` is missing")]
    MissingParam(&'static str),
    /// A parameter that cannot be understood, or is out of bounds.
    #[error("{0}")]
    InvalidParam(String),
    /// The client did not send its request in time.
    #[error("the request took too long to arrive")]
    RequestTimeout,
    /// No event has had this id.
    #[error("no event of this queue has had the id that `last_event_id` says")]
    UnknownEventId,
    /// No such queue, or somebody else's: the same answer for both.
    #[error("there is no such queue: register a new one")]
    BadQueue,
    /// Another poll of the same queue came later.
    #[error("another poll of this queue has taken its place")]
    Superseded,
    /// What was asked for was acknowledged before.
    #[error(
        "events after `last_event_id` were acknowledged before, and are gone: go on from the newest you have seen"
    )]
    Pruned,
    /// The queue got more than it may keep.
    #[error(
        "the queue had more unacknowledged events than it may keep, and has ended: register a new one"
    )]
    Overflowed,
    /// More bytes than an event may have.
    #[error("{0}")]
    TooLarge(String),
    /// The user has as many queues as allowed.
    #[error("you have {0} queues, which is the limit: delete one, or wait until one expires")]
    TooManyQueues(usize),
    /// Polls that acknowledge nothing, too fast.
    #[error(
        "too many polls that acknowledge nothing: poll again later, with the newest `last_event_id`"
    )]
    SlowDown,
    /// The server stops.
    #[error("this server is about to stop: try again")]
    Draining,
    /// As many polls are parked as may be.
    #[error("as many polls are parked as may be: try again later")]
    ParkFull,
    /// The store cannot be reached now.
    #[error("the store is not available: try again later")]
    StoreUnavailable,
    /// A defect. Its text is for the log alone.
    #[error("{0}")]
    Internal(String),
}

#[derive(Serialize)]
struct Body<'a> {
    success: bool,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Uuid>,
}

impl ApiError {
    /// The code, for programs.
    pub fn code(&self) -> &'static str {
        self.kind().1
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.kind().0
    }

    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized(_) => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "FORBIDDEN"),
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            Self::MissingParam(_) => (StatusCode::BAD_REQUEST, "MISSING_PARAM"),
            Self::InvalidParam(_) => (StatusCode::BAD_REQUEST, "INVALID_PARAM"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT"),
            Self::UnknownEventId => (StatusCode::BAD_REQUEST, "UNKNOWN_EVENT_ID"),
            Self::BadQueue => (StatusCode::NOT_FOUND, "BAD_EVENT_QUEUE_ID"),
            Self::Superseded => (StatusCode::CONFLICT, "POLL_SUPERSEDED"),
            Self::Pruned => (StatusCode::GONE, "EVENTS_PRUNED"),
            Self::Overflowed => (StatusCode::GONE, "QUEUE_OVERFLOWED"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "EVENT_TOO_LARGE"),
            Self::TooManyQueues(_) => (StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_QUEUES"),
            Self::SlowDown => (StatusCode::TOO_MANY_REQUESTS, "SLOW_DOWN"),
            Self::Draining => (StatusCode::SERVICE_UNAVAILABLE, "DRAINING"),
            Self::ParkFull => (StatusCode::SERVICE_UNAVAILABLE, "PARK_FULL"),
            Self::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "STORE_UNAVAILABLE"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
        }
    }

    /// When to come again, in seconds. At random where many are refused together, so that they do not come back together.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Superseded => Some(3),
            Self::SlowDown => Some(1),
            Self::Draining | Self::ParkFull | Self::StoreUnavailable => Some(random_between(1, 5)),
            _ => None,
        }
    }
}

fn random_between(least: u64, most: u64) -> u64 {
    least + Uuid::new_v4().as_u64_pair().1 % (most - least + 1)
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::BadQueue,
            StoreError::TooManyQueues(limit) => Self::TooManyQueues(limit),
            StoreError::Pruned(_) => Self::Pruned,
            StoreError::UnknownEvent(_) => Self::UnknownEventId,
            StoreError::Overflowed => Self::Overflowed,
            StoreError::Superseded => Self::Superseded,
            StoreError::Unavailable(why) => {
                // The store says once that it is away, and once that it is back.
                tracing::debug!(%why, "the store is not available");
                Self::StoreUnavailable
            }
            StoreError::Failed(why) => Self::Internal(why),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = self.code();
        let mut body = Body { success: false, code, message: "", request_id: None };
        let mut message = self.to_string();
        if let Self::Internal(why) = &self {
            let id = Uuid::new_v4();
            tracing::error!(request_id = %id, %why, "a request failed by a defect");
            body.request_id = Some(id);
            "the server failed; its log says more by this request id".clone_into(&mut message);
        }
        body.message = &message;
        let mut response = (self.status(), Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if matches!(self, Self::Unauthorized(_)) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
