//! HTTP/2 frame by frame (RFC 9113), with the least of HPACK (RFC 7541).

use std::{fmt, io};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Client, because, within};

/// The largest payload that either side may send, since we never allow more.
const MAX_PAYLOAD: usize = 16_384;

/// A frame of HTTP/2. Its kinds and flags are numbers, as in the RFC, so that wrong ones can be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Http2Frame {
    /// The type: one of the constants, or any.
    pub kind: u8,
    /// The flags, of which the meaning depends on the kind.
    pub flags: u8,
    /// The stream; zero for the connection.
    pub stream: u32,
    /// All behind the nine bytes of the frame's head.
    pub payload: Bytes,
}

impl Http2Frame {
    /// A kind: bytes of a body.
    pub const DATA: u8 = 0;
    /// A kind: a head, or trailers.
    pub const HEADERS: u8 = 1;
    /// A kind: a stream is broken off; the payload is the error code.
    pub const RST_STREAM: u8 = 3;
    /// A kind: what a side asks of the other.
    pub const SETTINGS: u8 = 4;
    /// A kind: asks for an answer.
    pub const PING: u8 = 6;
    /// A kind: no new streams.
    pub const GOAWAY: u8 = 7;
    /// A kind: so many bytes more may be sent.
    pub const WINDOW_UPDATE: u8 = 8;

    /// A flag of data and headers: the last of its stream.
    pub const END_STREAM: u8 = 1;
    /// A flag of settings and pings: an answer.
    pub const ACK: u8 = 1;
    /// A flag of headers: no more of them follow.
    pub const END_HEADERS: u8 = 4;

    /// The error code of a stream that went well.
    pub const NO_ERROR: u32 = 0;
    /// The error code of a stream that nobody is interested in any more: what browsers send.
    pub const CANCEL: u32 = 8;

    /// A frame without a payload.
    pub const fn new(kind: u8, flags: u8, stream: u32) -> Self {
        Self { kind, flags, stream, payload: Bytes::new() }
    }

    /// The same with a payload.
    pub fn with(self, payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), ..self }
    }

    /// Whether the stream is over for who sent it: an end, or a reset.
    pub const fn ends_stream(&self) -> bool {
        match self.kind {
            Self::DATA | Self::HEADERS => self.flags & Self::END_STREAM != 0,
            kind => kind == Self::RST_STREAM,
        }
    }

    fn encode(&self) -> io::Result<Bytes> {
        let len = u32::try_from(self.payload.len()).ok().filter(|len| *len < 1 << 24);
        let len = len.ok_or_else(|| invalid_input("a frame has less than 16 MiB"))?;
        let mut bytes = BytesMut::with_capacity(9 + self.payload.len());
        bytes.put_uint(len.into(), 3);
        bytes.put_u8(self.kind);
        bytes.put_u8(self.flags);
        bytes.put_u32(self.stream);
        bytes.put_slice(&self.payload);
        Ok(bytes.freeze())
    }

    /// Takes a frame from the beginning of `bytes`, if it is there as a whole.
    fn decode(bytes: &mut BytesMut) -> io::Result<Option<Self>> {
        let Some((head, rest)) = bytes.split_first_chunk::<9>() else { return Ok(None) };
        let [a, b, c, kind, flags, stream @ ..] = *head;
        let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        if len > MAX_PAYLOAD {
            let error = format!("a frame of {len} bytes, which we did not allow");
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        if rest.len() < len {
            return Ok(None);
        }
        bytes.advance(9);
        let payload = bytes.split_to(len).freeze();
        // The first bit is reserved.
        let stream = u32::from_be_bytes(stream) & !(1 << 31);
        Ok(Some(Self { kind, flags, stream, payload }))
    }
}

/// HTTP/2. The first argument is the stream, which a client numbers 1, 3, 5 and so on.
///
/// No account is kept of flow control: a server that was sent 65,535 bytes takes more when it says so.
impl Client {
    /// Sends the preface, and settings with an initial window for each stream, if given: a small one makes the server wait.
    /// [`request`](Self::request) does it where it was not done.
    ///
    /// # Errors
    /// As [above](Self#errors).
    pub async fn preface(&mut self, window: Option<u32>) -> io::Result<()> {
        self.greeted = true;
        let mut settings = BytesMut::new();
        if let Some(window) = window {
            settings.put_u16(4);
            settings.put_u32(window);
        }
        self.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        self.send_frame(Http2Frame::new(Http2Frame::SETTINGS, 0, 0).with(settings)).await
    }

