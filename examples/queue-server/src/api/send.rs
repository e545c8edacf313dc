//! `POST /api/v1/send`.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json, value::RawValue};

use super::{body::invalid, register::MAX_TYPE};
use crate::{
    auth::{MAX_USER, Service},
    error::ApiError,
    server::App,
    store::{NewEvent, Target},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    users: Option<Vec<String>>,
    queues: Option<Vec<String>>,
    event: Option<Box<RawValue>>,
}

/// Refuses what would be two things to two readers.
#[derive(Deserialize)]
struct OneType {
    #[serde(rename = "type")]
    _kind: Option<IgnoredAny>,
}

/// The longest event, in bytes of JSON.
const MAX_EVENT: usize = 64 * 1024;
const MAX_TARGETS: usize = 10_000;

pub(super) async fn send(
    State(app): State<App>,
    _: Service,
    body: Body,
) -> Result<Response, ApiError> {
    let Send { users, queues, event } = app.bodies.json(body).await?;
    let target = target(users, queues)?;
    let event = new_event(&event.ok_or(ApiError::MissingParam("event"))?)?;
    let sent = app.queues.send(target, event).await?;
    app.metrics.sent(sent);
    Ok(super::no_store(
        Json(json!({"success": true, "queued": sent.queued, "woken": sent.woken})).into_response(),
    ))
}

fn target(users: Option<Vec<String>>, queues: Option<Vec<String>>) -> Result<Target, ApiError> {
    let bounded = |targets: usize| {
        if (1..=MAX_TARGETS).contains(&targets) {
            return Ok(());
        }
        let message = format!("an event goes to between 1 and {MAX_TARGETS} users or queues");
        Err(ApiError::InvalidParam(message))
    };
    match (users, queues) {
        (Some(users), None) => {
            bounded(users.len())?;
            if users.iter().any(|user| user.is_empty() || user.len() > MAX_USER) {
                let message = format!("a user's id has between 1 and {MAX_USER} bytes");
                return Err(ApiError::InvalidParam(message));
            }
            Ok(Target::Users(once(users).into_iter().map(Arc::from).collect()))
        }
        (None, Some(queues)) => {
            bounded(queues.len())?;
            // What is no id of a queue is none of a queue that exists.
            let ids = once(queues).iter().filter_map(|queue| queue.parse().ok()).collect();
            Ok(Target::Queues(ids))
        }
        (Some(_), Some(_)) => {
            Err(ApiError::InvalidParam("say either `users` or `queues`, not both".to_owned()))
        }
        (None, None) => Err(ApiError::MissingParam("users")),
    }
}

/// Whoever is named twice gets one event.
fn once(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

/// Kept as it was written: a number of many digits stays what it is.
fn new_event(written: &RawValue) -> Result<NewEvent, ApiError> {
    let invalid = |error| invalid("`event`", &error);
    let event: Map<String, Value> = serde_json::from_str(written.get()).map_err(invalid)?;
    serde_json::from_str::<OneType>(written.get()).map_err(invalid)?;
    let kind = match event.get("type") {
        None => return Err(ApiError::MissingParam("event.type")),
        Some(Value::String(kind)) if !kind.is_empty() && kind.len() <= MAX_TYPE => kind,
        Some(_) => {
            let message = format!("`event.type` is a text of 1 to {MAX_TYPE} bytes");
            return Err(ApiError::InvalidParam(message));
        }
    };
    if event.contains_key("id") {
        let message = "`event.id` is the server's to give: call yours something else";
        return Err(ApiError::InvalidParam(message.to_owned()));
    }
    let json = Bytes::copy_from_slice(written.get().as_bytes());
    if json.len() > MAX_EVENT {
        let message =
            format!("the event has {} bytes of JSON: {MAX_EVENT} are the limit", json.len());
        return Err(ApiError::TooLarge(message));
    }
    Ok(NewEvent { kind: kind.as_str().into(), json })
}
