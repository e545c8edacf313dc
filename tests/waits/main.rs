//! Who waited on whom, to the nanosecond: in memory, by a clock that the tests advance.

#[path = "../support/mod.rs"]
mod support;

mod joined;
mod rig;
mod schedule;
mod sides;
