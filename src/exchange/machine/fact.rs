//! What a machine is told.

use super::{Cause, View};
use crate::{
    Finish,
    close::{Evidence, Reason},
    conn::Sight,
};

/// Something that a wrapper saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    RequestData,
    RequestEnd,
    RequestError(Cause),
    /// The request body was dropped before its end, after it had yielded a frame or before.
    RequestDropped {
        read: bool,
        unwinding: bool,
    },
    /// The service returned a response.
    Head,
    ServiceError,
    ResponseData,
    ResponseEnd(Evidence, Outlet),
    /// The response is a head after which the connection speaks another protocol.
    Upgraded(Outlet),
    ResponseError(Cause),
    /// The connection says that the peer is gone.
    PeerGone(Cause),
    /// The future is about to be dropped before its end, and with it what it holds.
    Dropping,
    /// The future or the response body was dropped before its end, and this was to be seen of the connection.
    Dropped {
        unwinding: bool,
        view: Option<View>,
    },
    /// A response that waited for it is in the hands of the operating system.
    Flushed,
    /// It waits no longer: nothing will prove it.
    Released,
    /// What the connection showed after a drop, or as it ended before the flush; `None` when that was nothing.
    Settled(Option<Sight>),
}

/// What becomes of a complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlet {
    /// It was given to the HTTP stack, and no more will be known.
    Released,
    /// Its flush will be seen.
    Seen,
}

impl Fact {
    /// The kind of failure that this fact is.
    pub(crate) fn failure(self) -> Option<Reason> {
        match self {
            Self::RequestError(cause) | Self::ResponseError(cause) => Some(cause.reason),
            Self::ServiceError => Some(Reason::ServiceFailed),
            _ => None,
        }
    }

    /// What it says of the hand-over of the response.
    pub(crate) fn finish(self) -> Finish {
        if self == Self::Flushed { Finish::Flushed } else { Finish::Released }
    }
}
