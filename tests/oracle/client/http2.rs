//! As little of HTTP/2 as a client needs that breaks its rules: frames, and what came of each stream.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Notes, deadline, notes, socket::Socket};
use crate::scenario::{Act, H2Headers, H2Read, Until, text};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// Of PING and SETTINGS `ACK`, of others `END_STREAM`.
const FIRST_FLAG: u8 = 1;
const END_HEADERS: u8 = 4;

/// The most that a frame may carry, as nobody asked for more.
const FRAME: usize = 16384;

/// What came so far.
#[derive(Default)]
pub(crate) struct Http2 {
    streams: HashMap<u32, Stream>,
    goaway: Option<Value>,
}

#[derive(Clone, Default)]
struct Stream {
    data: usize,
    status: Option<Value>,
    trailers: bool,
    ended: bool,
    reset: Option<u32>,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: bytes::Bytes,
}

/// The steps at which nothing is to be seen.
pub(super) async fn send(socket: &mut Socket, act: &Act) {
    match act {
        Act::H2Open { settings } => {
            let settings =
                settings.iter().flatten().flat_map(|(name, value)| setting(name, *value));
            let settings = settings.collect::<Vec<_>>();
            let hello = [PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat();
            socket.send(&hello, deadline(None)).await;
            pump(socket, deadline(None), false, |_, frame| frame.kind == SETTINGS).await;
        }
        Act::H2Headers(headers) => {
            let flags = END_HEADERS | u8::from(headers.end_stream);
            put(socket, HEADERS, flags, headers.stream, &request(headers)).await;
        }
        Act::H2Trailers { stream, headers } => {
            let fields = headers.iter().flat_map(|(name, value)| field(name, &text(value)));
            let flags = END_HEADERS | FIRST_FLAG;
            put(socket, HEADERS, flags, *stream, &fields.collect::<Vec<_>>()).await;
        }
        Act::H2Data { stream, n, end_stream } => {
            let mut left = n.unwrap_or(0);
            loop {
                let size = left.min(FRAME);
                left -= size;
                let last = u8::from(left == 0 && *end_stream == Some(true));
                put(socket, DATA, last, *stream, &vec![b'd'; size]).await;
                if left == 0 {
                    break;
                }
            }
        }
        Act::H2Rst { stream, code } => {
            put(socket, RST_STREAM, 0, *stream, &code.unwrap_or(8).to_be_bytes()).await;
        }
        Act::H2Goaway { last, code } => {
            let said = [last.unwrap_or(0).to_be_bytes(), code.unwrap_or(0).to_be_bytes()].concat();
            put(socket, GOAWAY, 0, 0, &said).await;
        }
        Act::H2Window { stream, n } => {
            put(socket, WINDOW_UPDATE, 0, stream.unwrap_or(0), &n.to_be_bytes()).await;
        }
        Act::H2Ping => {
            put(socket, PING, 0, 0, &[0; 8]).await;
            pump(socket, deadline(None), false, |_, frame| frame.kind == PING).await;
        }
        act => panic!("not a step on a socket: {act:?}"),
    }
}

/// Reads until something has come of a stream, and says what.
pub(super) async fn read(socket: &mut Socket, read: &H2Read) -> Notes {
    let stream = read.stream.unwrap_or(0);
    let there = |http2: &Http2| match read.until {
        Until::Goaway => false,
        until => http2.streams.get(&stream).is_some_and(|stream| stream.has(until, read.n)),
    };
    let ok = there(&socket.http2)
        || pump(
            socket,
            deadline(read.timeout_ms),
            read.auto_window.unwrap_or(true),
            |http2, frame| match read.until {
                Until::Goaway => frame.kind == GOAWAY,
                Until::Headers => frame.kind == HEADERS && frame.stream == stream,
                _ => frame.stream == stream && there(http2),
            },
        )
        .await;
    let mut seen = notes([("ok", ok.into())]);
    if !ok {
        seen.insert("end_conn".to_owned(), socket.ending().into());
    }
    if stream == 0 {
        seen.insert("goaway".to_owned(), socket.http2.goaway.clone().into());
    } else {
        let state = socket.http2.streams.get(&stream).cloned();
        let state = state.map(|state| state.tell(read.until)).unwrap_or_default();
        seen.insert("stream".to_owned(), stream.into());
        seen.insert("state".to_owned(), state.into());
    }
    seen
}

/// Takes frames, answers what must be answered, until one is the one. False when there are no more.
async fn pump(
    socket: &mut Socket,
    deadline: Instant,
    window: bool,
    is_it: impl Fn(&Http2, &Frame) -> bool,
) -> bool {
    while let Some(frame) = next(socket, deadline).await {
        let is_ack = frame.flags & FIRST_FLAG != 0;
        match frame.kind {
            SETTINGS if is_ack => continue,
            SETTINGS => put(socket, SETTINGS, FIRST_FLAG, 0, &[]).await,
            PING if !is_ack => put(socket, PING, FIRST_FLAG, 0, &frame.payload).await,
            DATA if window && !frame.payload.is_empty() => {
                let taken = u32::try_from(frame.payload.len()).unwrap().to_be_bytes();
                put(socket, WINDOW_UPDATE, 0, 0, &taken).await;
                put(socket, WINDOW_UPDATE, 0, frame.stream, &taken).await;
            }
            _ => {}
        }
        socket.http2.note(&frame);
        if is_it(&socket.http2, &frame) {
            return true;
        }
    }
    false
}

async fn next(socket: &mut Socket, deadline: Instant) -> Option<Frame> {
    const HEAD: usize = 9;
    let size = loop {
        if let [a, b, c, ..] = *socket.unread() {
            let size = HEAD + u32::from_be_bytes([0, a, b, c]) as usize;
            if socket.unread().len() >= size {
                break size;
            }
        }
        if !socket.fill(deadline).await {
            return None;
        }
    };
    let (mut bytes, _) = socket.take(size, deadline).await;
    let head = bytes.split_to(HEAD);
    let stream = number(&head[5..]) & 0x7fff_ffff;
    Some(Frame { kind: head[3], flags: head[4], stream, payload: bytes })
}

async fn put(socket: &mut Socket, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    socket.send(&frame(kind, flags, stream, payload), deadline(None)).await;
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&size[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn setting(name: &str, value: u32) -> Vec<u8> {
    let id: u16 = match name {
        "HEADER_TABLE_SIZE" => 1,
        "ENABLE_PUSH" => 2,
        "MAX_CONCURRENT_STREAMS" => 3,
        "INITIAL_WINDOW_SIZE" => 4,
        "MAX_FRAME_SIZE" => 5,
        other => panic!("no setting of HTTP/2: {other}"),
    };
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

fn request(headers: &H2Headers) -> Vec<u8> {
    let method = headers.method.as_deref().unwrap_or("GET");
    let path = headers.path.as_deref().unwrap_or("/");
    let pseudo =
        [(":method", method), (":path", path), (":scheme", "http"), (":authority", "localhost")];
    let pseudo = pseudo.into_iter().flat_map(|(name, value)| field(name, value));
    let fields = headers.headers.iter().flat_map(|(name, value)| field(name, &text(value)));
    pseudo.chain(fields).collect()
}

/// A literal without indexing.
fn field(name: &str, value: &str) -> Vec<u8> {
    let string = |text: &str| {
        let size = u8::try_from(text.len()).ok().filter(|size| *size < 127);
        let size = size.expect("a longer string needs a longer length");
        [&[size], text.as_bytes()].concat()
    };
    [vec![0], string(name), string(value)].concat()
}

// ===== impl Http2 =====

impl Http2 {
    fn note(&mut self, frame: &Frame) {
        let Frame { kind, flags, stream, payload } = frame;
        if *kind == GOAWAY {
            let code = payload.get(4..).map_or(0, number);
            self.goaway = Some(json!({ "last": number(payload), "code": code }));
        }
        let stream = self.streams.entry(*stream).or_default();
        match *kind {
            HEADERS if matches!(stream.status, Some(Value::Number(_))) => stream.trailers = true,
            HEADERS => stream.status = Some(status(payload)),
            DATA => stream.data += payload.len(),
            RST_STREAM => stream.reset = Some(number(payload)),
            _ => return,
        }
        stream.ended |= *kind != RST_STREAM && flags & FIRST_FLAG != 0;
    }
}

/// The status of a block of headers whose encoder puts it first, as all do: one of the static table, or `lit`.
fn status(block: &[u8]) -> Value {
    let resizes = block.iter().take_while(|byte| *byte & 0xe0 == 0x20).count();
    match block.get(resizes) {
        Some(0x88) => json!(200),
        Some(0x89) => json!(204),
        Some(0x8a) => json!(206),
        Some(0x8b) => json!(304),
        Some(0x8c) => json!(400),
        Some(0x8d) => json!(404),
        Some(0x8e) => json!(500),
        Some(_) => json!("lit"),
        None => Value::Null,
    }
}

// ===== impl Stream =====

impl Stream {
    fn has(&self, until: Until, n: usize) -> bool {
        match until {
            Until::Headers => self.status.is_some(),
            Until::End => self.ended || self.reset.is_some(),
            Until::Rst => self.reset.is_some(),
            Until::Bytes => self.data >= n,
            Until::Goaway => false,
        }
    }

    /// How many bytes came when enough had come is up to the frames.
    fn tell(self, until: Until) -> Notes {
        let mut state = Notes::new();
        let mut put = |key: &str, value| state.insert(key.to_owned(), value);
        if until != Until::Bytes {
            put("data", self.data.into());
        }
        if let Some(status) = self.status {
            put("status", status);
        }
        if self.trailers {
            put("trailers", true.into());
        }
        if self.ended {
            put("end", "END_STREAM".into());
        }
        if let Some(code) = self.reset {
            put("rst", code.into());
        }
        state
    }
}
