//! A TCP connection with what was received and not yet looked at.

use std::{
    io::{self, Read},
    net::SocketAddr,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{self, Instant},
};

use super::{deadline, http2::Http2};

pub(crate) struct Socket {
    /// `None` when the client has left.
    stream: Option<TcpStream>,
    unread: BytesMut,
    ending: Option<&'static str>,
    pub(super) http2: Http2,
}

impl Socket {
    pub(super) async fn connect(addr: SocketAddr, rcvbuf: Option<u32>) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(size) = rcvbuf {
            socket.set_recv_buffer_size(size)?;
        }
        let stream = socket.connect(addr).await?;
        // What is sent in two parts arrives in two parts.
        stream.set_nodelay(true)?;
        let http2 = Http2::default();
        Ok(Self { stream: Some(stream), unread: BytesMut::new(), ending: None, http2 })
    }

    /// Sends what the peer takes until then. What it does not take shows when the answer is read.
    pub(super) async fn send(&mut self, bytes: &[u8], deadline: Instant) {
        if let Some(stream) = &mut self.stream {
            let _ = time::timeout_at(deadline, stream.write_all(bytes)).await;
        }
    }

    /// Receives something. False at the end, or when the time is up.
    pub(super) async fn fill(&mut self, deadline: Instant) -> bool {
        let Some(stream) = self.stream.as_mut().filter(|_| self.ending.is_none()) else {
            return false;
        };
        self.unread.reserve(1 << 16);
        match time::timeout_at(deadline, stream.read_buf(&mut self.unread)).await {
            Err(_) => return false,
            Ok(Ok(0)) => self.ending = Some("eof"),
            Ok(Err(_)) => self.ending = Some("rst"),
            Ok(Ok(_)) => {}
        }
        self.ending.is_none()
    }

    /// How the connection ended, `timeout` if it did not.
    pub(super) fn ending(&self) -> &'static str {
        self.ending.unwrap_or("timeout")
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// `n` bytes, or what there is, and whether it is all.
    pub(super) async fn take(&mut self, n: usize, deadline: Instant) -> (Bytes, bool) {
        while self.unread.len() < n {
            if !self.fill(deadline).await {
                return (self.unread.split().freeze(), false);
            }
        }
        (self.unread.split_to(n).freeze(), true)
    }

    /// All until the end, or until the time is up.
    pub(super) async fn take_all(&mut self, deadline: Instant) -> Bytes {
        while self.fill(deadline).await {}
        self.unread.split().freeze()
    }

    /// All up to and with the next `text`.
    pub(super) async fn take_until(&mut self, text: &[u8], deadline: Instant) -> Option<Bytes> {
        loop {
            let found = self.unread.windows(text.len()).position(|window| window == text);
            if let Some(at) = found {
                return Some(self.unread.split_to(at + text.len()).freeze());
            }
            if !self.fill(deadline).await {
                return None;
            }
        }
    }

    pub(super) async fn half_close(&mut self) {
        if let Some(stream) = &mut self.stream {
            let _ = time::timeout_at(deadline(None), stream.shutdown()).await;
        }
    }

    /// Leaves, with FIN if what has arrived is taken first, else with RST, as sockets do.
    pub(super) fn close(&mut self, drain: bool) {
        let Some(stream) = self.stream.take() else { return };
        if let Some(mut stream) = stream.into_std().ok().filter(|_| drain) {
            let mut taken = vec![0; 1 << 16];
            // It does not block.
            while stream.read(&mut taken).is_ok_and(|n| n > 0) {}
        }
    }

    /// Leaves with RST.
    pub(super) fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            #[allow(
                deprecated,
                reason = "`set_zero_linger`, which does the same, asks for tokio 1.50"
            )]
            let _ = stream.set_linger(Some(Duration::ZERO));
        }
    }
}
