//! `POST /api/v1/register`.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    auth::User,
    error::ApiError,
    server::App,
    store::{NOTHING, Session},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    event_types: Option<Vec<String>>,
    /// In seconds.
    idle_queue_timeout: Option<u64>,
    #[serde(default)]
    heartbeat: bool,
}

const DEFAULT_IDLE: u64 = 600;
/// A week.
const LONGEST_IDLE: u64 = 604_800;
const MAX_TYPES: usize = 100;
/// The longest type of an event, in bytes.
pub(super) const MAX_TYPE: usize = 128;

pub(super) async fn register(
    State(app): State<App>,
    User(owner): User,
    body: Body,
) -> Result<Response, ApiError> {
    let asked: Register = app.bodies.json(body).await?;
    let idle = asked.idle_queue_timeout.unwrap_or(DEFAULT_IDLE);
    if !(1..=LONGEST_IDLE).contains(&idle) {
        let message = format!("`idle_queue_timeout` is between 1 and {LONGEST_IDLE} seconds");
        return Err(ApiError::InvalidParam(message));
    }
    if let Some(types) = &asked.event_types {
        let fit = |kind: &String| !kind.is_empty() && kind.len() <= MAX_TYPE;
        if types.is_empty() || types.len() > MAX_TYPES || !types.iter().all(fit) {
            let message = format!(
                "`event_types` is a list of 1 to {MAX_TYPES} types of 1 to {MAX_TYPE} bytes; leave it out for all"
            );
            return Err(ApiError::InvalidParam(message));
        }
    }
    let session = Session {
        owner,
        event_types: asked.event_types,
        idle_timeout: Duration::from_secs(idle),
        heartbeat: asked.heartbeat,
    };
    let queue = app.queues.register(session).await?;
    Ok(super::no_store(
        Json(json!({
            "success": true,
            "message": "success",
            "queue_id": queue.to_string(),
            "last_event_id": NOTHING,
            "event_queue_longpoll_timeout_seconds": app.longest_poll.as_secs(),
            "idle_queue_timeout_secs": idle,
        }))
        .into_response(),
    ))
}
