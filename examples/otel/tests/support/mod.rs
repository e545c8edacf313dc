//! What the tests of the wire are made of: the program, collectors for it, and what they were told.

pub(crate) mod collector;
pub(crate) mod expected;
pub(crate) mod metrics;
pub(crate) mod program;
pub(crate) mod python;
pub(crate) mod spans;
pub(crate) mod told;
