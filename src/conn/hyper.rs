//! hyper's IO traits, by tokio's, and what hyper's errors say.

use std::{
    error::Error,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context as Task, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{ConnectionReason, Context, Io, Sight};

impl<T: AsyncRead + Unpin> Read for Io<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Read::poll_read(Pin::new(&mut TokioIo::new(self.get_mut())), task, buf)
    }
}

impl<T: AsyncWrite + Unpin> Write for Io<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(self, task, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(self, task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(self, task)
    }

    fn is_write_vectored(&self) -> bool {
        AsyncWrite::is_write_vectored(self)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write_vectored(self, task, bufs)
    }
}

impl Context {
    /// What the server's error says beyond what its transport has shown.
    pub(crate) fn ended_with(&self, error: &(dyn Error + 'static)) {
        let Some(error) = error.downcast_ref::<hyper::Error>() else { return };
        if error.is_parse_too_large() {
            self.tell(ConnectionReason::HeadTooLarge);
        } else if error.is_parse() {
            self.tell(ConnectionReason::HeadMalformed);
        } else if self.is_http2() {
            // A ping without answer, or frames that break the protocol; unless that is how the end of the transport looks.
            if !self.facts.sight().has(Sight::EOF.and(Sight::RESET).and(Sight::CUT)) {
                self.facts.see(Sight::FAILED);
            }
        } else if error.is_timeout() && self.exchanges() == 0 {
            self.tell(ConnectionReason::HeaderTimeout);
        }
    }
}
