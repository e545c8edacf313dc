//! Reading a body's error: what happened, and to whom.

use std::{any::Any, error::Error, fmt, io, iter, sync::Arc};

use crate::{
    close::{Evidence, Initiator, Reason},
    exchange::Cause,
    observe::shield,
};

/// Sees an error of one type as `dyn Error`.
type Lens = fn(&dyn Any) -> Option<&(dyn Error + 'static)>;

/// Sees in an error what happened.
type Sight = fn(&(dyn Error + 'static)) -> Option<Cause>;

type BoxError = Box<dyn Error + Send + Sync>;

/// The error types that can be read.
///
/// A body's error may be any type. A bound on `Error` would exclude the boxed errors of many middleware, which do not
/// implement it, and Rust has no way to ask a type whether it does: so the types are listed.
#[derive(Clone, Default)]
pub(crate) struct ErrorTypes {
    added: Option<Arc<[Lens]>>,
    /// Sees what h2 says, if its errors are to be understood.
    h2: Option<Sight>,
}

/// What every layer knows.
const KNOWN: &[Lens] = &[
    |error| error.downcast_ref::<BoxError>().map(|error| &**error as _),
    |error| error.downcast_ref::<Box<dyn Error + Send>>().map(|error| &**error as _),
    |error| error.downcast_ref::<Box<dyn Error>>().map(|error| &**error),
    lens::<io::Error>,
];

/// No chain of causes is longer; a cycle would be.
const CHAIN: usize = 32;

fn lens<E: Error + 'static>(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    error.downcast_ref::<E>().map(|error| error as _)
}

impl ErrorTypes {
    pub(crate) fn add<E: Error + 'static>(&mut self) {
        let added = self.added.iter().flat_map(|added| added.iter().copied());
        self.added = Some(added.chain(iter::once(lens::<E> as Lens)).collect());
    }

    #[cfg(feature = "hyper")]
    pub(crate) fn add_hyper(&mut self) {
        self.add::<hyper::Error>();
        self.h2 = Some(of_h2);
    }

    /// `None` when the type is not known.
    pub(crate) fn read<'e, E: 'static>(&self, error: &'e E) -> Option<&'e (dyn Error + 'static)> {
        let added = self.added.as_deref().unwrap_or_default();
        KNOWN.iter().chain(added).find_map(|lens| lens(error))
    }

    /// Why a body that came from the peer failed, as far as its error tells. `otherwise` when it does not.
    pub(crate) fn of_peer(
        &self,
        error: Option<&(dyn Error + 'static)>,
        otherwise: Reason,
    ) -> Cause {
        // The user's errors are asked for their sources.
        let read = shield(|| {
            let chain = iter::successors(error, |&error| error.source()).take(CHAIN);
            chain.enumerate().find_map(|(depth, error)| {
                let of_h2 = self.h2.and_then(|of_h2| of_h2(error));
                of_h2.or_else(|| of_transport(error.downcast_ref()?, depth > 0))
            })
        });
        read.flatten().unwrap_or(Cause {
            reason: otherwise,
            initiator: Initiator::Unknown,
            evidence: Evidence::Return,
        })
    }
}

impl fmt::Debug for ErrorTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorTypes").finish_non_exhaustive()
    }
}

#[cfg(feature = "hyper")]
fn of_h2(error: &(dyn Error + 'static)) -> Option<Cause> {
    let error = error.downcast_ref::<h2::Error>()?;
    // h2 does not give its IO error as a source.
    match error.get_io() {
        // Its own words for an end of file; what the system says has no inner error.
        Some(io) if io.kind() == io::ErrorKind::BrokenPipe && io.get_ref().is_some() => {
            Some(DISCONNECTED)
        }
        Some(io) => of_transport(io, true),
        None if error.is_reset() && error.is_remote() => Some(STREAM_RESET),
        None => None,
    }
}

/// The error says what the transport said; that it says the truth is not for us to see.
///
/// An end of file counts only where something has `wrapped` it: by itself it may be a decoder's, whose input ended short.
fn of_transport(error: &io::Error, wrapped: bool) -> Option<Cause> {
    match error.kind() {
        io::ErrorKind::UnexpectedEof if wrapped => Some(DISCONNECTED),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => Some(RESET),
        _ => None,
    }
}

const RESET: Cause =
    Cause { reason: Reason::Reset, initiator: Initiator::Peer, evidence: Evidence::Return };

const DISCONNECTED: Cause = Cause { reason: Reason::Disconnected, ..RESET };

/// The peer reset the stream.
pub(crate) const STREAM_RESET: Cause =
    Cause { reason: Reason::StreamReset, initiator: Initiator::Peer, evidence: Evidence::Frame };
