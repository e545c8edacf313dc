//! Collectors that keep what they are told, over the protocol's generated types.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    routing::post,
};
use opentelemetry_proto::tonic::collector::{
    metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
};
use prost::Message;
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Request, Response, Status, service::Routes};

use super::told::Told;

/// Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    address: SocketAddr,
    kept: Kept,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Told>>);

impl Collector {
    /// OTLP over gRPC.
    pub(crate) async fn grpc() -> Self {
        Self::serve(|kept| {
            Routes::new(TraceServiceServer::new(kept.clone()))
                .add_service(MetricsServiceServer::new(kept))
                .into_axum_router()
        })
        .await
    }

    /// OTLP over HTTP, with protobuf.
    pub(crate) async fn http() -> Self {
        Self::serve(|kept| {
            Router::new()
                .route("/v1/traces", post(traces))
                .route("/v1/metrics", post(metrics))
                .with_state(kept)
        })
        .await
    }

    async fn serve(app: impl FnOnce(Kept) -> Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let kept = Kept::default();
        let served = axum::serve(listener, app(kept.clone()));
        let task = tokio::spawn(async move { served.await.expect("it never ends") });
        Self { address, kept, task }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn told(&self) -> Told {
        self.kept.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Kept {
    fn keep(&self, keep: impl FnOnce(&mut Told)) {
        keep(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

// ===== gRPC =====

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.keep(|told| told.traces.push(request.into_inner()));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Kept {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.keep(|told| told.metrics.push(request.into_inner()));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

// ===== HTTP =====

type Answer = Result<([(header::HeaderName, &'static str); 1], Vec<u8>), StatusCode>;

const PROTOBUF: &str = "application/x-protobuf";

async fn traces(State(kept): State<Kept>, headers: HeaderMap, body: Bytes) -> Answer {
    let request = decode(&headers, body)?;
    kept.keep(|told| told.traces.push(request));
    Ok(encode(&ExportTraceServiceResponse::default()))
}

async fn metrics(State(kept): State<Kept>, headers: HeaderMap, body: Bytes) -> Answer {
    let request = decode(&headers, body)?;
    kept.keep(|told| told.metrics.push(request));
    Ok(encode(&ExportMetricsServiceResponse::default()))
}

fn decode<M: Message + Default>(headers: &HeaderMap, body: Bytes) -> Result<M, StatusCode> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != PROTOBUF) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    M::decode(body).map_err(|_| StatusCode::BAD_REQUEST)
}

fn encode(message: &impl Message) -> ([(header::HeaderName, &'static str); 1], Vec<u8>) {
    ([(header::CONTENT_TYPE, PROTOBUF)], message.encode_to_vec())
}
