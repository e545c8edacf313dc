//! Clients that do anything at all: nothing is left open, nothing panics, and every exchange makes sense.
//!
//! `LEAK_CONNECTIONS` and `FUZZ_CONNECTIONS` set how many there are, `SEED` where the choices start: a failure names the seed
//! of its connection.
#![cfg(all(feature = "axum", feature = "hyper"))]

#[path = "../support/mod.rs"]
mod support;

mod bytes;
mod clients;
mod fuzz;
mod leaks;
mod lines;
mod seeded;
