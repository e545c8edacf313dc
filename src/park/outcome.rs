//! How a park ends, and why one does not begin.

use std::{error::Error, fmt, time::Duration};

/// How a park ended. It is decided once; what comes later changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome<T = ()> {
    /// The check found something: at once, or after a wake.
    Woken(T),
    /// It took as long as it may.
    Deadline,
    /// A later poll took its place.
    Superseded,
    /// The key was [closed](super::Lot::close), the client is known to be gone, or the slot was dropped.
    Closed,
    /// The [lot drains](super::Lot::drain).
    Draining,
}

/// Why there is no slot. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refused {
    /// As many are parked as may be: [`Policy::max_parked`](super::Policy::max_parked).
    Full,
    /// As many are parked on the key as may be: [`Second::Reject`](super::Second::Reject), [`Second::Share`](super::Second::Share).
    KeyFull,
    /// The owner has parked as many as it may: [`Policy::max_per_owner`](super::Policy::max_per_owner).
    OwnerFull,
    /// The [lot drains](super::Lot::drain).
    Draining,
}

/// A park that is over, for [`Policy::on_unpark`](super::Policy::on_unpark).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unparked {
    /// How it ended.
    pub outcome: Outcome,
    /// From its registration until now.
    pub parked: Duration,
    /// Whether it waited. If not, its first check found something, or it was never awaited.
    pub waited: bool,
}

impl<T> Outcome<T> {
    /// `woken`, `deadline`, `superseded`, `closed`, `draining`: for labels.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Woken(_) => "woken",
            Self::Deadline => "deadline",
            Self::Superseded => "superseded",
            Self::Closed => "closed",
            Self::Draining => "draining",
        }
    }
}

impl Refused {
    /// `full`, `key_full`, `owner_full`, `draining`: for labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::KeyFull => "key_full",
            Self::OwnerFull => "owner_full",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "as many polls are parked as may be: try again later",
            Self::KeyFull => "as many polls are parked on this key as may be",
            Self::OwnerFull => "this owner has parked as many polls as it may",
            Self::Draining => "polls are not parked any more: the server is about to stop",
        })
    }
}

impl Error for Refused {}
