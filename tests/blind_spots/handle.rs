//! What a handle says of the watch, and that it says it in time to a task of its own.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream, UnixStream},
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tower::{Layer, Service};
use tower_lifecycle::{
    Evidence, ExchangeHandle, LifecycleLayer, Reason, Stage,
    conn::Transport,
    handle::{Blind, DisconnectWatch},
};

use crate::{
    rig::{Scene, Via, a_while, within},
    situations::{Hyper, SITUATIONS, Situation, WAYS, Way},
    support::server::BoxFuture,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const GET_AND_A_BYTE: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nG";

/// One connection that is served: its handlers hand out their handles, and wait to be released.
pub(crate) struct Served {
    handles: mpsc::UnboundedReceiver<ExchangeHandle>,
    release: Arc<Notify>,
    pub(crate) task: JoinHandle<()>,
}

impl Served {
    /// Through a seam.
    pub(crate) fn by<T: Transport>(stream: T) -> Self {
        Self::new(|parks| {
            let (io, service) = layer().connection(stream, parks);
            let service = TowerToHyperService::new(service);
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                drop(builder.serve_connection_with_upgrades(io, service).await);
            })
        })
    }

    /// With the layer alone.
    fn without_a_seam(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self::new(|parks| {
            let service = TowerToHyperService::new(layer().layer(parks));
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let io = TokioIo::new(stream);
                drop(builder.serve_connection_with_upgrades(io, service).await);
            })
        })
    }

    fn new(serve: impl FnOnce(Parks) -> JoinHandle<()>) -> Self {
        let (tell, handles) = mpsc::unbounded_channel();
        let release = Arc::new(Notify::new());
        let task = serve(Parks { tell, release: Arc::clone(&release) });
        Self { handles, release, task }
    }

    /// Of the next request.
    pub(crate) async fn handle(&mut self) -> ExchangeHandle {
        within(self.handles.recv()).await.expect("it is served")
    }

    /// What the handle of a first request says, and that it is over when the response is.
    async fn watch(mut self) -> DisconnectWatch {
        let handle = self.handle().await;
        let watch = handle.disconnect_watch();
        self.release.notify_one();
        assert_eq!(within(handle.closed()).await.reason, Reason::Complete);
        assert_eq!(handle.disconnect_watch(), DisconnectWatch::Blind(Blind::Over));
        watch
    }
}

/// Hands out its handle, and answers when it is released. It drops the body.
#[derive(Clone)]
struct Parks {
    tell: mpsc::UnboundedSender<ExchangeHandle>,
    release: Arc<Notify>,
}

impl<B> Service<Request<B>> for Parks {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { tell, release } = self.clone();
        let _ = tell.send(request.extensions().get().cloned().expect("the layer has handles"));
        Box::pin(async move {
            release.notified().await;
            Ok(Response::new(Full::from("ok")))
        })
    }
}

fn layer() -> LifecycleLayer<()> {
    LifecycleLayer::new(()).with_handle()
}

pub(crate) async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, client)
}

async fn sent<C: AsyncWrite + Unpin>(
    (serving, mut client): (Served, C),
    bytes: &[u8],
) -> (Served, C) {
    client.write_all(bytes).await.unwrap();
    (serving, client)
}

#[tokio::test]
async fn a_handle_says_whether_it_would_be_noticed_that_the_client_leaves() {
    let (server, client) = tcp().await;
    let (serving, _client) = sent((Served::by(server), client), GET).await;
    assert_eq!(serving.watch().await, DisconnectWatch::Armed, "TCP");

    let (server, client) = UnixStream::pair().unwrap();
    let (serving, _client) = sent((Served::by(server), client), GET).await;
    assert_eq!(serving.watch().await, DisconnectWatch::Armed, "a Unix socket");

    let (server, client) = duplex(1000);
    let (serving, _client) = sent((Served::by(server), client), GET).await;
    assert_eq!(
        serving.watch().await,
        DisconnectWatch::Blind(Blind::NotWatchable),
        "a duplex stream"
    );

    let (server, client) = tcp().await;
    let (serving, _client) = sent((Served::without_a_seam(server), client), GET).await;
    assert_eq!(serving.watch().await, DisconnectWatch::Blind(Blind::NoConnection), "no seam");
}

