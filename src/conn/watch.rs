//! Sockets that are watched: their peer is seen to leave while nobody reads.

use std::{
    fmt,
    future::Future,
    io::{self, IoSlice},
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll, ready},
};

#[cfg(unix)]
use tokio::net::{UnixStream, unix};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready},
    net::{TcpStream, tcp},
};

use super::{Address, Watch};

/// A socket that can be watched while something else reads and writes it.
///
/// It is what TLS is put upon, so that a client is seen to leave below it; for plain TCP and Unix sockets a seam makes it by
/// itself. It behaves as the socket does: its drop closes the socket as the socket's own would.
pub struct Watched<S: Socket> {
    read: S::Read,
    write: Arc<Half<S::Write>>,
}

/// A half whose drop does not shut the socket down: the system closes it as is due, by a reset if there is unread input.
struct Half<W: WriteHalf>(Option<W>);

/// A socket of tokio's that can be shared by its reader, its writer and a watch: [`TcpStream`], and `UnixStream`.
pub trait Socket: sealed::Sealed {
    #[doc(hidden)]
    type Read: AsyncRead + Unpin + Send + 'static;
    #[doc(hidden)]
    type Write: sealed::WriteHalf;
}

#[expect(unnameable_types, reason = "they seal `Socket`")]
mod sealed {
    use super::{Address, Future, Interest, IoSlice, Poll, Ready, Task, io};

    pub trait Sealed: Sized {
        fn halves(self) -> (<Self as super::Socket>::Read, <Self as super::Socket>::Write)
        where
            Self: super::Socket;
    }

    /// What the halves of all sockets can do.
    pub trait WriteHalf: Send + Sync + Unpin + 'static {
        /// Closed for writing too, it was reset. A Unix socket is when its peer has just closed.
        const CLOSED_BY_RESET: bool;

        fn peer_addr(&self) -> Option<Address>;
        fn local_addr(&self) -> Option<Address>;
        fn poll_write_ready(&self, task: &mut Task<'_>) -> Poll<io::Result<()>>;
        fn try_write(&self, buf: &[u8]) -> io::Result<usize>;
        fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
        fn poll_shutdown(&mut self, task: &mut Task<'_>) -> Poll<io::Result<()>>;
        fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<Ready>> + Send;
        /// Has the socket end by a reset.
        fn reset(&self);
        /// Drops it without shutting the socket down.
        fn forget(self);
    }
}

use sealed::WriteHalf;

macro_rules! socket {
    ($stream:ty, $read:ty, $write:ty, $closed_by_reset:literal, $address:expr, $reset:expr) => {
        impl Socket for $stream {
            type Read = $read;
            type Write = $write;
        }

        impl sealed::Sealed for $stream {
            fn halves(self) -> ($read, $write) {
                self.into_split()
            }
        }

        impl WriteHalf for $write {
            const CLOSED_BY_RESET: bool = $closed_by_reset;

            fn peer_addr(&self) -> Option<Address> {
                self.as_ref().peer_addr().ok().map($address)
            }

            fn local_addr(&self) -> Option<Address> {
                self.as_ref().local_addr().ok().map($address)
            }

            fn poll_write_ready(&self, task: &mut Task<'_>) -> Poll<io::Result<()>> {
                self.as_ref().poll_write_ready(task)
            }

            fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                self.as_ref().try_write(buf)
            }

            fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                self.as_ref().try_write_vectored(bufs)
            }

            fn poll_shutdown(&mut self, task: &mut Task<'_>) -> Poll<io::Result<()>> {
                AsyncWrite::poll_shutdown(Pin::new(self), task)
            }

            fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<Ready>> + Send {
                self.as_ref().ready(interest)
            }

            fn reset(&self) {
                let reset: fn(&$stream) = $reset;
                reset(self.as_ref());
            }

            fn forget(self) {
                self.forget();
            }
        }
    };
}

socket!(
    TcpStream,
    tcp::OwnedReadHalf,
    tcp::OwnedWriteHalf,
    true,
    Address::Ip,
    // The peer is gone: should it fail, it ends as it would have without.
    |socket| _ = socket.set_zero_linger()
);
#[cfg(unix)]
socket!(
    UnixStream,
    unix::OwnedReadHalf,
    unix::OwnedWriteHalf,
    false,
    |address| Address::Unix(address.as_pathname().map(Into::into)),
    |_| ()
);

// ===== impl Half =====

impl<W: WriteHalf> Deref for Half<W> {
    type Target = W;

    fn deref(&self) -> &W {
        self.0.as_ref().expect("taken by the drop alone")
    }
}

