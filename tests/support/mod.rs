//! What the tests share. Each test file is a crate of its own and uses a part of it.
#![allow(dead_code, unreachable_pub, reason = "no test uses all of it")]

pub mod bodies;
pub mod client;
pub mod recorder;
pub mod rows;
pub mod server;
pub mod spy;
