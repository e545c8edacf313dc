//! What the tests share. Each test file is a crate of its own and uses a part of it.
#![allow(dead_code, unreachable_pub, reason = "no test uses all of it")]

pub mod recorder;