impl<W: WriteHalf> Drop for Half<W> {
    fn drop(&mut self) {
        if let Some(half) = self.0.take() {
            half.forget();
        }
    }
}

// ===== impl Watched =====

impl<S: Socket> Watched<S> {
    /// A socket that can be watched.
    pub fn new(socket: S) -> Self {
        let (read, write) = socket.halves();
        Self { read, write: Arc::new(Half(Some(write))) }
    }

    pub(super) fn peer_addr(&self) -> Option<Address> {
        self.write.peer_addr()
    }

    pub(super) fn local_addr(&self) -> Option<Address> {
        self.write.local_addr()
    }

    /// `None` where the system does not tell.
    #[cfg_attr(
        all(any(target_os = "linux", target_os = "android"), not(lifecycle_unwatched)),
        expect(clippy::unnecessary_wraps, reason = "elsewhere there is none")
    )]
    pub(super) fn watch(&self) -> Option<Box<dyn Watch>> {
        #[cfg(all(any(target_os = "linux", target_os = "android"), not(lifecycle_unwatched)))]
        return Some(hang_up::watch(&self.write));
        #[cfg(not(all(
            any(target_os = "linux", target_os = "android"),
            not(lifecycle_unwatched)
        )))]
        None
    }

    fn poll_write_with(
        &self,
        task: &mut Task<'_>,
        write: impl Fn(&S::Write) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.write.poll_write_ready(task))?;
            match write(&self.write) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

/// For its options.
impl<S: Socket> AsRef<S> for Watched<S>
where
    S::Write: AsRef<S>,
{
    fn as_ref(&self) -> &S {
        (**self.write).as_ref()
    }
}

impl<S: Socket> From<S> for Watched<S> {
    fn from(socket: S) -> Self {
        Self::new(socket)
    }
}

impl<S: Socket> AsyncRead for Watched<S> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(task, buf)
    }
}

impl<S: Socket> AsyncWrite for Watched<S> {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(task, |socket| socket.try_write(buf))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(task, |socket| socket.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A socket has nothing to flush.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        // Whoever watches has let go of it before.
        match Arc::get_mut(&mut self.write) {
            Some(Half(Some(socket))) => socket.poll_shutdown(task),
            _ => Poll::Ready(Err(io::Error::other("a socket that is watched cannot be shut down"))),
        }
    }
}

impl<S: Socket> fmt::Debug for Watched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("peer_addr", &self.peer_addr()).finish_non_exhaustive()
    }
}

#[cfg(all(any(target_os = "linux", target_os = "android"), not(lifecycle_unwatched)))]
mod hang_up {
    //! On Linux the interest in priority data includes that the peer has closed, and sleeps through all other data. tokio
    //! does not promise that: a test pins it.

    use std::{
        future::Future,
        pin::{Pin, pin},
        sync::Arc,
        task::{Context as Task, Poll, ready},
    };

    use tokio::io::Interest;

    use super::{Half, WriteHalf};
    use crate::conn::{Sight, Watch};

    struct HangUp<W: WriteHalf> {
        socket: Arc<Half<W>>,
        /// Made when it is first asked for: most connections never wait.
        waits: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
    }

    pub(super) fn watch<W: WriteHalf>(socket: &Arc<Half<W>>) -> Box<dyn Watch> {
        Box::new(HangUp { socket: Arc::clone(socket), waits: None })
    }

    impl<W: WriteHalf> Watch for HangUp<W> {
        fn poll(&mut self, task: &mut Task<'_>) -> Poll<Option<Sight>> {
            let Self { socket, waits } = self;
            let waits = waits.get_or_insert_with(|| Box::pin(hangs_up(Arc::clone(socket))));
            if !ready!(waits.as_mut().poll(task)) {
                return Poll::Ready(None);
            }
            // A reset closes both sides. Asking for the socket's error would take it away from whoever reads.
            let reset = match pin!(socket.ready(Interest::WRITABLE)).poll(task) {
                Poll::Ready(Ok(ready)) if W::CLOSED_BY_RESET && ready.is_write_closed() => {
                    Sight::RESET
                }
                _ => Sight::NONE,
            };
            Poll::Ready(Some(Sight::EOF.and(reset)))
        }

        fn reset(&self) {
            self.socket.reset();
        }
    }

    /// Waits for the peer to hang up. `false` when the runtime ends, or when the socket has priority data, behind which nothing
    /// is seen.
    async fn hangs_up<W: WriteHalf>(socket: Arc<Half<W>>) -> bool {
        loop {
            match socket.ready(Interest::PRIORITY).await {
                Ok(ready) if ready.is_read_closed() => return true,
                Ok(ready) if ready.is_empty() => {}
                _ => return false,
            }
        }
    }
}
