//! A server on loopback whose handlers do what a situation asks for.

use std::{future::pending, net::SocketAddr, panic::panic_any, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use http_body_util::BodyExt;
use tokio::{net::TcpListener, sync::Semaphore, task::AbortHandle};
use tower_lifecycle::{
    ExchangeHandle, LifecycleLayer, Observer, RouteLayer, Server,
    testing::{MockBody, PANIC, Step},
};

/// How the layer is joined to the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seam {
    /// `axum::serve` with the listener and the service wrapped.
    Axum,
    /// [`Server`].
    Server,
    /// Not at all: a layer of the router under `axum::serve`.
    None,
}

/// Until it is dropped. Connections of `axum::serve` outlive it.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) addr: SocketAddr,
    /// A permit for each handler that waits for its client.
    pub(crate) waiting: Arc<Semaphore>,
    task: AbortHandle,
}

impl Seam {
    pub(crate) const ALL: [Self; 3] = [Self::Axum, Self::Server, Self::None];
}

impl Site {
    pub(crate) async fn serve<O: Observer>(seam: Seam, observer: O) -> Self {
        let lifecycle =
            LifecycleLayer::new(observer).known_error::<axum::Error>().hyper_errors().with_handle();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let waiting = Arc::new(Semaphore::new(0));
        let app = app(Arc::clone(&waiting));
        let task = match seam {
            Seam::Axum => tokio::spawn(async move {
                let listener = lifecycle.listener(listener);
                axum::serve(listener, lifecycle.make_service(app.layer(RouteLayer::new()))).await
            }),
            Seam::Server => tokio::spawn(async move {
                Server::new(listener, lifecycle).serve(app.layer(RouteLayer::new())).await
            }),
            Seam::None => tokio::spawn(async move {
                let app = app.layer(lifecycle);
                let app = app.into_make_service_with_connect_info::<SocketAddr>();
                axum::serve(listener, app).await
            }),
        };
        Self { addr, waiting, task: task.abort_handle() }
    }

    /// Until one handler more waits for its client.
    pub(crate) async fn waits(&self) {
        self.waiting.acquire().await.unwrap().forget();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Waiting = State<Arc<Semaphore>>;

pub(crate) fn app(waiting: Arc<Semaphore>) -> Router {
    Router::new()
        .route("/users/{id}", any(user))
        .route("/fails", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/empty", get(async || StatusCode::NO_CONTENT))
        .route("/stream", get(async || Body::new(MockBody::stream(3))))
        .route("/sse", get(async || typed("text/event-stream; charset=utf-8", MockBody::stream(3))))
        .route("/frames", get(async || typed("multipart/x-mixed-replace", MockBody::stream(3))))
        .route("/parked", get(parked))
        .route("/breaks", get(async || Body::new(MockBody::fails_after(1))))
        .route("/breaks-500", get(breaks_500))
        .route("/short", get(short))
        .route("/waits", get(waits))
        .route("/endless", get(endless))
        .route(
            "/endless-500",
            get(async |state| (StatusCode::INTERNAL_SERVER_ERROR, endless(state).await)),
        )
        .route("/endless-sse", get(async || typed("text/event-stream", MockBody::hangs_after(1))))
        .route("/upload", post(upload))
        .route("/panics", get(async || -> StatusCode { panic_any(PANIC) }))
        .route("/body-panics", get(async || Body::new(MockBody::panics_after(1))))
        .route("/upgrades", get(upgrades))
        .fallback(fallback)
        .with_state(waiting)
}

async fn user(Path(id): Path<u32>) -> Response {
    if id == 0 { StatusCode::NOT_FOUND.into_response() } else { "hello".into_response() }
}

fn typed(kind: &'static str, body: MockBody) -> Response {
    ([(header::CONTENT_TYPE, kind)], Body::new(body)).into_response()
}

async fn parked(exchange: ExchangeHandle) -> &'static str {
    exchange.mark("parked");
    "nothing new"
}

async fn breaks_500() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, Body::new(MockBody::fails_after(1))).into_response()
}

/// Declares three times what it has.
async fn short() -> Response {
    ([(header::CONTENT_LENGTH, "15")], Body::new(MockBody::stream(1))).into_response()
}

async fn waits(State(waiting): Waiting) {
    waiting.add_permits(1);
    pending::<()>().await;
}

async fn endless(State(waiting): Waiting) -> Body {
    waiting.add_permits(1);
    Body::new(MockBody::new(&[Step::Data(5), Step::Never]).streamed())
}

/// Reads it all, however it ends.
async fn upload(State(waiting): Waiting, mut body: Body) -> StatusCode {
    while let Some(frame) = body.frame().await {
        waiting.add_permits(1);
        if frame.is_err() {
            return StatusCode::BAD_REQUEST;
        }
    }
    StatusCode::OK
}

async fn upgrades() -> Response {
    let head = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "echo")];
    (StatusCode::SWITCHING_PROTOCOLS, head).into_response()
}

async fn fallback(request: Request) -> StatusCode {
    if request.method() == Method::CONNECT { StatusCode::OK } else { StatusCode::NOT_FOUND }
}
