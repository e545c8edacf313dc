//! A client that speaks WebSocket, frame by frame.

use tower_lifecycle::testing::{Client, Http2Frame};

use crate::site::Site;

/// How a WebSocket ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    CloseFrame,
    TheTaskLeaves,
    TheTaskPanics,
    /// HTTP/2's `END_STREAM`.
    OfStream,
    /// HTTP/2's `RST_STREAM`.
    StreamReset,
    /// Of the connection.
    Fin,
    /// Of the connection.
    Reset,
}

/// A client that speaks WebSocket: one over HTTP/1, or some over the streams of HTTP/2.
pub(crate) struct Peer {
    pub(crate) client: Client,
    http2: bool,
    /// What was sent over HTTP/1.
    pub(crate) sent: u64,
}

/// What a WebSocket hears while it is the only one, and no exchange is open.
pub(crate) const ALONE: &str = "hello: (1, 0) open";

const UPGRADE: &str = "HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Kinds of a WebSocket's frames.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

/// Masked by zeros, as a client's has to be.
fn frame(kind: u8, text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[kind, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

impl Peer {
    pub(crate) async fn connect(site: &Site, http2: bool) -> Self {
        Self { client: Client::connect(site.addr).await.unwrap(), http2, sent: 0 }
    }

    /// Asks for a WebSocket, on a stream if it is HTTP/2, and waits for the answer.
    pub(crate) async fn upgrade(&mut self, stream: u32, path: &str, status: u16) {
        if !self.http2 {
            self.send(format!("GET {path} {UPGRADE}")).await;
            self.client.read_until(format!("HTTP/1.1 {status} ")).await.unwrap();
            self.client.read_until("\r\n\r\n").await.unwrap();
            return;
        }
        let fields = [(":scheme", "http"), (":path", path), (":protocol", "websocket")];
        let fields = fields.into_iter().chain([("sec-websocket-version", "13")]);
        self.client.request(stream, "CONNECT", path, fields, false).await.unwrap();
        self.head(stream).await;
    }

    /// An ordinary request on the same connection.
    pub(crate) async fn get(&mut self, stream: u32) {
        if self.http2 {
            self.client.request(stream, "GET", "/plain", [], true).await.unwrap();
            self.head(stream).await;
        } else {
            self.send("GET /plain HTTP/1.1\r\nhost: a\r\n\r\n").await;
            self.client.read_until("\r\n\r\nhello").await.unwrap();
        }
    }

    async fn head(&mut self, stream: u32) {
        let is = |frame: &Http2Frame| frame.kind == Http2Frame::HEADERS && frame.stream == stream;
        self.client.read_frames_until(is).await.unwrap();
    }

    /// Says hello over a WebSocket, and hears what its server knows of the connection.
    pub(crate) async fn hello(&mut self, stream: u32, answer: &str) {
        self.frame(stream, TEXT, "hello").await;
        if self.http2 {
            let ends = |frame: &Http2Frame| frame.payload.ends_with(answer.as_bytes());
            let is = |frame: &Http2Frame| frame.stream == stream && ends(frame);
            self.client.read_frames_until(is).await.unwrap();
        } else {
            self.client.read_until(answer).await.unwrap();
        }
    }

    pub(crate) async fn end(&mut self, stream: u32, end: End) {
        match end {
            End::CloseFrame => self.frame(stream, CLOSE, "").await,
            End::TheTaskLeaves => self.frame(stream, TEXT, "leave").await,
            End::TheTaskPanics => self.frame(stream, TEXT, "panic").await,
            End::OfStream => self.client.data(stream, "", true).await.unwrap(),
            End::StreamReset => self.client.rst_stream(stream, Http2Frame::CANCEL).await.unwrap(),
            End::Fin => self.client.close().unwrap(),
            End::Reset => self.client.reset().unwrap(),
        }
    }

    async fn frame(&mut self, stream: u32, kind: u8, text: &str) {
        let frame = frame(kind, text);
        if self.http2 {
            self.client.data(stream, frame, false).await.unwrap();
        } else {
            self.send(frame).await;
        }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.sent += bytes.as_ref().len() as u64;
        self.client.send(bytes).await.unwrap();
    }
}
