//! What a body does, and what it says of itself.

/// With what a body panics when its script says so: a `&'static str`, so that a panic hook or a `catch_unwind` can tell it
/// from a real one.
pub const PANIC: &str = "a panic on purpose";

/// What a [`MockBody`](super::MockBody) does when it is polled once more. After its script it is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A data frame of so many bytes, each an `x`.
    Data(usize),
    /// Trailers: `checksum: 1`.
    Trailers,
    /// Not ready once; the waker is called.
    Pending,
    /// Not ready, for ever; the script goes no further.
    Never,
    /// An error: [`Broken`](super::Broken) unless [told](super::MockBody::fails_with).
    Error,
    /// `None`. The script may go on after it, as no body should.
    End,
    /// A panic with [`PANIC`].
    Panic,
}

/// What a [`MockBody`](super::MockBody) says when asked for `is_end_stream`. Nothing depends on how often it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndClaim {
    /// `true` when nothing but the end is left of the script.
    Honest,
    /// `false`, as bodies say that do not know.
    Never,
    /// `true`, whatever is to come.
    Always,
    /// `true` after every second poll, from the first on.
    Flips,
    /// A panic with [`PANIC`].
    Panics,
}

/// What a [`MockBody`](super::MockBody) says when asked for its `size_hint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintClaim {
    /// What the script has left until the first step that is neither data nor pending.
    Honest,
    /// Nothing, as bodies say that do not know.
    Unknown,
    /// Exactly that many bytes, whatever is to come.
    Exact(u64),
    /// At least that many.
    AtLeast(u64),
    /// Exactly the number of polls so far.
    Grows,
    /// A panic with [`PANIC`].
    Panics,
}
