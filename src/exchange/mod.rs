//! The exchange: wrappers report facts to its cell, the machine decides, the listener is called.

mod cell;
mod gate;
mod machine;
mod marks;
mod report;
mod summary;

pub(crate) use self::{
    cell::{Exchange, Link},
    machine::{Cause, Fact, Role},
    report::{Direction, Report},
};
pub use self::{
    marks::{Mark, Marks},
    summary::{Summary, Transfer},
};
