//! The service of one connection: finds the handler of a request, and makes its answer a response.

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Response, Version};
use http_body::Body;
use hyper::upgrade::OnUpgrade;
use tokio::sync::{mpsc::UnboundedSender, oneshot};
use tower::Service;
use tower_lifecycle::ExchangeHandle;

use super::{
    BoxError, BoxFuture, Control,
    body::{AnyBody, Making, boxed},
    connection::Order,
    handler::Handler,
    output::{Output, Reply},
    request::Input,
    upgrade,
};
use crate::{
    journal::Journal,
    scenario::{Op, Payload, Scenario},
};

/// The service of one connection.
#[derive(Clone)]
pub(super) struct App {
    scenario: Arc<Scenario>,
    journal: Journal,
    control: Control,
    link: Option<UnboundedSender<Order>>,
    busy: Busy,
}

/// How many requests of a connection are worked on.
#[derive(Clone, Default)]
pub(super) struct Busy(Arc<AtomicUsize>);

/// One of them.
pub(super) struct Work(Busy);

// ===== impl App =====

impl App {
    pub(super) fn new(scenario: Arc<Scenario>, journal: Journal, control: Control) -> Self {
        Self { scenario, journal, control, link: None, busy: Busy::default() }
    }

    /// For a connection, which takes orders by `link`.
    pub(super) fn on(&self, link: UnboundedSender<Order>) -> Self {
        Self { link: Some(link), busy: Busy::default(), ..self.clone() }
    }

    pub(super) fn busy(&self) -> &Busy {
        &self.busy
    }

    /// What Node's server answers itself, before there is a handler, and hyper leaves to the application.
    fn refuses<B>(&self, request: &Request<B>) -> Option<Vec<Op>> {
        let headers = request.headers();
        let close = Op::SetHeader { name: "connection".to_owned(), value: "close".into() };
        let rejects = self.scenario.server.check_continue.as_deref() == Some("reject");
        if request.version() == Version::HTTP_11 && !headers.contains_key("host") {
            return Some(vec![close, Op::Status { status: 400 }, Op::End(Payload::empty())]);
        }
        let known = headers.get("expect")?.as_bytes().eq_ignore_ascii_case(b"100-continue");
        let refusal = [Op::Status { status: 417 }, Op::End(Payload::empty())];
        match known {
            // The client may not send what it asked about, so this is the end of the connection.
            true if rejects => Some([close].into_iter().chain(refusal).collect()),
            true => None,
            false => Some(refusal.into()),
        }
    }

    /// What is done with a request, and whether it is for the raw connection.
    fn ops_for<B>(&self, request: &Request<B>) -> (Vec<Op>, bool) {
        let server = &self.scenario.server;
        let raw = match request.method() {
            &Method::CONNECT => server.connect.as_ref(),
            _ => server.upgrade.as_ref().filter(|_| request.headers().contains_key("upgrade")),
        };
        match raw {
            Some(ops) => (ops.clone(), true),
            None => (self.scenario.ops_of(request.uri().path()), false),
        }
    }
}

impl<B> Service<Request<B>> for App
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnyBody>;
    type Error = BoxError;
    type Future = BoxFuture<Result<Response<AnyBody>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let handle = request.extensions().get::<ExchangeHandle>();
        let id = handle.expect("the layer puts a handle into each request").id();
        let page = self.journal.page(id);
        let (mut ops, raw) = self.ops_for(&request);
        if raw {
            let connection = request.extensions_mut().remove::<OnUpgrade>();
            return Box::pin(future::ready(upgrade::accept(ops, connection, page)));
        }
        if let Some(refusal) = self.refuses(&request) {
            ops = refusal;
        } else if self.scenario.server.check_continue.is_some() {
            ops.insert(0, Op::Continue);
        }
        page.tell("app.start");
        // HTTP/1 drops the body of an answer to HEAD, HTTP/2 leaves that to the service.
        let bodiless = request.method() == Method::HEAD && request.version() == Version::HTTP_2;
        let (sender, reply) = oneshot::channel();
        let handler = Handler::new(
            page.clone(),
            Input::new(boxed(request.into_body()), page),
            Output::new(sender, bodiless),
            self.scenario.server.limit(|limits| limits.request_timeout),
            self.control.clone(),
            self.link.clone(),
        );
        let work = self.busy.work();
        let working = async move {
            let _work = work;
            handler.run(ops).await
        };
        Box::pin(respond(Making::new(working), reply))
    }
}

/// Runs a handler up to its answer. What it does after the head becomes the body, and after the end a task.
async fn respond(
    mut making: Making,
    mut reply: oneshot::Receiver<Reply>,
) -> Result<Response<AnyBody>, BoxError> {
    let reply = future::poll_fn(|cx| {
        making.poll(cx);
        reply.poll_unpin(cx)
    });
    Ok(match reply.await {
        Ok(Reply::Head(head)) => head.map(|frames| making.into_body(frames)),
        Ok(Reply::Whole(response)) => {
            if let Some(rest) = making.into_rest() {
                tokio::spawn(rest);
            }
            response
        }
        Err(_) => return Err(making.into_failure()),
    })
}

// ===== impl Busy =====

impl Busy {
    pub(super) fn is_idle(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn work(&self) -> Work {
        self.0.fetch_add(1, Ordering::Relaxed);
        Work(self.clone())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
