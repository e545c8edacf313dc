//! Lines to a file or a pipe, for which nobody waits.

use std::{fmt, io, sync::Arc, thread, time::Duration};

use super::{
    AccessLog, Format,
    queue::{Bounds, Queue},
    scribe::Scribe,
};

/// A thread that writes lines, for an [`AccessLog`].
///
/// Between the exchanges and the thread is a queue that has a bound. What finds it full is lost, counted, and told of in the log
/// itself as soon as it can be written again: `# lines lost: 12`, or `{"lost":12}`. No exchange waits for a slow disk, or for
/// a pipe that nobody reads. The lines of one thread keep their order.
///
/// ```no_run
/// use std::fs::File;
/// use axum::{Router, routing::get};
/// use tower_lifecycle::{LifecycleLayer, access_log::{Format, Writer}};
///
/// # async fn run() -> std::io::Result<()> {
/// let file = File::options().append(true).create(true).open("access.log")?;
/// // Dropped last: what is in the queue is written then.
/// let (log, _guard) = Writer::new(file).start(Format::Json)?;
/// let app: Router = Router::new()
///     .route("/", get(async || "Hello"))
///     .layer(LifecycleLayer::new(log));
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// axum::serve(listener, app).await
/// # }
/// ```
#[must_use = "a writer writes nothing until it is started"]
pub struct Writer<W> {
    out: W,
    bounds: Bounds,
    patience: Duration,
}

/// Keeps the thread of a [`Writer`]. Its drop has the queue written, and waits for it.
///
/// It waits for the writer's [patience](Writer::patience) at most and blocks its thread so long: drop it at the end of
/// `main`, when all is served. What is logged after is lost, and counted.
#[must_use = "what is logged after its drop is lost"]
pub struct WriterGuard {
    queue: Arc<Queue>,
    thread: Option<thread::JoinHandle<()>>,
    patience: Duration,
}

impl<W: io::Write + Send + 'static> Writer<W> {
    /// A queue of 65,536 lines and of 16 MiB, whichever is full first, and a patience of two seconds.
    ///
    /// `out` needs no buffer of its own: all that waits is one write, after which it is flushed. Nor is it opened anew when
    /// somebody has moved the file away: rotate by copying, or by a `Write` of your own.
    pub fn new(out: W) -> Self {
        let bounds = Bounds { lines: 65_536, bytes: 16 * 1024 * 1024 };
        Self { out, bounds, patience: Duration::from_secs(2) }
    }

    /// How many lines may wait.
    pub fn max_lines(mut self, lines: usize) -> Self {
        self.bounds.lines = lines;
        self
    }

    /// How many bytes may wait. As many again are with the thread while it writes.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// How long the drop of the guard waits at most.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts the thread, and makes the log that writes by it. Clones of the log write by it too.
    ///
    /// A write that fails loses what it did not write, which is counted; the next one is tried.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn start(self, format: Format) -> io::Result<(AccessLog, WriterGuard)> {
        let Self { out, bounds, patience } = self;
        let queue = Arc::new(Queue::new(bounds));
        let scribe = Scribe::new(out, format, Arc::clone(&queue));
        let thread = thread::Builder::new().name("access-log".to_owned());
        let thread = Some(thread.spawn(move || scribe.run())?);
        let guard = WriterGuard { queue: Arc::clone(&queue), thread, patience };
        Ok((AccessLog::new(format, move |line| queue.push(line)), guard))
    }
}

impl WriterGuard {
    /// How many lines are lost so far: that found the queue full, that a write has failed on or panicked, or that came after the end.
    pub fn lost(&self) -> u64 {
        self.queue.lost()
    }

    /// How many writes and flushes have failed so far.
    pub fn errors(&self) -> u64 {
        self.queue.errors()
    }

    /// As its drop, and tells how many lines are lost in all. `None` where the patience was not enough: the thread goes on
    /// for as long as the process does.
    pub fn close(mut self) -> Option<u64> {
        self.end().then(|| self.lost())
    }

    fn end(&mut self) -> bool {
        let thread = self.thread.take();
        let ended = self.queue.close(self.patience);
        if let (true, Some(thread)) = (ended, thread) {
            // A panic of the user's `Write`, which the process has been told of.
            let _ = thread.join();
        }
        ended
    }
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}

impl<W> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bounds: Bounds { lines, bytes }, patience, .. } = self;
        f.debug_struct("Writer")
            .field("max_lines", lines)
            .field("max_bytes", bytes)
            .field("patience", patience)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WriterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterGuard")
            .field("lost", &self.lost())
            .field("errors", &self.errors())
            .finish_non_exhaustive()
    }
}
