//! A tower service that does what a row of a table says, and hyper's own server around any service, on loopback.

use std::{
    error::Error,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::{AbortHandle, JoinSet},
};
use tower::{Service, ServiceExt};
use tower_http::services::ServeFile;

pub type BoxError = Box<dyn Error + Send + Sync>;
pub type AnyBody = UnsyncBoxBody<Bytes, BoxError>;
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The file that [`Payload::File`] serves, in frames of a thousand bytes.
pub const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/server.rs");

/// What a handler does with the request body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Read {
    /// Drops it at once.
    Not,
    /// To its end, before anything else.
    All,
    /// One frame, then drops it.
    Frame,
    /// Holds it until it answers.
    Hold,
    /// Holds it while it is parked, then reads it to its end.
    Late,
    /// Gives it to a task, which reads it when it is released.
    Task,
}

/// What a handler comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    Reply,
    ServiceError,
    Panic,
    PanicInCall,
}

#[derive(Clone, Copy, Debug)]
pub enum Payload {
    Full(&'static str),
    /// That many bytes in one frame.
    Big(usize),
    Empty,
    /// Of unknown length, as far as the body tells.
    Stream(&'static [Step]),
    /// Answers by `ServeFile`: status and headers are its own.
    File,
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Data(&'static str),
    Trailers,
    Error,
    Panic,
    /// Pending for ever.
    Hang,
}

/// What the service of a row does.
#[derive(Clone, Copy, Debug)]
pub struct Handler {
    read: Read,
    park: bool,
    ending: Ending,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    payload: Payload,
}

/// What the handler tells the client's script, and the script the handler.
#[derive(Debug, Default)]
pub struct Signals {
    /// A handler has read a frame of its request.
    pub read: Notify,
    /// A handler is parked.
    pub parked: Notify,
    /// A parked handler was dropped.
    pub left: Notify,
    /// A parked handler, or a task that holds a request body, may go on.
    pub release: Notify,
    /// A task has read a request body to its end.
    pub drained: Notify,
    /// How many handlers have ended, or were dropped.
    over: watch::Sender<usize>,
    /// What handlers read, in words.
    tape: Mutex<Vec<String>>,
}

/// The service of a row.
#[derive(Clone, Debug)]
pub struct App {
    handler: Handler,
    signals: Arc<Signals>,
}

/// hyper's server, until it is dropped.
#[derive(Debug)]
pub struct Server {
    pub addr: SocketAddr,
    task: AbortHandle,
}

/// A body of unknown length, as far as it tells.
pub struct Script(std::slice::Iter<'static, Step>);

impl Script {
    pub fn new(steps: &'static [Step]) -> Self {
        Self(steps.iter())
    }
}

// ===== impl Signals =====

impl Signals {
    /// What handlers read of their requests so far.
    pub fn read_so_far(&self) -> Vec<String> {
        self.tape.lock().unwrap().clone()
    }

    /// Waits until that many handlers have ended.
    pub async fn over(&self, count: usize) {
        self.over.subscribe().wait_for(|over| *over >= count).await.unwrap();
    }

    async fn frame(&self, body: &mut AnyBody) -> Option<Result<Frame<Bytes>, BoxError>> {
        let frame = body.frame().await;
        let said = match &frame {
            Some(Ok(frame)) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => format!("data {}", data.len()),
                (_, trailers) => format!("trailers {trailers:?}"),
            },
            Some(Err(error)) => format!("error {error:?}"),
            None => "none".to_owned(),
        };
        self.tape.lock().unwrap().push(said);
        if let Some(Ok(_)) = frame {
            self.read.notify_one();
        }
        frame
    }
}

// ===== impl Handler =====

impl Handler {
    pub const fn reply(status: u16, payload: Payload) -> Self {
        Self { read: Read::Not, park: false, ending: Ending::Reply, status, headers: &[], payload }
    }

    pub const fn ends(ending: Ending) -> Self {
        Self { ending, ..Self::reply(200, Payload::Empty) }
    }

    pub const fn read(self, read: Read) -> Self {
        Self { read, ..self }
    }

    pub const fn parked(self) -> Self {
        Self { park: true, ..self }
    }

    pub const fn headers(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    async fn answer(
        self,
        request: Request<AnyBody>,
        signals: Arc<Signals>,
    ) -> Result<Response<AnyBody>, BoxError> {
        let (parts, mut body) = request.into_parts();
        let mut held = None;
        let mut read = Ok(());
        match self.read {
            Read::Not => drop(body),
            Read::All => {
                read = read_all(&mut body, &signals).await;
                drop(body);
            }
            Read::Frame => {
                signals.frame(&mut body).await.transpose()?;
                drop(body);
            }
            Read::Hold | Read::Late => held = Some(body),
            Read::Task => {
                let signals = Arc::clone(&signals);
                tokio::spawn(async move {
                    signals.release.notified().await;
                    let _ = read_all(&mut body, &signals).await;
                    drop(body);
                    signals.drained.notify_one();
                });
            }
        }
        if self.park {
            let leaves = Leaves(Some(&signals.left));
            signals.parked.notify_one();
            signals.release.notified().await;
            leaves.forget();
        }
        if let (Read::Late, Some(body)) = (self.read, &mut held) {
            read = read_all(body, &signals).await;
        }
        drop(held);
        if read.is_err() {
            return Ok(response(StatusCode::BAD_REQUEST, boxed(Full::from("bad"))));
        }
        match self.ending {
            Ending::ServiceError => return Err("the service failed".into()),
            Ending::Panic | Ending::PanicInCall => panic!("the handler panics"),
            Ending::Reply => {}
        }
        let body = match self.payload {
            Payload::Full(text) => boxed(Full::from(text)),
            Payload::Big(size) => boxed(Full::from(vec![b'x'; size])),
            Payload::Empty => boxed(Empty::<Bytes>::new()),
            Payload::Stream(steps) => Script::new(steps).boxed_unsync(),
            Payload::File => {
                let request = Request::from_parts(parts, Empty::<Bytes>::new());
                let file = ServeFile::new(FILE).with_buf_chunk_size(1000);
                return Ok(file.oneshot(request).await?.map(boxed));
            }
        };
        let mut response = response(StatusCode::from_u16(self.status)?, body);
        for (name, value) in self.headers {
            let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
            response.headers_mut().insert(name, value);
        }
        Ok(response)
    }
}

/// Tells that a handler has ended.
struct Ends(Arc<Signals>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.over.send_modify(|over| *over += 1);
    }
}

/// Tells that a parked handler was dropped.
struct Leaves<'a>(Option<&'a Notify>);

impl Leaves<'_> {
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        if let Some(left) = self.0 {
            left.notify_one();
        }
    }
}

