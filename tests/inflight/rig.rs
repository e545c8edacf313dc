//! Exchanges in memory that a test holds open, moves on and lets go by hand.

use std::{future::pending, pin::Pin, time::Duration};

use http::{Request, Response};
use tokio::time::timeout;
use tower::{Layer, Service, service_fn};
use tower_lifecycle::{
    ExchangeHandle, LifecycleLayer, Observer, RequestBody, ResponseBody,
    testing::{BoxError, MockBody},
};

use crate::support::{
    panics::{boom, catch},
    polls::{poll_body, poll_once},
};

/// Nothing in a test takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the service does with a request that has it in its extensions.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Never any.
    None,
    /// The same, after this was marked.
    Marks(&'static [&'static str]),
    /// Asks for a frame of the request, and goes on when there is one.
    Reads(Box<Answer>),
    With(Response<MockBody>),
    Fails,
    Panics,
}

type Outcome = Result<Response<ResponseBody<MockBody>>, BoxError>;
type Waiting = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// An exchange that is held by its server.
pub(crate) enum Held {
    Future(Waiting),
    Body(ResponseBody<MockBody>),
    Over,
}

pub(crate) fn answer(status: u16, body: MockBody) -> Answer {
    Answer::With(Response::builder().status(status).body(body).unwrap())
}

pub(crate) fn request(method: &str, path: &str, answer: Answer) -> Request<MockBody> {
    let request = Request::builder().method(method).uri(path).extension(answer);
    request.body(MockBody::empty()).unwrap()
}

async fn serve(
    mut request: Request<RequestBody<MockBody>>,
) -> Result<Response<MockBody>, BoxError> {
    let mut answer = request.extensions().get::<Answer>().unwrap().clone();
    loop {
        answer = match answer {
            Answer::None => return pending().await,
            Answer::Marks(names) => {
                let handle = request.extensions().get::<ExchangeHandle>().unwrap();
                for name in names {
                    handle.mark(name);
                }
                Answer::None
            }
            Answer::Reads(then) => {
                use http_body_util::BodyExt as _;
                let _ = request.body_mut().frame().await;
                *then
            }
            Answer::With(response) => return Ok(response),
            Answer::Fails => return Err("fails".into()),
            Answer::Panics => boom(),
        }
    }
}

/// Sends `request` through `layer`, and polls once for the response.
pub(crate) fn send<O: Observer>(layer: &LifecycleLayer<O>, request: Request<MockBody>) -> Held {
    Held::Future(Box::pin(layer.layer(service_fn(serve)).call(request))).poll()
}

/// A `GET` that is not answered.
pub(crate) fn open<O: Observer>(layer: &LifecycleLayer<O>, path: &str) -> Held {
    send(layer, request("GET", path, Answer::None))
}

/// A whole exchange, with an empty response.
pub(crate) fn pass<O: Observer>(layer: &LifecycleLayer<O>, path: &str) {
    send(layer, request("GET", path, answer(200, MockBody::empty())));
}

impl Held {
    /// Polls once more; a panic is the end of it.
    pub(crate) fn poll(self) -> Self {
        match self {
            Self::Future(mut future) => match catch(|| poll_once(Pin::new(&mut future))) {
                Ok(std::task::Poll::Ready(Ok(response))) => Self::Body(response.into_body()),
                Ok(std::task::Poll::Pending) => Self::Future(future),
                _ => Self::Over,
            },
            Self::Body(mut body) => match catch(|| poll_body(&mut body)) {
                Ok(std::task::Poll::Ready(Some(Ok(_))) | std::task::Poll::Pending) => {
                    Self::Body(body)
                }
                _ => Self::Over,
            },
            Self::Over => Self::Over,
        }
    }

    /// Reads the response to its end.
    pub(crate) fn finish(mut self) {
        while !matches!(self, Self::Over) {
            self = self.poll();
        }
    }
}

/// What a test waits for, which is to come.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} does not come"))
}
