//! What an observer wants to hear of.

use std::{fmt, ops};

/// What an [`Observer`](crate::Observer) wants to hear of. What nobody asked for costs nothing.
///
/// The names of single hooks are those of [`Listener`](crate::Listener) without `on_`.
///
/// ```
/// use tower_lifecycle::Interest;
///
/// let interest = Interest::ALL - Interest::DATA;
/// assert!(interest.contains(Interest::CLOSE | Interest::MARKS));
/// assert!(!interest.contains(Interest::RESPONSE_DATA));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(u32);

macro_rules! interests {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)+) => {
        impl Interest {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)+

            const NAMES: &[(&str, Self)] = &[$((stringify!($name), Self::$name)),+];
        }
    };
}

// The order of the hooks is the order in which one fact calls them: see `exchange::machine`.
interests! {
    /// `on_disconnect`. Who asks for it has the connection watched, where there is a seam.
    DISCONNECT = 0;
    /// `on_request_data`, a call for each frame.
    REQUEST_DATA = 1;
    /// `on_request_end`.
    REQUEST_END = 2;
    /// `on_request_error`.
    REQUEST_ERROR = 3;
    /// `on_response`.
    RESPONSE = 4;
    /// `on_response_data`, a call for each frame.
    RESPONSE_DATA = 5;
    /// `on_response_end`.
    RESPONSE_END = 6;
    /// `on_response_error`.
    RESPONSE_ERROR = 7;
    /// `on_finish`.
    FINISH = 8;
    /// `on_request_close`.
    REQUEST_CLOSE = 9;
    /// `on_close`.
    CLOSE = 10;
    /// Times in the summary: a read of the clock for each mark, ten or fewer an exchange.
    MARKS = 11;
    /// The request's target in the summary: a copy of the URI for each exchange.
    URI = 12;
    /// Trailers in the summary: a copy of them where there are some.
    TRAILERS = 13;
    /// Who waited on whom, in the summary and where a direction ends: two reads of the clock for each frame. Brings
    /// [`MARKS`](Self::MARKS) with it.
    WAITS = 14;
    /// [`Observer`](crate::Observer)'s hooks of the connection.
    CONNECTION = 15;
    /// When the bytes of a connection passed: [`Connection::times`](crate::Connection::times). A read of the clock for each read
    /// and each write of its transport.
    IO_TIMES = 16;
    /// `scope`: what surrounds the work that is done for an exchange. Who hands one out is entered for each poll.
    SCOPE = 17;
    /// `opened`: a [view](crate::ExchangeView) of the exchange while it is open. Its bytes are then counted where they can be read, and
    /// whose turn it is in each direction is noted for each frame.
    VIEW = 18;
}

impl Interest {
    /// Nothing: the layer passes requests and bodies through, `begin` is not called.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self((1 << 19) - 1);
    /// What an observer hears of that does not say: every hook but [`VIEW`](Self::VIEW)'s, and all in the summaries but
    /// [`WAITS`](Self::WAITS) and [`IO_TIMES`](Self::IO_TIMES): these cost by the frame and by the read.
    pub const DEFAULT: Self =
        Self(Self::ALL.0 & !Self::WAITS.0 & !Self::IO_TIMES.0 & !Self::VIEW.0);
    /// Both directions' data hooks.
    pub const DATA: Self = Self(Self::REQUEST_DATA.0 | Self::RESPONSE_DATA.0);

    /// Not an observer's: frames are counted for handles.
    pub(crate) const SHOWN: Self = Self(1 << 31);
    /// Not an observer's: there are views, so frames of which somebody hears are counted too.
    pub(crate) const TALLIED: Self = Self(1 << 30);
    /// What makes a frame more work than to call its hook, or to count it and to note whose turn it is.
    pub(crate) const BY_FRAME: Self =
        Self(Self::MARKS.0 | Self::WAITS.0 | Self::SHOWN.0 | Self::TALLIED.0);
    /// Somebody sees the exchange from outside.
    pub(crate) const SEEN: Self = Self(Self::VIEW.0 | Self::SHOWN.0);
    /// What needs to be told whose turn it is.
    pub(crate) const TURNS: Self = Self(Self::WAITS.0 | Self::VIEW.0);

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// What of it is about exchanges.
    pub(crate) const fn of_exchanges(self) -> Self {
        Self(self.0 & !(Self::CONNECTION.0 | Self::IO_TIMES.0))
    }

    /// With what the asked for is of no use without.
    pub(crate) const fn completed(self) -> Self {
        let marks = if self.contains(Self::WAITS) { Self::MARKS } else { Self::NONE };
        let viewed = self.contains(Self::VIEW) && self.intersects(Self::DATA);
        self.union(marks).union(if viewed { Self::TALLIED } else { Self::NONE })
    }

    /// Whether all of `other` is in `self`.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether something of `other` is in `self`.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether nothing is wanted.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in `self`, in `other`, or in both; `|` for constants.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Default for Interest {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl ops::BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl ops::BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.union(other);
    }
}

/// What is in both.
impl ops::BitAnd for Interest {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// What is in `self` and not in `other`.
impl ops::Sub for Interest {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        for (name, bit) in Self::NAMES {
            if self.contains(*bit) {
                set.entry(&format_args!("{name}"));
            }
        }
        set.finish()
    }
}
