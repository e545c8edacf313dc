//! The client: visitors of all kinds, so that there is something to see.

use std::{borrow::Cow, convert::Infallible, error::Error, net::SocketAddr, time::Duration};

use axum::{
    body::{Body, HttpBody},
    http::{Request, Response, header},
};
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy;
use tokio::time::{sleep, timeout};
use tower::{Service, ServiceExt as _};
use tower_lifecycle::RequestHead;

/// What somebody comes for, and how they leave.
#[derive(Clone, Copy)]
enum Visit {
    /// Reads the answer to its end.
    Read { method: &'static str, template: &'static str, path: &'static str },
    /// Hangs up after the first chunk.
    Leave,
    /// Sends a body, and waits for the answer.
    Upload,
    /// Sends half a body, and gives up.
    GiveUp,
    /// Asks where nobody listens.
    Nobody,
}

/// One after the other, and then anew.
const ROUND: [Visit; 12] = [
    Visit::read("GET", "/users/{id}", "/users/42"),
    Visit::read("GET", "/users/{id}", "/users/7?sig=secret"),
    Visit::read("GET", "", "/no/such/page"),
    Visit::read("GET", "/fail", "/fail"),
    Visit::read("GET", "/slow", "/slow"),
    Visit::read("GET", "/stream", "/stream"),
    Visit::Leave,
    Visit::read("GET", "/events", "/events"),
    Visit::Upload,
    Visit::GiveUp,
    Visit::read("BREW", "/users/{id}", "/users/42"),
    Visit::Nobody,
];

const AT_ONCE: usize = 4;

/// How long an upload may take.
const PATIENCE: Duration = Duration::from_millis(250);

/// What a request is made of, for the name of its span. Who makes requests knows it; nobody else can.
#[derive(Clone, Copy)]
struct Template(&'static str);

pub(crate) fn template(head: &RequestHead<'_>) -> Option<Cow<'static, str>> {
    let Template(template) = *head.extensions.get()?;
    Some(template.into())
}

/// What `error.type` says of the client's errors: a few words, never their text.
pub(crate) fn error_type(error: &(dyn Error + 'static)) -> Option<&'static str> {
    error.downcast_ref::<legacy::Error>()?.is_connect().then_some("connect_error")
}

/// Makes so many requests; without an end if 0.
pub(crate) async fn visit<S, B>(client: S, server: SocketAddr, requests: usize)
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<Failed>> + Clone,
    B: HttpBody<Error: Into<Failed>> + Unpin,
{
    let most = if requests == 0 { usize::MAX } else { requests };
    let visits = stream::iter(ROUND.into_iter().cycle().take(most));
    visits
        .for_each_concurrent(AT_ONCE, async |visit| {
            // What came of it is told by its span.
            let _ = visit.pay(client.clone(), server).await;
        })
        .await;
}

type Failed = Box<dyn Error + Send + Sync>;

impl Visit {
    const fn read(method: &'static str, template: &'static str, path: &'static str) -> Self {
        Self::Read { method, template, path }
    }

    async fn pay<S, B>(self, client: S, server: SocketAddr) -> Result<(), Failed>
    where
        S: Service<Request<Body>, Response = Response<B>, Error: Into<Failed>>,
        B: HttpBody<Error: Into<Failed>> + Unpin,
    {
        let (method, template, path) = match self {
            Self::Read { method, template, path } => (method, template, path),
            Self::Leave => ("GET", "/stream", "/stream"),
            Self::Upload | Self::GiveUp => ("POST", "/upload", "/upload"),
            Self::Nobody => ("GET", "/users/{id}", "/users/42"),
        };
        let server = match self {
            // Port 1 is TCPMUX, which nobody has.
            Self::Nobody => SocketAddr::new(server.ip(), 1),
            _ => server,
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{server}{path}"))
            .header(header::USER_AGENT, "tower-lifecycle-example-otel")
            .extension(Template(template))
            .body(self.body())?;
        let answer = async { client.oneshot(request).await.map_err(Into::into) };
        match self {
            Self::Leave => {
                let _first = answer.await?.frame().await;
            }
            Self::GiveUp => {
                let _ = timeout(PATIENCE, answer).await;
            }
            Self::Read { .. } | Self::Upload | Self::Nobody => {
                answer.await?.collect().await.map_err(Into::into)?;
            }
        }
        Ok(())
    }

    fn body(self) -> Body {
        match self {
            Self::Upload => Body::from("all of it"),
            Self::GiveUp => Body::from_stream(stream::repeat("some of it, ").then(async |part| {
                sleep(Duration::from_millis(50)).await;
                Ok::<_, Infallible>(part)
            })),
            Self::Read { .. } | Self::Leave | Self::Nobody => Body::empty(),
        }
    }
}
