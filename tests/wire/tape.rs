//! A transport in memory that writes down what it is asked for.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tower_lifecycle::conn::{Parts, Transport};

/// What a transport was asked for, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    /// With room for so many bytes.
    Read(usize, Came),
    Write(usize, Came),
    /// With buffers of these lengths.
    WriteVectored(Vec<usize>, Came),
    Flush(Came),
    Shutdown(Came),
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Came {
    Pending,
    Failed(io::ErrorKind),
    Done(usize),
}

pub(crate) struct Taped {
    inner: DuplexStream,
    vectored: bool,
    calls: Tape,
}

pub(crate) type Tape = Arc<Mutex<Vec<Call>>>;

impl Taped {
    pub(crate) fn new(inner: DuplexStream, vectored: bool) -> (Self, Tape) {
        let calls = Tape::default();
        (Self { inner, vectored, calls: Arc::clone(&calls) }, calls)
    }

    fn note(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }
}

fn came<T>(polled: &Poll<io::Result<T>>, done: impl Fn(&T) -> usize) -> Came {
    match polled {
        Poll::Pending => Came::Pending,
        Poll::Ready(Ok(value)) => Came::Done(done(value)),
        Poll::Ready(Err(error)) => Came::Failed(error.kind()),
    }
}

impl Transport for Taped {
    type Io = Self;

    fn into_parts(self) -> Parts<Self> {
        Parts::new(self)
    }
}

impl AsyncRead for Taped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        let polled = Pin::new(&mut self.inner).poll_read(task, buf);
        let came = came(&polled, |()| buf.filled().len() - before);
        self.note(Call::Read(room, came));
        polled
    }
}

impl AsyncWrite for Taped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(task, buf);
        self.note(Call::Write(buf.len(), came(&polled, |bytes| *bytes)));
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(task, bufs);
        let lengths = bufs.iter().map(|buf| buf.len()).collect();
        self.note(Call::WriteVectored(lengths, came(&polled, |bytes| *bytes)));
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(task);
        self.note(Call::Flush(came(&polled, |()| 0)));
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(task);
        self.note(Call::Shutdown(came(&polled, |()| 0)));
        polled
    }
}

impl Drop for Taped {
    fn drop(&mut self) {
        self.note(Call::Drop);
    }
}
