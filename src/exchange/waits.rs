//! Who waited on whom.

use std::{fmt, time::Duration};

use crate::close::words;

/// Who waited on whom, in one direction of an exchange: asked for by [`Interest::WAITS`](crate::Interest::WAITS).
///
/// Producer and consumer add up to the direction's duration: of the request from begin until its end, error, drop or
/// the close, of the response from its head until its end, error or the close.
///
/// | | producer | consumer |
/// |---|---|---|
/// | request | the client, and what lies between | the handler |
/// | response | the service that makes the body | the server, which asks for no more while its client reads no more |
///
/// It is a wait of the *body*: what the operating system buffers, nobody waits for here. A response of a few megabytes may
/// have left for the socket's buffers at once, however slow its reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wait {
    /// How long a frame was asked for and not ready.
    pub producer: Duration,
    /// How long nobody asked for a frame: before the first was, and after each was delivered.
    pub consumer: Duration,
    /// Whose turn it was when the direction was over.
    pub last: Party,
}

/// A side of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Where the frames come from.
    Producer,
    /// Where they go to.
    Consumer,
}

words! { Party { Producer => "producer", Consumer => "consumer" } }
