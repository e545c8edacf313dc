//! Reading a body's error: what happened, and to whom.

use std::{any::Any, convert::Infallible, error::Error, fmt, io, iter, sync::Arc};

use crate::{
    close::{Evidence, Initiator, Reason},
    exchange::Cause,
    observe::shield,
};

/// Sees an error of one type as `dyn Error`.
type Lens = fn(&dyn Any) -> Option<&(dyn Error + 'static)>;

type BoxError = Box<dyn Error + Send + Sync>;

/// The error types that can be read.
///
/// A body's error may be any type. A bound on `Error` would exclude the boxed errors of many middleware, which do not
/// implement it, and Rust has no way to ask a type whether it does: so the types are listed.
#[derive(Clone, Default)]
pub(crate) struct ErrorTypes(Option<Arc<[Lens]>>);

/// What every build knows. `Infallible` needs no lens, there is none to read.
const KNOWN: &[Lens] = &[
    |error| error.downcast_ref::<BoxError>().map(|error| &**error as _),
    |error| error.downcast_ref::<Box<dyn Error + Send>>().map(|error| &**error as _),
    |error| error.downcast_ref::<Box<dyn Error>>().map(|error| &**error),
    lens::<io::Error>,
    lens::<Infallible>,
    #[cfg(feature = "hyper")]
    lens::<hyper::Error>,
    #[cfg(feature = "axum")]
    lens::<axum_core::Error>,
];

/// No chain of causes is longer; a cycle would be.
const CHAIN: usize = 32;

fn lens<E: Error + 'static>(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    error.downcast_ref::<E>().map(|error| error as _)
}

impl ErrorTypes {
    pub(crate) fn add<E: Error + 'static>(&mut self) {
        let known = self.0.iter().flat_map(|known| known.iter().copied());
        self.0 = Some(known.chain(iter::once(lens::<E> as Lens)).collect());
    }

    /// `None` when the type is not known.
    pub(crate) fn read<'e, E: 'static>(&self, error: &'e E) -> Option<&'e (dyn Error + 'static)> {
        let added = self.0.as_deref().unwrap_or_default();
        KNOWN.iter().chain(added).find_map(|lens| lens(error))
    }
}

impl fmt::Debug for ErrorTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorTypes").finish_non_exhaustive()
    }
}

/// Why a body that came from the peer failed, as far as its error tells. `otherwise` when it does not.
pub(crate) fn of_peer(error: Option<&(dyn Error + 'static)>, otherwise: Reason) -> Cause {
    // The user's errors are asked for their sources.
    let read =
        shield(|| iter::successors(error, |&error| error.source()).take(CHAIN).find_map(cause));
    read.flatten().unwrap_or(Cause {
        reason: otherwise,
        initiator: Initiator::Unknown,
        evidence: Evidence::Return,
    })
}

fn cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    #[cfg(feature = "hyper")]
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        // h2 does not give its IO error as a source.
        return match error.get_io() {
            // h2's own words for an end of file; what the system says has no inner error.
            Some(io) if io.kind() == io::ErrorKind::BrokenPipe && io.get_ref().is_some() => {
                Some(Cause { reason: Reason::Disconnected, ..RESET })
            }
            Some(io) => of_transport(io),
            None if error.is_reset() && error.is_remote() => Some(STREAM_RESET),
            None => None,
        };
    }
    of_transport(error.downcast_ref()?)
}

/// The error says what the transport said; that it says the truth is not for us to see.
fn of_transport(error: &io::Error) -> Option<Cause> {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Some(Cause { reason: Reason::Disconnected, ..RESET }),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => Some(RESET),
        _ => None,
    }
}

const RESET: Cause =
    Cause { reason: Reason::Reset, initiator: Initiator::Peer, evidence: Evidence::Return };

/// The peer reset the stream.
pub(crate) const STREAM_RESET: Cause =
    Cause { reason: Reason::StreamReset, initiator: Initiator::Peer, evidence: Evidence::Frame };
