//! A real nginx in front of the real program: what the README says of it.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod front;
mod servers;
