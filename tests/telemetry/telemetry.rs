//! What is said to OpenTelemetry: spans and metrics, held against the semantic conventions and against the ways of going wrong
//! that others have shown.
//!
//! `cargo test -p tower-lifecycle-telemetry`; `SEED` sets where the choices of `killed` start.

mod bridge;
mod clients;
mod conformance;
mod defects;
mod hostile;
mod killed;
mod many;
mod places;
mod propagation;
mod sampling;
mod settings;
mod support;
mod time;
