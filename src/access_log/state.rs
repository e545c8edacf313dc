//! One exchange, of which a line is made when it is over.

use std::{cell::Cell, fmt, str, sync::Arc};

use super::{
    Format, json,
    log::Settings,
    record::{Facts, Record},
    text,
};
use crate::{Listener, Summary};

/// The state of an [`AccessLog`](super::AccessLog) for one exchange: what its line tells of the request's head.
pub struct AccessLogState {
    pub(super) settings: Arc<Settings>,
    pub(super) facts: Facts,
}

/// What a thread keeps of a line, for the next one.
const KEPT: usize = 16 * 1024;

thread_local! {
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Listener for AccessLogState {
    fn on_close(&mut self, summary: &Summary) {
        let Self { settings, facts } = self;
        let record = Record::new(settings, facts, summary);
        // Taken and not borrowed: a sink may have exchanges of its own. A thread that ends may have none any more.
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        match settings.format {
            Format::Text => text::write(&mut line, &record),
            Format::Json => json::write(&mut line, &record),
        }
        if let Ok(line) = str::from_utf8(&line) {
            (settings.sink)(line);
        }
        if line.capacity() <= KEPT {
            let _ = LINE.try_with(|kept| kept.set(line));
        }
    }
}

impl fmt::Debug for AccessLogState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLogState").finish_non_exhaustive()
    }
}
