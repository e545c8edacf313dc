//! What a server is told over its standard input, and what it answers: one line of JSON each.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Makes so many queues for each of so many users. All expire at this time of the machine's clock, if one is given.
    Create { users: usize, each: usize, expire: Option<u64> },
    /// Appends so many events to each queue that was made.
    Fill { events: usize },
    /// How many polls are parked?
    Parked,
    /// How many queues are there?
    Queues,
    /// When did what end, after the first so many?
    Ends { what: End, after: usize },
    /// Answers all that is parked, by the primitive alone. When did that begin?
    Release,
    /// How much time of a processor has it taken?
    Cpu,
    /// From now on a task ticks each millisecond.
    Tick,
    /// By how much were ticks late?
    Ticked,
    /// Stops to serve, in good order.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// A parked poll.
    Park,
    /// An exchange, whether or not it came to be parked.
    Exchange,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It listens.
    Ready(SocketAddr),
    Done,
    Number(u64),
    Numbers(Vec<u64>),
    Names(Vec<String>),
    Failed(String),
}
