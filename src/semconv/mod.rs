//! What OpenTelemetry's semantic conventions for HTTP, version 1.44, say of an exchange: the settings of spans, metrics and
//! access log.
//!
//! [`Conventions`] has all of them. Their defaults are the conventions'; what is read of a peer is bounded in length and, where a
//! metric has it, in number.
//!
//! # `error.type`
//!
//! The same on span and metric, and only where there is an error:
//!
//! | what happened | `error.type` |
//! |---|---|
//! | complete, at a server with a status of 500 or more, at a client of 400 or more | the status, such as `500` |
//! | the service returned an error | what [`Conventions::errors`] says of it, else `service_failed` |
//! | any other end that is not complete | the word of the [`Reason`](crate::Reason), such as `disconnected` or `panicked`, whatever the status |
//! | at a client: its caller dropped the exchange | none, and `tower_lifecycle.outcome` is `cancelled` |
//! | at a server under [`DisconnectPolicy::Unset`]: the client left | that of the status |

mod captured;
mod conventions;
mod forwarded;
mod methods;
pub(crate) mod names;
mod outcome;
mod policy;
mod query;
mod request;
mod routes;
#[cfg(test)]
mod tests;
mod text;

pub use self::{
    conventions::Conventions,
    policy::{DisconnectPolicy, ForwardedPolicy, InvalidNetwork, StreamPolicy, TrustedPeers},
};
pub(crate) use self::{
    outcome::{Outcome, Seen, span_name},
    request::{Endpoint, Request, protocol_version},
    text::Text,
};
