//! A raw client: it plays a script over a socket, HTTP/1 as text and HTTP/2 frame by frame, and keeps what it was sent.

use std::{
    fmt,
    io::{self, Read as _},
    net::SocketAddr,
    str,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::server::Signals;

/// One thing that a client does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    // Over any connection.
    /// Waits until a handler has read a frame.
    AwaitRead,
    /// Waits until a handler is parked.
    AwaitParked,
    /// Waits until a parked handler was dropped.
    AwaitLeft,
    /// Lets a parked handler, or a task that holds a request body, go on.
    Release,
    /// Waits until a task has read a request body.
    AwaitDrained,
    /// Closes its own direction: FIN.
    Fin,
    /// Closes both directions.
    Close,
    /// Breaks the connection: RST.
    Reset,

    // HTTP/1.
    Send(&'static str),
    /// Receives up to and with this text.
    Read(&'static str),
    /// Receives until the server closes.
    ReadToEnd,

    // HTTP/2. The number is the stream's.
    /// Sends the preface, with this initial window. A script without it sends it with the first request and the default window.
    Preface(u32),
    /// Sends a request's head: method, headers, whether it is the end.
    Request(u32, &'static str, Headers, bool),
    Data(u32, &'static str, bool),
    Trailers(u32),
    Rst(u32, u32),
    Window(u32, u32),
    GoAway,
    /// Receives up to the first data.
    ReadData(u32),
    /// Receives up to the end of the stream, or its reset.
    ReadStream(u32),
}

pub type Headers = &'static [(&'static str, &'static str)];

pub const NO_ERROR: u32 = 0;
pub const CANCEL: u32 = 8;

/// What a client was sent, as far as its script looked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Received {
    pub text: Text,
    pub frames: Vec<RawFrame>,
    /// How the connection ended, if the client saw it.
    pub end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Eof,
    Reset,
}

/// Bytes that read as text in a failed assertion.
#[derive(Clone, Default, PartialEq)]
pub struct Text(pub Vec<u8>);

#[derive(Clone, PartialEq)]
pub struct RawFrame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub struct Client {
    stream: Option<TcpStream>,
    /// Read from the socket and not yet looked at.
    unseen: Vec<u8>,
    greeted: bool,
    received: Received,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

impl Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: Some(stream),
            unseen: Vec::new(),
            greeted: false,
            received: Received::default(),
        }
    }

    /// Plays `script` and keeps the connection.
    pub async fn play(&mut self, script: &[Act], signals: &Signals) {
        for act in script {
            self.act(*act, signals).await;
        }
    }

    /// What was received so far.
    pub fn received(&self) -> &Received {
        &self.received
    }

    async fn act(&mut self, act: Act, signals: &Signals) {
        match act {
            Act::AwaitRead => signals.read.notified().await,
            Act::AwaitParked => signals.parked.notified().await,
            Act::AwaitLeft => signals.left.notified().await,
            Act::AwaitDrained => signals.drained.notified().await,
            Act::Release => signals.release.notify_one(),
            Act::Fin => self.stream().shutdown().await.unwrap(),
            Act::Close => self.close(),
            Act::Reset => {
                self.stream().set_zero_linger().unwrap();
                self.stream = None;
            }
            Act::Send(text) => self.send(text.as_bytes()).await,
            Act::Read(text) => self.read(text).await,
            Act::ReadToEnd => {
                while self.more().await {}
                self.received.text.0.append(&mut self.unseen);
            }
            Act::Preface(window) => self.greet(Some(window)).await,
            Act::Request(stream, method, headers, end) => {
                if !self.greeted {
                    self.greet(None).await;
                }
                let mut fields = vec![(":method", method), (":authority", "a")];
                if method != "CONNECT" {
                    fields.extend([(":scheme", "http"), (":path", "/")]);
                }
                fields.extend(headers);
                self.headers(stream, &fields, end).await;
            }
            Act::Data(stream, text, end) => {
                self.frame(DATA, if end { END_STREAM } else { 0 }, stream, text.as_bytes()).await;
            }
            Act::Trailers(stream) => self.headers(stream, &[("x-sum", "1")], true).await,
            Act::Rst(stream, code) => {
                self.frame(RST_STREAM, 0, stream, &code.to_be_bytes()).await;
            }
            Act::Window(stream, bytes) => {
                self.frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await;
            }
            Act::GoAway => self.frame(GOAWAY, 0, 0, &[0; 8]).await,
            Act::ReadData(stream) => {
                self.frames_until(|frame| frame.stream == stream && frame.kind == DATA).await;
            }
            Act::ReadStream(stream) => {
                self.frames_until(|frame| {
                    let ends = match frame.kind {
                        DATA | HEADERS => frame.flags & END_STREAM != 0,
                        kind => kind == RST_STREAM,
                    };
                    frame.stream == stream && ends
                })
                .await;
            }
        }
    }

    fn stream(&mut self) -> &mut TcpStream {
        self.stream.as_mut().expect("the script has closed the connection")
    }

    /// With FIN: a socket that is closed while there is something to be read in it sends RST.
    fn close(&mut self) {
        let mut stream = self.stream.take().unwrap().into_std().unwrap();
        while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream().write_all(bytes).await.unwrap();
    }

    /// Reads once. `false` at the end of the connection.
    async fn more(&mut self) -> bool {
        let Self { stream, unseen, .. } = self;
        let stream = stream.as_mut().expect("the script has closed the connection");
        let end = match stream.read_buf(unseen).await {
            Ok(0) => End::Eof,
            Ok(_) => return true,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => End::Reset,
            Err(error) => panic!("{error}"),
        };
        self.received.end = Some(end);
        false
    }

    async fn read(&mut self, text: &str) {
        loop {
            let found =
                self.unseen.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found {
                self.received.text.0.extend(self.unseen.drain(..at + text.len()));
                return;
            }
            assert!(self.more().await, "no {text:?} in {:?}", Text(self.unseen.clone()));
        }
    }

    async fn greet(&mut self, window: Option<u32>) {
        self.greeted = true;
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let window = window.map(|window| [&[0, 4][..], &window.to_be_bytes()].concat());
        self.frame(SETTINGS, 0, 0, &window.unwrap_or_default()).await;
    }

    /// Literal fields without indexing and without Huffman coding (RFC 7541 section 6.2.2).
    async fn headers(&mut self, stream: u32, fields: &[(&str, &str)], end: bool) {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).ok().filter(|len| *len < 127).unwrap());
                block.extend(text.as_bytes());
            }
        }
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        self.frame(HEADERS, flags, stream, &block).await;
    }

    async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send(&Self::encode(kind, flags, stream, payload)).await;
    }

    /// Not to be relied on: the script may have closed its direction.
    async fn acknowledge(&mut self, kind: u8, payload: &[u8]) {
        let _ = self.stream().write_all(&Self::encode(kind, ACK, 0, payload)).await;
    }

    fn encode(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = vec![len[1], len[2], len[3], kind, flags];
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    async fn frames_until(&mut self, last: impl Fn(&RawFrame) -> bool) {
        loop {
            let Some((frame, size)) = RawFrame::parse(&self.unseen) else {
                if self.more().await {
                    continue;
                }
                return;
            };
            self.unseen.drain(..size);
            let ack = frame.flags & ACK != 0;
            match frame.kind {
                SETTINGS if !ack => self.acknowledge(SETTINGS, &[]).await,
                PING if !ack => self.acknowledge(PING, &frame.payload).await,
                _ => {}
            }
            let over = last(&frame);
            self.received.frames.push(frame);
            if over {
                return;
            }
        }
    }
}

impl RawFrame {
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let (head, rest) = bytes.split_first_chunk::<9>()?;
        let [a, b, c, kind, flags, stream @ ..] = *head;
        let len = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
        let payload = rest.get(..len)?.to_vec();
        Some((Self { kind, flags, stream: u32::from_be_bytes(stream), payload }, 9 + len))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for RawFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, flags, stream, payload } = self;
        write!(f, "{kind}/{flags}@{stream}[{}]", payload.len())?;
        match str::from_utf8(payload) {
            Ok(text) if *kind == DATA && text.len() < 80 => write!(f, "{text:?}"),
            _ => write!(f, "{:02x?}", &payload[..payload.len().min(40)]),
        }
    }
}
