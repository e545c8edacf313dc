//! What the inspector answers, to whom, and what it never says.
#![cfg(all(feature = "inspector", feature = "axum", feature = "hyper"))]

#[path = "../support/polls.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of it is used")]
mod polls;

mod events;
mod guard;
mod hostile;
mod limits;
mod queries;
mod rig;
mod shows;
mod sockets;
