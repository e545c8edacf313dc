//! The thread that writes what waits.

use std::{io, sync::Arc};

use super::{Format, queue::Queue};

pub(super) struct Scribe<W> {
    out: W,
    format: Format,
    queue: Arc<Queue>,
    /// What was written last ends within a line.
    torn: bool,
    /// Lost lines that the log does not tell of yet.
    untold: u64,
}

/// What a batch may keep of its memory: a burst is not for ever.
const KEPT: usize = 256 * 1024;

impl<W: io::Write> Scribe<W> {
    pub(super) fn new(out: W, format: Format, queue: Arc<Queue>) -> Self {
        Self { out, format, queue, torn: false, untold: 0 }
    }

    pub(super) fn run(mut self) {
        /// What is being written, which is lost when the user's `Write` panics.
        struct Batch(Arc<Queue>, Vec<u8>);

        impl Drop for Batch {
            fn drop(&mut self) {
                self.0.end(count(&self.1));
            }
        }

        let mut batch = Batch(Arc::clone(&self.queue), Vec::new());
        let Batch(queue, lines) = &mut batch;
        loop {
            let taken = queue.take(lines);
            self.tell_of_lost();
            self.untold += self.write(lines);
            lines.clear();
            lines.shrink_to(KEPT);
            self.untold += taken.missed;
            self.tell_of_lost();
            if self.out.flush().is_err() {
                self.queue.failed(0);
            }
            if taken.last {
                break;
            }
        }
    }

    fn tell_of_lost(&mut self) {
        let line = match (self.format, self.untold) {
            (_, 0) => return,
            (Format::Text, lost) => format!("# lines lost: {lost}\n"),
            (Format::Json, lost) => format!("{{\"lost\":{lost}}}\n"),
        };
        if self.put(line.as_bytes()).is_ok() {
            self.untold = 0;
        } else {
            self.queue.failed(0);
        }
    }

    /// Returns how many lines it could not write.
    fn write(&mut self, lines: &[u8]) -> u64 {
        let Err(written) = self.put(lines) else { return 0 };
        let left = count(&lines[written..]);
        self.queue.failed(left);
        left
    }

    /// The error is how much it wrote before.
    fn put(&mut self, bytes: &[u8]) -> Result<(), usize> {
        if self.torn {
            self.out.write_all(b"\n").map_err(|_| 0_usize)?;
            self.torn = false;
        }
        let mut written = 0;
        while written < bytes.len() {
            match self.out.write(&bytes[written..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) | Ok(0) => {
                    self.torn = written > 0 && bytes[written - 1] != b'\n';
                    return Err(written);
                }
                Ok(more) => written = bytes.len().min(written + more),
            }
        }
        Ok(())
    }
}

/// Of lines, the first of which may be the rest of one.
fn count(lines: &[u8]) -> u64 {
    lines.split_inclusive(|byte| *byte == b'\n').count() as u64
}
