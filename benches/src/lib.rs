//! One exchange, and what may stand around it: the same code for criterion, for callgrind and for the allocator.

mod counting;
mod exchange;
mod layers;
mod pass_through;
mod subject;
pub mod subscriber;
mod telemetry;

pub use self::{
    counting::{Counting, Tally},
    exchange::{CHUNK, Chunks, answer, exchange, read, request},
    pass_through::{PassThrough, PassThroughBody, PassThroughFuture},
    subject::{Run, Subject},
};