    /// Sends a request's head, which is all of it when `end`. `headers` follow the pseudo-headers, in which the scheme is
    /// `http` and the authority `localhost`; of a `CONNECT` the path is not sent.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) when it does not fit in a frame; and as [above](Self#errors).
    pub async fn request<'a>(
        &mut self,
        stream: u32,
        method: &'a str,
        path: &'a str,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        end: bool,
    ) -> io::Result<()> {
        if !self.greeted {
            self.preface(None).await?;
        }
        let target = [(":scheme", "http"), (":path", path)];
        let target = target.into_iter().filter(|_| method != "CONNECT");
        let fields = [(":method", method), (":authority", "localhost")].into_iter();
        self.headers(stream, fields.chain(target).chain(headers), end).await
    }

    /// Sends so much of a request's body, in as many frames as it takes.
    ///
    /// # Errors
    /// As [above](Self#errors).
    pub async fn data(
        &mut self,
        stream: u32,
        bytes: impl Into<Bytes>,
        end: bool,
    ) -> io::Result<()> {
        let mut bytes = bytes.into();
        loop {
            let payload = bytes.split_to(bytes.len().min(MAX_PAYLOAD));
            let flags = if end && bytes.is_empty() { Http2Frame::END_STREAM } else { 0 };
            let frame = Http2Frame::new(Http2Frame::DATA, flags, stream).with(payload);
            self.send_frame(frame).await?;
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Sends trailers, with which the request ends.
    ///
    /// # Errors
    /// As of [`request`](Self::request).
    pub async fn trailers<'a>(
        &mut self,
        stream: u32,
        trailers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> io::Result<()> {
        self.headers(stream, trailers, true).await
    }

    /// Breaks the stream off, with a code such as [`Http2Frame::CANCEL`]. The connection lives on.
    ///
    /// # Errors
    /// As [above](Self#errors).
    pub async fn rst_stream(&mut self, stream: u32, code: u32) -> io::Result<()> {
        let frame = Http2Frame::new(Http2Frame::RST_STREAM, 0, stream);
        self.send_frame(frame.with(code.to_be_bytes().to_vec())).await
    }

    /// Lets the server send so many bytes more; for stream zero, on all streams together.
    ///
    /// # Errors
    /// As [above](Self#errors).
    pub async fn window_update(&mut self, stream: u32, bytes: u32) -> io::Result<()> {
        let frame = Http2Frame::new(Http2Frame::WINDOW_UPDATE, 0, stream);
        self.send_frame(frame.with(bytes.to_be_bytes().to_vec())).await
    }

    /// Says that it will be gone soon, without an error: a server answers what it has and starts nothing new.
    ///
    /// # Errors
    /// As [above](Self#errors).
    pub async fn goaway(&mut self) -> io::Result<()> {
        self.send_frame(Http2Frame::new(Http2Frame::GOAWAY, 0, 0).with(vec![0; 8])).await
    }

    /// Sends any frame, however wrong.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a payload of 16 MiB or more; and as [above](Self#errors).
    pub async fn send_frame(&mut self, frame: Http2Frame) -> io::Result<()> {
        self.send(frame.encode()?).await
    }

    /// Receives a frame; `None` when the server has closed. Settings and pings are answered. Not cancel safe: an answer
    /// may be sent in part.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) within a frame, [`InvalidData`](io::ErrorKind::InvalidData) for one
    /// of more than 16 KiB; and as [above](Self#errors).
    pub async fn read_frame(&mut self) -> io::Result<Option<Http2Frame>> {
        let frame = within(self.patience, self.next_frame()).await?;
        if let Some(Http2Frame { kind, flags, payload, .. }) = &frame {
            let asks = matches!(*kind, Http2Frame::SETTINGS | Http2Frame::PING);
            if asks && flags & Http2Frame::ACK == 0 {
                let echo = if *kind == Http2Frame::PING { payload.clone() } else { Bytes::new() };
                let answer = Http2Frame::new(*kind, Http2Frame::ACK, 0).with(echo);
                // Not to be relied on: a client that has closed its direction answers nothing.
                let _ = self.send_frame(answer).await;
            }
        }
        Ok(frame)
    }

    /// Receives frames up to and with the first that `is` it, and returns all of them.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the server closes before; and as of
    /// [`read_frame`](Self::read_frame).
    pub async fn read_frames_until(
        &mut self,
        mut is: impl FnMut(&Http2Frame) -> bool,
    ) -> io::Result<Vec<Http2Frame>> {
        let mut frames = Vec::new();
        let read = within(self.patience, async {
            loop {
                let frame = self.read_frame().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
                frames.push(frame);
                if frames.last().is_some_and(&mut is) {
                    return Ok(());
                }
            }
        });
        match read.await {
            Ok(()) => Ok(frames),
            Err(error) => Err(because(&error, format_args!("not in {frames:?}"))),
        }
    }

    async fn next_frame(&mut self) -> io::Result<Option<Http2Frame>> {
        loop {
            let frame = Http2Frame::decode(&mut self.unread)?;
            if frame.is_some() {
                return Ok(frame);
            }
            if !self.more().await? {
                let within_one = !self.unread.is_empty();
                return if within_one {
                    Err(io::ErrorKind::UnexpectedEof.into())
                } else {
                    Ok(None)
                };
            }
        }
    }

    /// Literal fields without indexing and without Huffman coding (RFC 7541 section 6.2.2).
    async fn headers<'a>(
        &mut self,
        stream: u32,
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
        end: bool,
    ) -> io::Result<()> {
        let mut block = BytesMut::new();
        for (name, value) in fields {
            block.put_u8(0);
            for text in [name, value] {
                put_length(&mut block, text.len());
                block.put_slice(text.as_bytes());
            }
        }
        if block.len() > MAX_PAYLOAD {
            return Err(invalid_input("more headers than fit in a frame"));
        }
        let flags = Http2Frame::END_HEADERS | if end { Http2Frame::END_STREAM } else { 0 };
        self.send_frame(Http2Frame::new(Http2Frame::HEADERS, flags, stream).with(block)).await
    }
}

/// An integer with a prefix of seven bits (RFC 7541 section 5.1).
fn put_length(block: &mut BytesMut, length: usize) {
    const PREFIX: usize = 127;
    let Some(mut more) = length.checked_sub(PREFIX) else {
        block.put_u8(low_bits(length));
        return;
    };
    block.put_u8(low_bits(PREFIX));
    while more > 127 {
        block.put_u8(low_bits(more) | 128);
        more >>= 7;
    }
    block.put_u8(low_bits(more));
}

fn low_bits(number: usize) -> u8 {
    number.to_le_bytes()[0] & 127
}

fn invalid_input(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// `1/5@1[3]…`: kind, flags, stream, length and the beginning of the payload.
impl fmt::Debug for Http2Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, flags, stream, payload } = self;
        let beginning = payload.slice(..payload.len().min(80));
        write!(f, "{kind}/{flags}@{stream}[{}]{beginning:?}", payload.len())
    }
}
