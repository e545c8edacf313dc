//! The wrapper of a transport: it records what passes and changes nothing.

use std::{
    fmt,
    io::{self, IoSlice},
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Connection, Context, Sight};

/// A transport whose bytes are counted, and whose end is seen.
///
/// A seam makes one of each connection: `LifecycleLayer::connection`, `listener` or `serve_connection`. It implements
/// tokio's IO traits and, with the feature `hyper`, hyper's. Errors, vectored writes and the order of calls are the
/// transport's own; what it has not got ready, this has not. hyper's `Upgraded` can be downcast to it.
pub struct Io<T> {
    inner: T,
    // Declared last, so that no hook holds back the end of the transport.
    context: Dropped,
}

/// Tells its connection when it is dropped.
struct Dropped(Arc<Context>);

impl<T> Io<T> {
    pub(crate) fn new(inner: T, context: Arc<Context>) -> Self {
        Self { inner, context: Dropped(context) }
    }

    /// The connection.
    pub fn connection(&self) -> Connection {
        Connection(Arc::clone(&self.context.0))
    }

    /// The transport.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The transport. What is read from it and written to it directly is not seen.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    fn check(&self) -> io::Result<()> {
        let sight = self.context.facts.sight();
        if sight.has(Sight::POISONED.and(Sight::CUT)) { Err(failed(sight)) } else { Ok(()) }
    }

    fn sent(
        &self,
        first: Option<&[u8]>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &polled {
            Poll::Pending => self.context.refused(),
            Poll::Ready(Ok(bytes)) => {
                if self.context.facts.sent() == 0
                    && first.is_some_and(|it| it.starts_with(b"HTTP/1"))
                {
                    self.context.facts.see(Sight::SPEAKS_HTTP1);
                }
                self.context.sent(*bytes);
            }
            Poll::Ready(Err(error)) => self.context.facts.fail(error),
        }
        polled
    }

    fn failed(&self, done: io::Result<()>) -> io::Result<()> {
        done.inspect_err(|error| self.context.facts.fail(error))
    }
}

#[cold]
fn failed(sight: Sight) -> io::Error {
    let why = if sight.has(Sight::CUT) {
        "this side has cut the connection"
    } else {
        "the client is gone, and its exchange was cancelled"
    };
    io::Error::new(io::ErrorKind::ConnectionAborted, why)
}

impl Deref for Dropped {
    type Target = Arc<Context>;

    fn deref(&self) -> &Arc<Context> {
        &self.0
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped();
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Io<T> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        let (before, room) = (buf.filled().len(), buf.remaining());
        let this = &mut *self;
        this.context.polled_by(task.waker());
        // Not where it is written: h2 drops streams and says goodbye before it lets go of a connection.
        this.context.facts.polled();
        let done = ready!(Pin::new(&mut this.inner).poll_read(task, buf));
        let done = this.failed(done);
        if done.is_ok() {
            match buf.filled().len() - before {
                0 if room > 0 => this.context.facts.see(Sight::EOF),
                bytes => this.context.received(bytes),
            }
        }
        Poll::Ready(done)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Io<T> {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let polled = Pin::new(&mut self.inner).poll_write(task, buf);
        self.sent(Some(buf), polled)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let polled = Pin::new(&mut self.inner).poll_write_vectored(task, bufs);
        self.sent(bufs.first().map(|buf| &**buf), polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        let done = ready!(Pin::new(&mut self.inner).poll_flush(task));
        if done.is_ok() {
            self.context.flushed();
        }
        Poll::Ready(self.failed(done))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        // The socket is to be nobody else's when it is shut down.
        self.context.unwatch();
        let done = ready!(Pin::new(&mut self.inner).poll_shutdown(task));
        Poll::Ready(self.failed(done))
    }
}

impl<T> fmt::Debug for Io<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").field("context", &self.context.0).finish_non_exhaustive()
    }
}
