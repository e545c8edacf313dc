//! HTTP/1.1 as a client needs it here, at as little cost as can be: the servers are measured, not their clients.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use rustix::net::sockopt::set_socket_linger;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::machine::now;

/// A queue, as its owner knows it.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) name: Arc<str>,
    token: Arc<str>,
}

/// What a client has sent before it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Poll,
    /// One more byte lies behind the request: hyper keeps it and stops reading.
    Pipelined,
    /// A body that does not come to its end.
    HalfBody,
    /// A body of which nothing is sent.
    Expect,
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Fin,
    Rst,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    stream: TcpStream,
    /// Empty between two answers.
    read: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Nothing more comes on this connection.
    pub(crate) last: bool,
}

/// The answer to a poll.
#[derive(Debug, Deserialize)]
pub(crate) struct Events {
    pub(crate) data: Vec<Event>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: i64,
    /// Which it is of those that were sent to the queue.
    pub(crate) number: u64,
}

impl Shape {
    pub(crate) const ALL: [Self; 4] = [Self::Poll, Self::Pipelined, Self::HalfBody, Self::Expect];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Pipelined => "poll + 1 byte",
            Self::HalfBody => "half a body",
            Self::Expect => "`Expect: 100-continue`",
        }
    }

    /// The queue server parks it: it reads a body to its end before.
    pub(crate) const fn is_parked(self) -> bool {
        matches!(self, Self::Poll | Self::Pipelined)
    }

    const fn tail(self) -> &'static str {
        match self {
            Self::Poll => "\r\n",
            Self::Pipelined => "\r\nG",
            Self::HalfBody => "content-length: 10\r\n\r\n12345",
            Self::Expect => "expect: 100-continue\r\ncontent-length: 10\r\n\r\n",
        }
    }
}

impl Way {
    pub(crate) const ALL: [Self; 2] = [Self::Fin, Self::Rst];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fin => "FIN",
            Self::Rst => "RST",
        }
    }
}

impl Queue {
    pub(crate) fn new(name: &str, token: &Arc<str>) -> Self {
        Self { name: name.into(), token: Arc::clone(token) }
    }

    pub(crate) fn poll(&self, seen: i64, shape: Shape) -> Vec<u8> {
        self.get("", seen, shape.tail())
    }

    /// A poll that does not wait.
    pub(crate) fn peek(&self, seen: i64) -> Vec<u8> {
        self.get("&dont_block=true", seen, Shape::Poll.tail())
    }

    fn get(&self, more: &str, seen: i64, tail: &str) -> Vec<u8> {
        let Self { name, token } = self;
        format!(
            "GET /api/v1/events?queue_id={name}&last_event_id={seen}{more} HTTP/1.1\r\nhost: load\r\n\
             authorization: Bearer {token}\r\n{tail}"
        )
        .into_bytes()
    }
}

/// A request that sends an event to these queues.
pub(crate) fn send<'a>(
    queues: impl IntoIterator<Item = &'a Queue>,
    service: &str,
    number: u64,
) -> Vec<u8> {
    let names: Vec<String> =
        queues.into_iter().map(|queue| format!("\"{}\"", queue.name)).collect();
    let body = format!(
        r#"{{"queues":[{}],"event":{{"type":"load","number":{number}}}}}"#,
        names.join(",")
    );
    format!(
        "POST /api/v1/send HTTP/1.1\r\nhost: load\r\nauthorization: Bearer {service}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

// ===== impl Conn =====

/// Addresses of clients: each has 28,000 ports, and looks the longer for a free one the more are taken.
const ADDRESSES: RangeInclusive<u8> = 2..=65;
/// No answer here has more headers.
const HEADERS: usize = 16;

impl Conn {
    pub(crate) async fn open(server: SocketAddr) -> io::Result<Self> {
        let last = fastrand::u8(ADDRESSES);
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)))?;
        let stream = socket.connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    pub(crate) async fn write(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await
    }

    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.write(request).await?;
        self.answer().await
    }

    /// Not to be called again when it was dropped halfway.
    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        loop {
            if let Some((answer, rest)) = parse(&self.read)? {
                self.read.drain(..rest);
                if answer.status >= 200 {
                    return Ok(answer);
                }
                continue;
            }
            // Nothing is kept for an answer that has not begun to come.
            self.stream.readable().await?;
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Closes it, and says when.
    pub(crate) fn leave(self, way: Way) -> io::Result<u64> {
        if way == Way::Rst {
            set_socket_linger(&self.stream, Some(Duration::ZERO))?;
        }
        let at = now();
        drop(self);
        Ok(at)
    }
}

/// The first answer in these bytes, if all of it is there, and how long it is.
fn parse(bytes: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|error| invalid(error.to_string()))?;
    let httparse::Status::Complete(head) = parsed else { return Ok(None) };
    let value = |name: &str| {
        let mut headers = response.headers.iter();
        headers.find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    };
    let status = response.code.unwrap_or_default();
    let length = match value("content-length") {
        Some(length) => std::str::from_utf8(length).ok().and_then(|length| length.parse().ok()),
        None if status < 200 => Some(0),
        None => None,
    };
    let length: usize = length.ok_or_else(|| invalid("an answer of unknown length".to_owned()))?;
    let Some(body) = bytes.get(head..head + length) else { return Ok(None) };
    let last = value("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
    Ok(Some((Answer { status, body: body.to_vec(), last }, head + length)))
}

impl Answer {
    /// What a poll found.
    pub(crate) fn events(&self) -> io::Result<Vec<Event>> {
        let events: Events = serde_json::from_slice(&self.body)?;
        Ok(events.data)
    }
}
