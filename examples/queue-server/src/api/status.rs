//! `GET /healthz` and `GET /metrics`: counts, no ids.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{error::ApiError, server::App};

/// 200 while it takes polls and can store events, 503 while it cannot.
pub(super) async fn healthz(State(app): State<App>) -> Response {
    let draining = app.queues.lot().is_draining();
    let store = app.queues.store().ready().await.is_ok();
    let ok = store && !draining;
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "success": ok,
        "store": if store { "ok" } else { "unavailable" },
        "draining": draining,
        "parked": app.queues.lot().parked(),
    });
    super::no_store((status, Json(body)).into_response())
}

/// The text format that Prometheus reads.
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, ApiError> {
    let text =
        app.metrics.encode(&app.queues).map_err(|error| ApiError::Internal(error.to_string()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(super::no_store(([(header::CONTENT_TYPE, kind)], text).into_response()))
}
