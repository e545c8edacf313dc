//! How a layer further in joins an exchange.

use std::sync::Arc;

use http::Uri;

use super::view::ExchangeView;
use crate::{Interest, Listener, TraceIds};

/// An exchange that can be joined.
pub(crate) trait Join: Send + Sync {
    /// `newcomer` is told what it has missed, and listens from now on.
    fn join(self: Arc<Self>, newcomer: Newcomer);

    /// How long ago it began.
    #[cfg(any(feature = "access-log", feature = "opentelemetry"))]
    fn age(&self) -> std::time::Duration;
}

/// A layer further in that listens to an exchange from now on.
pub(crate) struct Newcomer {
    pub(crate) listener: Box<dyn Listener>,
    pub(crate) interest: Interest,
    /// The request's target as it sees it, in case that is not known.
    pub(crate) uri: Option<Uri>,
    /// By what it knows the exchange, in the same case.
    pub(crate) trace: Option<TraceIds>,
    /// Of the exchange, if it wants one.
    pub(crate) view: Option<ExchangeView>,
}
