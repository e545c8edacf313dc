//! Spans and metrics of OpenTelemetry, in memory.
#![cfg(feature = "opentelemetry")]

mod basics;
mod kept;
mod regressions;
