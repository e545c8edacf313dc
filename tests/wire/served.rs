//! One connection, served bare or through a seam, and what both of its ends see of it.

use std::{convert::Infallible, sync::Arc};

use axum::{Router, extract::Request, serve::ListenerExt};
use http::{HeaderValue, header::DATE};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tower::{ServiceExt, service_fn};
use tower_lifecycle::{LifecycleLayer, conn::Transport, inflight::InFlight};

use crate::{
    support::{
        client::{
            Act::{self, Close, Fin, ReadToEnd, Reset},
            Client, Received,
        },
        rows::Row,
        seams::{Builder, Seam, builder},
        server::{App, BoxError, Handler, Signals},
    },
    tally::Tally,
};

pub(crate) type Layer = LifecycleLayer<(Option<Tally>, Option<InFlight>)>;

/// What a service and its client do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) handler: Handler,
    pub(crate) client: &'static [Act],
    pub(crate) exchanges: usize,
}

/// What both ends of a connection saw of it.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) received: Received,
    /// What the handlers read.
    pub(crate) read: Vec<String>,
    /// What hyper's connection came to, an error with its kind and its sources. axum tells nobody.
    pub(crate) result: Option<String>,
}

/// The layer in each way in which it may stand beside a connection.
pub(crate) fn layers(tally: &Tally) -> [(&'static str, Layer); 5] {
    let counts = LifecycleLayer::new((Some(tally.clone()), None)).hyper_errors();
    let knows = LifecycleLayer::new((None, Some(InFlight::new()))).with_handle();
    [
        ("all hooks", counts.clone()),
        ("handles", counts.clone().with_handle()),
        ("cancels", counts.with_handle().cancel_on_disconnect()),
        ("what is open", knows),
        ("nothing", LifecycleLayer::new((None, None))),
    ]
}

// ===== impl Case =====

impl Case {
    /// The [`layers`] that are to change nothing: with a client that leaves, cancelling is to change something.
    pub(crate) fn layers(&self, tally: &Tally) -> impl Iterator<Item = (&'static str, Layer)> {
        let leaves = self.client.iter().any(|act| matches!(act, Fin | Close | Reset));
        layers(tally).into_iter().filter(move |(name, _)| !leaves || *name != "cancels")
    }

    /// Plays it over one connection to hyper, bare or through a seam that is driven.
    pub(crate) async fn over_hyper(
        self,
        builder: Builder,
        through: Option<(Seam, &Layer)>,
    ) -> Outcome {
        let signals = Arc::default();
        let app = App::new(self.handler, &signals);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let through = through.map(|(seam, layer)| (seam, layer.clone()));
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            serve(&builder, stream, app, through).await
        });
        let received = self.play(Client::connect(addr).await, &signals).await;
        let result = match served.await {
            Ok(Ok(())) => "ok".to_owned(),
            Ok(Err(error)) => format!("{error:?}"),
            Err(panic) => {
                assert!(panic.is_panic());
                "panicked".to_owned()
            }
        };
        Outcome { received, read: signals.read_so_far(), result: Some(result) }
    }

    /// Plays it over one connection to `axum::serve`, bare or through its seam. The service must not fail.
    pub(crate) async fn over_axum(self, through: Option<&Layer>) -> Outcome {
        let signals = Arc::default();
        let app = App::new(self.handler, &signals);
        let service = service_fn(move |request: Request| {
            let answer = app.clone().oneshot(request);
            async {
                let mut response = answer.await.expect("it does not fail");
                // axum always sends one, and this is always the same.
                response.headers_mut().insert(DATE, HeaderValue::from_static("today"));
                Ok::<_, Infallible>(response)
            }
        });
        let app: Router = Router::new().fallback_service(service);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        let served = match through.cloned() {
            None => tokio::spawn(async { axum::serve(listener, app).await }),
            Some(layer) => tokio::spawn(async move {
                axum::serve(layer.listener(listener), layer.make_service(app)).await
            }),
        };
        let received = self.play(Client::connect(addr).await, &signals).await;
        served.abort();
        Outcome { received, read: signals.read_so_far(), result: None }
    }

    /// Plays the client's script, and then, if it is still there, sees how the connection ends.
    async fn play(&self, mut client: Client, signals: &Signals) -> Received {
        client.play(self.client, signals).await;
        signals.over(self.exchanges).await;
        if !self.client.iter().any(|act| matches!(act, Close | Reset | ReadToEnd)) {
            client.play(&[Fin, ReadToEnd], signals).await;
        }
        client.received().clone()
    }
}

impl From<&Row> for Case {
    fn from(row: &Row) -> Self {
        Self { handler: row.handler, client: row.client, exchanges: row.exchanges.len() }
    }
}

/// What hyper says of one connection, bare or through a seam that is driven.
pub(crate) async fn serve<T>(
    builder: &Builder,
    stream: T,
    app: App,
    through: Option<(Seam, Layer)>,
) -> Result<(), BoxError>
where
    T: Transport + AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match through {
        None => {
            let service = TowerToHyperService::new(app);
            builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await
        }
        Some((Seam::Connection, layer)) => {
            let (io, service) = layer.connection(stream, app);
            let service = TowerToHyperService::new(service);
            builder.serve_connection_with_upgrades(io, service).await
        }
        Some((Seam::Serve, layer)) => layer.serve_connection(builder, stream, app).await,
        Some((Seam::Axum, _)) => panic!("`axum::serve` drives its connections itself"),
    }
}

/// hyper-util's defaults, without `date`, so that answers can be compared.
pub(crate) fn undated() -> Builder {
    let mut builder = builder();
    builder.http1().auto_date_header(false);
    builder.http2().auto_date_header(false);
    builder
}