/// Its server always reads.
#[tokio::test]
async fn over_http2_any_stream_is_watched() {
    async fn watch(
        server: impl Transport,
        client: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> DisconnectWatch {
        let serving = Served::by(server);
        let (mut client, connection) = h2::client::handshake(client).await.unwrap();
        let connection = tokio::spawn(connection);
        let (response, _) = client.send_request(Request::new(()), true).unwrap();
        let watch = serving.watch().await;
        within(response).await.unwrap();
        connection.abort();
        watch
    }
    let (server, client) = tcp().await;
    assert_eq!(watch(server, client).await, DisconnectWatch::Armed);
    let (server, client) = duplex(1000);
    assert_eq!(watch(server, client).await, DisconnectWatch::Armed);
}

/// The claim to be blind is true, and no more than a claim about what nobody reads.
#[tokio::test]
async fn what_cannot_be_watched_is_seen_where_the_server_reads() {
    async fn left(bytes: &[u8]) -> (Served, ExchangeHandle) {
        let (server, client): (DuplexStream, _) = duplex(1000);
        let (mut serving, client) = sent((Served::by(server), client), bytes).await;
        let handle = serving.handle().await;
        drop(client);
        (serving, handle)
    }
    let (_served, handle) = left(GET).await;
    let disconnect = within(handle.disconnected()).await.map(|disconnect| disconnect.reason);
    assert_eq!(disconnect, Some(Reason::Disconnected));

    let (serving, handle) = left(GET_AND_A_BYTE).await;
    a_while().await;
    assert_eq!(handle.stage(), Stage::Handler);
    assert_eq!(handle.disconnect_watch(), DisconnectWatch::Blind(Blind::NotWatchable));
    serving.release.notify_one();
    let close = within(handle.closed()).await;
    assert_eq!((close.reason, close.stage), (Reason::Reset, Stage::Flush), "the write finds out");
    assert_eq!(within(handle.disconnected()).await.map(|disconnect| disconnect.reason), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_of_its_own_is_told_where_hyper_is_blind() {
    let blind = |situation: &&Situation| situation.hyper == Hyper::Blind && !situation.half_close;
    for situation in SITUATIONS.iter().filter(blind) {
        for way in WAYS {
            let mut scene = Scene::begin(*situation, false, Via::Axum, Some(layer())).await;
            let handle = scene.handle();
            let at = format!("{}, {way:?}", situation.name);
            assert_eq!(handle.disconnect_watch(), DisconnectWatch::Armed, "{at}");
            let task = tokio::spawn(handle.disconnected());
            scene.leave(way).await;
            let disconnect = within(task).await.unwrap().map(|gone| (gone.reason, gone.evidence));
            let reason = if way == Way::Reset { Reason::Reset } else { Reason::Disconnected };
            assert_eq!(disconnect, Some((reason, Evidence::Io)), "{at}");
            assert_eq!(handle.close_reason(), None, "{at}");
            scene.release();
            assert_eq!(
                within(handle.closed()).await.reason.is_complete(),
                way != Way::Reset,
                "{at}"
            );
        }
    }
}

/// As it is where hyper reads.
#[tokio::test]
async fn a_unix_client_that_closes_has_not_reset() {
    for bytes in [GET, GET_AND_A_BYTE] {
        let (server, client) = UnixStream::pair().unwrap();
        let (mut serving, client) = sent((Served::by(server), client), bytes).await;
        let handle = serving.handle().await;
        drop(client);
        let disconnect = within(handle.disconnected()).await.map(|disconnect| disconnect.reason);
        assert_eq!(disconnect, Some(Reason::Disconnected), "{}", bytes.escape_ascii());
    }
}
