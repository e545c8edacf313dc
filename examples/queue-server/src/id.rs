//! The name of a queue, which is also the right to read it.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// 122 random bits. Whoever has it can, with a token of the owner, read the queue: so it is not for logs, and neither
/// [`fmt::Debug`] nor a metric shows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(u128);

impl QueueId {
    /// A new one, from the operating system's randomness.
    pub fn random() -> Self {
        Self(Uuid::new_v4().as_u128())
    }

    /// As a store keeps it.
    pub fn to_bits(self) -> u128 {
        self.0
    }

    /// What a store kept.
    pub fn from_bits(bits: u128) -> Self {
        Self(bits)
    }
}

/// That is no id of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl FromStr for QueueId {
    type Err = NotAnId;

    /// Only what [`fmt::Display`] writes: one queue has one name.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let id = Uuid::try_parse(text).map_err(|_| NotAnId)?;
        let id = Self(id.as_u128());
        if id.to_string() == text { Ok(id) } else { Err(NotAnId) }
    }
}

/// For clients and stores.
impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueId(…)")
    }
}
