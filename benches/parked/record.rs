//! What is written down of a client, and how it comes from one process to another.

use std::{fmt, str::FromStr, time::Duration};

use crate::Failed;

/// When a client left and what the server said of it, in nanoseconds of the machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Record {
    pub(crate) left: Option<u64>,
    /// `on_disconnect` was called.
    pub(crate) disconnected: Option<u64>,
    /// The handler's future was dropped.
    pub(crate) dropped: Option<u64>,
    /// `on_close` was called.
    pub(crate) closed: Option<u64>,
}

impl Record {
    /// When the server told of it, in the words it has.
    pub(crate) fn noticed(&self) -> Option<u64> {
        self.disconnected.or(self.dropped)
    }

    /// How long after the client had left.
    pub(crate) fn since(&self, at: Option<u64>) -> Option<Duration> {
        Some(Duration::from_nanos(at?.saturating_sub(self.left?)))
    }

    fn times(&self) -> [Option<u64>; 4] {
        [self.left, self.disconnected, self.dropped, self.closed]
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for time in self.times() {
            match time {
                Some(time) => write!(f, "{time} ")?,
                None => f.write_str("- ")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Record {
    type Err = Failed;

    fn from_str(line: &str) -> Result<Self, Failed> {
        let times: Vec<Option<u64>> =
            line.split_whitespace().map(|word| word.parse().ok()).collect();
        let [left, disconnected, dropped, closed] = times[..] else { return Err(line.into()) };
        Ok(Self { left, disconnected, dropped, closed })
    }
}
