//! The process' `tracing` subscriber. It can be installed once, and the subjects want different levels of it.

use std::{
    io,
    sync::{
        Once,
        atomic::{AtomicU8, Ordering},
    },
};

use tracing::{Metadata, Subscriber, callsite, level_filters::LevelFilter, subscriber::Interest};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

/// Does what a [`LevelFilter`] does, whose level can be changed. Callsites keep its answers, as they keep a
/// `LevelFilter`'s, so that asking it costs nothing.
struct Level;

static LEVEL: AtomicU8 = AtomicU8::new(0);

/// From here on spans and events up to `level` are formatted and written to a sink. Nothing is installed before the first
/// level that is not [`LevelFilter::OFF`].
pub fn set(level: LevelFilter) {
    static INSTALLED: Once = Once::new();

    let rank = LEVELS.iter().position(|known| *known == level).unwrap_or_default();
    LEVEL.store(u8::try_from(rank).unwrap_or_default(), Ordering::Relaxed);
    if level != LevelFilter::OFF {
        INSTALLED.call_once(|| {
            let sink = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(io::sink);
            tracing_subscriber::registry().with(sink).with(Level).init();
        });
    }
    // Where there is none, this would let `tracing` forget that there is none.
    if INSTALLED.is_completed() {
        callsite::rebuild_interest_cache();
    }
}

const LEVELS: [LevelFilter; 6] = [
    LevelFilter::OFF,
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];

impl Level {
    fn get() -> LevelFilter {
        LEVELS[usize::from(LEVEL.load(Ordering::Relaxed))]
    }
}

impl<S: Subscriber> Layer<S> for Level {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::get() >= *metadata.level() { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        Self::get() >= *metadata.level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(Self::get())
    }
}
