//! What an exchange is called.

use std::{
    fmt,
    num::NonZeroU64,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Names an exchange: a number that is unique in this process, in the order in which they were asked for.
///
/// It costs an atomic addition, so an exchange has one only if somebody asks:
/// [`RequestHead::id`](crate::RequestHead::id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(NonZeroU64);

/// By what a distributed trace knows an exchange, as W3C's Trace Context has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceIds {
    /// The trace's id; not all zeros.
    pub trace_id: [u8; 16],
    /// The id of the exchange's span; not all zeros.
    pub span_id: [u8; 8],
    /// Whether the span is sampled: it is likely to be found where spans are kept.
    pub sampled: bool,
}

/// What an exchange is called, while it begins.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Zero while nobody has asked. Who begins an exchange is alone with it.
    id: AtomicU64,
    trace: OnceLock<TraceIds>,
}

impl ExchangeId {
    fn next() -> Self {
        static ISSUED: AtomicU64 = AtomicU64::new(0);
        let issued = ISSUED.fetch_add(1, Ordering::Relaxed);
        Self(NonZeroU64::MIN.saturating_add(issued))
    }

    /// The one with this number, if there is, was or will be one: for who looks it up.
    #[cfg(feature = "inspector")]
    pub(crate) const fn numbered(number: NonZeroU64) -> Self {
        Self(number)
    }

    /// The number, from one on.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A `traceparent`: `00-<trace id>-<span id>-01`. <https://www.w3.org/TR/trace-context/#traceparent-header>
impl fmt::Display for TraceIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id, sampled } = self;
        let (trace_id, span_id) = (u128::from_be_bytes(*trace_id), u64::from_be_bytes(*span_id));
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{:02x}", u8::from(*sampled))
    }
}

impl Names {
    /// Its id, which is made when somebody asks.
    pub(crate) fn id(&self) -> ExchangeId {
        self.asked().unwrap_or_else(|| {
            let id = ExchangeId::next();
            self.id.store(id.get(), Ordering::Relaxed);
            id
        })
    }

    pub(crate) fn asked(&self) -> Option<ExchangeId> {
        NonZeroU64::new(self.id.load(Ordering::Relaxed)).map(ExchangeId)
    }

    pub(crate) fn set_trace(&self, trace: TraceIds) {
        let _ = self.trace.set(trace);
    }

    pub(crate) fn trace(&self) -> Option<TraceIds> {
        self.trace.get().copied()
    }
}

impl From<ExchangeId> for Names {
    fn from(id: ExchangeId) -> Self {
        Self { id: id.get().into(), trace: OnceLock::new() }
    }
}
