//! What the future and the bodies of an exchange hold of it.

use std::{
    panic::{RefUnwindSafe, UnwindSafe},
    sync::Arc,
};

use super::{
    outside::Outside,
    report::{Direction, Report},
};
use crate::{Summary, TraceIds, conn::Waiter};

/// One end of a line to an exchange.
pub(crate) type Link = Arc<dyn Cell>;

/// Where facts are reported. A trait only to forget the type of the observer's state, so that bodies need not name it.
///
/// A panic never leaves a hook, so an exchange is as it should be after any.
pub(crate) trait Cell: Send + Sync + UnwindSafe + RefUnwindSafe {
    fn outside(&self) -> &Outside;

    /// An observer has said by what it traces the exchange, which has just begun.
    fn trace(&self, trace: TraceIds);

    /// Hands out a view of itself, which has just begun.
    fn opened(self: Arc<Self>, trace: Option<TraceIds>);

    /// What became of it, once it has closed, unless its hooks are still being called.
    fn summary(&self) -> Option<Summary>;

    /// A data frame passed.
    fn data(&self, direction: Direction, bytes: u64);

    /// The first data frame of a direction passed, and its time is wanted.
    fn first_data(&self, direction: Direction, bytes: u64);

    fn report(&self, report: &Report<'_>);

    /// Itself, for a connection to tell it of.
    fn waiter(self: Arc<Self>) -> Arc<dyn Waiter>;
}
