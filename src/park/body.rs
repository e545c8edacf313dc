//! Reading what nobody wants, so that it is noticed when the client leaves.

use std::{error::Error, fmt, future::poll_fn, pin::pin};

use bytes::Buf;
use http_body::Body;

/// Reads `body` to its end and drops what it reads, if that is no more than `limit` bytes. How many it was.
///
/// To be called before a poll is parked: hyper does not notice that the client leaves while a part of the request's body is
/// unread, whether somebody holds it or has dropped it. A client that sends `Expect: 100-continue` and waits is told to go on by
/// the reading itself; not if its declared length is over the limit, because then nothing is read.
///
/// It waits for the client as long as it takes: put a timeout around it. Trailers are read and dropped, too.
///
/// ```
/// use std::time::Duration;
///
/// use axum::{extract::{Request, State}, http::StatusCode};
/// use tokio::time::timeout;
/// use tower_lifecycle::park::{DrainError, Lot, Outcome, drain_or_reject};
///
/// async fn poll(State(lot): State<Lot<&'static str>>, request: Request) -> Result<String, StatusCode> {
///     match timeout(Duration::from_secs(5), drain_or_reject(request.into_body(), 1024)).await {
///         Ok(Ok(_)) => {}
///         Ok(Err(DrainError::TooLarge { .. })) => return Err(StatusCode::PAYLOAD_TOO_LARGE),
///         Ok(Err(DrainError::Body(_))) => return Err(StatusCode::BAD_REQUEST),
///         Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
///     }
///     let slot = lot.park("news").map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
///     // …
/// #   match slot.wait(Duration::from_secs(30), async || Some("read".to_owned())).await {
/// #       Outcome::Woken(news) => Ok(news),
/// #       _ => Err(StatusCode::NO_CONTENT),
/// #   }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use axum::{Router, body::Body, routing::post};
/// # use tower::ServiceExt;
/// # let app: Router = Router::new().route("/", post(poll)).with_state(Lot::default());
/// # for (size, status) in [(0, 200), (1024, 200), (1025, 413)] {
/// #     let request = Request::post("/").body(Body::from(vec![0; size])).unwrap();
/// #     assert_eq!(app.clone().oneshot(request).await.unwrap().status(), status);
/// # }
/// # }
/// ```
///
/// # Errors
/// [`TooLarge`](DrainError::TooLarge), as soon as that is known: at once, if the body declares it. The rest is unread, so the
/// request is to be refused, not parked. [`Body`](DrainError::Body) when the body fails, as when the client leaves.
///
/// # Cancel safety
/// Dropping the future drops the body.
pub async fn drain_or_reject<B: Body>(body: B, limit: u64) -> Result<u64, DrainError<B::Error>> {
    let mut body = pin!(body);
    let mut read: u64 = 0;
    if body.size_hint().lower() > limit {
        return Err(DrainError::TooLarge { limit });
    }
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(DrainError::Body)?;
        let bytes = frame.data_ref().map_or(0, Buf::remaining);
        read = read.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if read > limit {
            return Err(DrainError::TooLarge { limit });
        }
    }
    Ok(read)
}

/// Why a body was not [read to its end](drain_or_reject).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainError<E> {
    /// It is larger than that: 413 is the answer.
    TooLarge {
        /// What would have been read at most, in bytes.
        limit: u64,
    },
    /// It failed.
    Body(E),
}

impl<E> fmt::Display for DrainError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => {
                write!(
                    f,
                    "the request's body is larger than {limit} bytes: send a smaller one, or none"
                )
            }
            Self::Body(_) => f.write_str("the request's body failed while it was read"),
        }
    }
}

impl<E: Error + 'static> Error for DrainError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TooLarge { .. } => None,
            Self::Body(error) => Some(error),
        }
    }
}
