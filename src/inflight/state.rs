//! What an exchange, or a connection, is doing now, in one word.

use std::fmt;

use crate::{Connection, ExchangeView, Party, Role, Stage, close::words};

/// What an exchange, or a connection, is doing now: on whom or what it waits.
///
/// It says what is seen and no more. Who reads the response of a layer, or sends the request it is given, is known where the
/// server itself calls the layer (a [seam](crate#the-connection)): elsewhere something may stand between it and the client, and
/// the state is [`Unknown`](Self::Unknown). What is waited for on this side is known everywhere. Of the client role only
/// [`Parked`](Self::Parked) is told.
///
/// | | state | |
/// |---|---|---|
/// | `r` | `reading` | the request's body is asked for a frame, and the client has not sent it |
/// | `q` | `unread` | the request's body is not asked for a frame: the handler does something else |
/// | `h` | `handler` | the request is read, or let go, and there is no response yet |
/// | `z` | `parked` | a poll that is parked by `park` |
/// | `p` | `producer` | the response's body is asked for a frame, and has none |
/// | `w` | `client` | the response's body is not asked for a frame: the server does not, because its client reads no more |
/// | `f` | `flushing` | the response is complete, and not yet in the operating system's hands |
/// | `u` | `upgraded` | a connection that speaks another protocol, or has streams that do |
/// | `k` | `idle` | a connection that is kept alive, and has nothing open |
/// | `b` | `busy` | a connection that has |
/// | `?` | `unknown` | nothing that was seen tells |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LiveState {
    /// Waits for the client to send more of the request's body.
    Reading,
    /// The request's body is not asked for more.
    Unread,
    /// The handler is at work.
    Handler,
    /// A parked poll.
    Parked,
    /// Waits for the response's body to produce a frame.
    Producer,
    /// Waits for the client to take more of the response.
    Client,
    /// The response is complete, and on its way into the operating system's hands.
    Flushing,
    /// A connection that was upgraded.
    Upgraded,
    /// A connection with nothing open.
    Idle,
    /// A connection with exchanges that are open.
    Busy,
    /// Nothing tells.
    Unknown,
}

words! {
    LiveState {
        Reading => "reading",
        Unread => "unread",
        Handler => "handler",
        Parked => "parked",
        Producer => "producer",
        Client => "client",
        Flushing => "flushing",
        Upgraded => "upgraded",
        Idle => "idle",
        Busy => "busy",
        Unknown => "unknown",
    }
}

impl LiveState {
    /// All of them: first those of exchanges, in the order in which an exchange passes them.
    pub const ALL: [Self; 11] = [
        Self::Reading,
        Self::Unread,
        Self::Handler,
        Self::Parked,
        Self::Producer,
        Self::Client,
        Self::Flushing,
        Self::Unknown,
        Self::Busy,
        Self::Idle,
        Self::Upgraded,
    ];

    /// One character for it, as Apache's scoreboard has.
    pub const fn as_char(self) -> char {
        match self {
            Self::Reading => 'r',
            Self::Unread => 'q',
            Self::Handler => 'h',
            Self::Parked => 'z',
            Self::Producer => 'p',
            Self::Client => 'w',
            Self::Flushing => 'f',
            Self::Upgraded => 'u',
            Self::Idle => 'k',
            Self::Busy => 'b',
            Self::Unknown => '?',
        }
    }

    pub(super) fn of(view: &ExchangeView) -> Self {
        if view.is_parked() {
            return Self::Parked;
        }
        if view.role() == Role::Client {
            return Self::Unknown;
        }
        let by_client = |state| if view.is_outermost() { state } else { Self::Unknown };
        match view.stage() {
            Stage::Request => match view.request_turn() {
                Some(Party::Producer) => by_client(Self::Reading),
                Some(Party::Consumer) => Self::Unread,
                None => Self::Unknown,
            },
            Stage::Handler => Self::Handler,
            Stage::Response => match view.response_turn() {
                Some(Party::Producer) => Self::Producer,
                Some(Party::Consumer) => by_client(Self::Client),
                None => Self::Unknown,
            },
            Stage::Flush => Self::Flushing,
            Stage::Done => Self::Unknown,
        }
    }

    pub(super) fn of_connection(connection: &Connection) -> Self {
        if connection.open_upgrades() > 0 {
            Self::Upgraded
        } else if connection.open_exchanges() > 0 {
            Self::Busy
        } else {
            Self::Idle
        }
    }
}
