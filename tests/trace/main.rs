//! What a subscriber of `tracing` is told.

#![cfg(feature = "tracing")]

mod bridge;
mod capture;
mod fields;
mod filters;
mod nesting;
mod output;
mod panics;
#[cfg(feature = "axum")]
mod seam;
mod span_life;
