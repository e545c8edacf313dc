//! How a layer further in joins an exchange.

use http::Uri;

use crate::{Interest, Listener};

/// An exchange that can be joined.
pub(crate) trait Join: Send + Sync {
    /// `newcomer` is told what it has missed, and listens from now on.
    fn join(&self, newcomer: Newcomer);
}

/// A layer further in that listens to an exchange from now on.
pub(crate) struct Newcomer {
    pub(crate) listener: Box<dyn Listener>,
    pub(crate) interest: Interest,
    /// The request's target as it sees it, in case that is not known.
    pub(crate) uri: Option<Uri>,
}
