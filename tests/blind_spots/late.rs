//! Streams of HTTP/2 that begin when their connection is gone: hyper-util calls the service when a stream is first polled, in
//! a task of its own.

use std::{convert::Infallible, future::pending};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::rt::Executor;
use hyper_util::{server::conn::auto, service::TowerToHyperService};
use tokio::{net::TcpListener, sync::mpsc};
use tower::service_fn;
use tower_lifecycle::{
    LifecycleLayer, Reason,
    testing::{Client, Recorder},
};

use crate::{rig::within, support::server::BoxFuture};

/// Keeps the streams until the test runs them.
#[derive(Clone)]
struct Late(mpsc::UnboundedSender<BoxFuture<()>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Late {
    fn execute(&self, stream: F) {
        let _ = self.0.send(Box::pin(stream));
    }
}

#[tokio::test]
async fn a_connection_whose_streams_begin_late_closes_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = Client::connect(listener.local_addr().unwrap()).await.unwrap();
    for stream in [1, 3] {
        client.request(stream, "GET", "/", [], true).await.unwrap();
    }
    client.fin().await.unwrap();
    let recorder = Recorder::new();
    let parks = service_fn(async |_| pending::<Result<Response<Full<Bytes>>, Infallible>>().await);
    let (stream, _) = listener.accept().await.unwrap();
    let (io, service) = LifecycleLayer::new(recorder.clone()).connection(stream, parks);
    let (late, mut streams) = mpsc::unbounded_channel();
    let builder = auto::Builder::new(Late(late));
    let _ = within(builder.serve_connection(io, TowerToHyperService::new(service))).await;
    drop(builder);
    let mut begun = 0;
    while let Ok(stream) = streams.try_recv() {
        within(stream).await;
        begun += 1;
    }
    assert_eq!(begun, 2);
    let closes: Vec<_> = recorder.exchanges().iter().map(|exchange| exchange.reason()).collect();
    assert_eq!(closes, [Reason::Disconnected; 2]);
    assert_eq!(recorder.connections().len(), 1, "{:#?}", recorder.connections());
}