async fn read_all(body: &mut AnyBody, signals: &Signals) -> Result<(), BoxError> {
    while let Some(frame) = signals.frame(body).await {
        frame?;
    }
    Ok(())
}

fn response(status: StatusCode, body: AnyBody) -> Response<AnyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

pub fn boxed<B>(body: B) -> AnyBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

// ===== impl App =====

impl App {
    pub fn new(handler: Handler, signals: &Arc<Signals>) -> Self {
        Self { handler, signals: Arc::clone(signals) }
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (handler, ends) = (self.handler, Ends(Arc::clone(&self.signals)));
        assert!(handler.ending != Ending::PanicInCall, "the service panics in call");
        let request = request.map(boxed);
        Box::pin(async move {
            // Named, so that it is moved in and dropped with the future, polled or not.
            let ends = ends;
            handler.answer(request, Arc::clone(&ends.0)).await
        })
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(step) = self.0.as_slice().first() else { return Poll::Ready(None) };
        match *step {
            // Not consumed: it is the last.
            Step::Hang => return Poll::Pending,
            _ => self.0.next(),
        };
        Poll::Ready(Some(match *step {
            Step::Data(text) => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
            Step::Trailers => {
                let sum = (HeaderName::from_static("x-sum"), HeaderValue::from_static("1"));
                Ok(Frame::trailers(HeaderMap::from_iter([sum])))
            }
            Step::Error => Err("the response body failed".into()),
            Step::Panic => panic!("the response body panics"),
            Step::Hang => return Poll::Pending,
        }))
    }
}

// ===== impl Server =====

impl Server {
    /// Serves HTTP/1 and HTTP/2 on a port of loopback, without `date`, so that answers can be compared.
    pub async fn start<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let accept = async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let service = TowerToHyperService::new(service.clone());
                connections.spawn(async move {
                    let mut builder = auto::Builder::new(TokioExecutor::new());
                    builder.http1().auto_date_header(false);
                    builder.http2().auto_date_header(false);
                    let served =
                        builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
                    // How a connection ends is what the tests look at from the other side.
                    drop(served);
                });
            }
        };
        let task = tokio::spawn(accept).abort_handle();
        Self { addr, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
