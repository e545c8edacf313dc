//! The exchange: wrappers report facts to its cell, the machine decides, the listener is called.

mod cell;
mod gate;
mod id;
mod machine;
mod marks;
mod report;
mod summary;
mod waits;

pub(crate) use self::{
    cell::{Exchange, Link},
    id::LazyId,
    machine::{Cause, Fact, Role},
    report::{Direction, Report},
};
pub use self::{
    id::ExchangeId,
    marks::{Mark, Marks},
    summary::{Summary, Transfer},
    waits::{Party, Wait},
};
