//! The exchange: wrappers report facts to its cell, the machine decides, the listener is called.

mod cell;
mod core;
mod counter;
mod departure;
mod gate;
mod id;
mod join;
mod latch;
mod link;
mod listeners;
mod live;
mod machine;
mod marks;
mod outside;
mod report;
mod seat;
mod summary;
mod view;
mod waits;

#[cfg(feature = "hyper")]
pub(crate) use self::departure::taken;
#[cfg(feature = "inflight")]
pub(crate) use self::summary::short;
pub(crate) use self::{
    cell::Exchange,
    departure::{complete, look, lost, upgraded},
    id::Names,
    join::{Join, Newcomer},
    link::Link,
    live::{Callback, LayerId, Live, Registered},
    machine::{Cause, Fact},
    outside::Outside,
    report::{Direction, Report},
    seat::{Place, Seat},
};
pub use self::{
    id::{ExchangeId, TraceIds},
    machine::Role,
    marks::{Mark, Marks},
    summary::{Summary, Transfer},
    view::ExchangeView,
    waits::{Party, Wait},
};
