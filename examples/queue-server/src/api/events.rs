//! `GET` and `DELETE /api/v1/events`.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::Version,
    response::{IntoResponse, Response},
};
use serde_json::json;
use tower_lifecycle::ExchangeHandle;

use super::{answer::answer, params::Params};
use crate::{auth::User, error::ApiError, queues::Ask, server::App};

pub(super) async fn poll(
    State(app): State<App>,
    User(user): User,
    params: Params,
    version: Version,
    exchange: Option<ExchangeHandle>,
    body: Body,
) -> Result<Response, ApiError> {
    let (queue, seen) = (params.queue_id()?, params.last_event_id()?);
    let peek = params.flag("dont_block")?;
    drop(params);
    Box::pin(app.bodies.discard(body)).await?;
    let ask = Ask { queue, user, seen };
    let found = if peek {
        Box::pin(app.queues.peek(ask)).await?
    } else {
        app.queues.poll(ask, exchange).await?
    };
    Ok(answer(&found, queue, version))
}

pub(super) async fn remove(
    State(app): State<App>,
    User(user): User,
    params: Params,
    body: Body,
) -> Result<Response, ApiError> {
    let queue = params.queue_id()?;
    app.bodies.discard(body).await?;
    app.queues.remove(queue, &user).await?;
    Ok(super::no_store(Json(json!({"success": true, "message": "success"})).into_response()))
}
