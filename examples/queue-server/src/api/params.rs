//! Parameters of a query, each at most once.

use std::{collections::BTreeMap, str::FromStr};

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};

use crate::{
    error::ApiError,
    id::QueueId,
    store::{EventId, NOTHING},
};

/// Refused with 400, when one is repeated or the query cannot be decoded.
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    /// What is no id of a queue is none of a queue that exists: the same answer.
    pub(super) fn queue_id(&self) -> Result<QueueId, ApiError> {
        self.needed("queue_id")?.parse().map_err(|_| ApiError::BadQueue)
    }

    pub(super) fn last_event_id(&self) -> Result<EventId, ApiError> {
        let text = self.needed("last_event_id")?;
        let id = EventId::from_str(text).ok().filter(|id| *id >= NOTHING && id.to_string() == text);
        id.ok_or_else(|| {
            let message = "`last_event_id` is the newest id you have seen, or -1 for none: a whole number in digits";
            ApiError::InvalidParam(message.to_owned())
        })
    }

    pub(super) fn flag(&self, name: &'static str) -> Result<bool, ApiError> {
        match self.0.get(name).map(String::as_str) {
            Some("true") => Ok(true),
            None | Some("false") => Ok(false),
            Some(_) => Err(ApiError::InvalidParam(format!("`{name}` is `true` or `false`"))),
        }
    }

    fn needed(&self, name: &'static str) -> Result<&str, ApiError> {
        self.0.get(name).map(String::as_str).ok_or(ApiError::MissingParam(name))
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| ApiError::InvalidParam("the query cannot be decoded".to_owned()))?;
        let mut params = BTreeMap::new();
        for (name, value) in pairs {
            // Its name is the client's: it is not repeated.
            if params.insert(name, value).is_some() {
                return Err(ApiError::InvalidParam(
                    "a parameter is given more than once".to_owned(),
                ));
            }
        }
        Ok(Self(params))
    }
}
