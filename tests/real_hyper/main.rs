//! The layer around a service that the real hyper serves on loopback, and around hyper's client.

#[path = "../support/mod.rs"]
mod support;

mod client;
mod stacks;
mod table;
