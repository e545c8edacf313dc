//! Reads an answer of HTTP/1, and says how far it came.

use serde_json::json;
use tokio::time::Instant;

use super::{Notes, deadline, notes, nothing, socket::Socket};
use crate::scenario::ReadResponse;

/// A longer body is told by its length alone.
const SHOWN: usize = 64;

struct Head {
    status: u16,
    /// Names in lower case.
    fields: Vec<(String, String)>,
    /// Whether the version keeps a connection that says nothing of it.
    persists: bool,
}

/// What came of a body.
struct Body {
    bytes: Vec<u8>,
    complete: bool,
    trailers: Notes,
}

pub(super) async fn read_response(socket: &mut Socket, read: &ReadResponse) -> Notes {
    let deadline = deadline(read.timeout_ms);
    let mut interim = Vec::new();
    let head = loop {
        let Some(head) = socket.take_until(b"\r\n\r\n", deadline).await else {
            let mut notes = nothing(socket);
            if !socket.unread().is_empty() {
                notes.insert("partial".to_owned(), socket.unread().len().into());
            }
            return with_interim(notes, &interim);
        };
        let Some(head) = Head::parse(&head) else {
            return notes([("got", json!("no HTTP")), ("partial", head.len().into())]);
        };
        if !(100..200).contains(&head.status) || head.status == 101 {
            break head;
        }
        interim.push(head.status);
    };
    let connection = head.connection();
    let seen = notes([("status", head.status.into()), ("connection", connection.into())]);
    let mut seen = with_interim(seen, &interim);
    if read.head_only || head.status == 101 {
        seen.insert("got".to_owned(), "head".into());
        return seen;
    }
    seen.insert("got".to_owned(), "response".into());
    let body = head.read_body(socket, read.head, deadline).await;
    body.tell(&mut seen, socket);
    seen
}

fn with_interim(mut notes: Notes, interim: &[u16]) -> Notes {
    if !interim.is_empty() {
        notes.insert("informational".to_owned(), interim.into());
    }
    notes
}

// ===== impl Head =====

impl Head {
    fn parse(head: &[u8]) -> Option<Self> {
        let head = String::from_utf8_lossy(head);
        let mut lines = head.split("\r\n");
        let mut start = lines.next()?.split(' ');
        let persists = start.next()? == "HTTP/1.1";
        let status = start.next()?.parse().ok()?;
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_lowercase(), value.trim().to_owned()))
        };
        Some(Self { status, fields: lines.filter_map(field).collect(), persists })
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// What the version says where the head says nothing.
    fn connection(&self) -> String {
        let unsaid = if self.persists { "keep-alive" } else { "close" };
        self.field("connection").unwrap_or(unsaid).to_lowercase()
    }

    async fn read_body(&self, socket: &mut Socket, bodiless: bool, deadline: Instant) -> Body {
        let chunked =
            self.field("transfer-encoding").is_some_and(|field| field.contains("chunked"));
        let length = self.field("content-length").and_then(|length| length.parse().ok());
        if bodiless || matches!(self.status, 204 | 304) {
            Body::of(&[], true)
        } else if chunked {
            Body::chunked(socket, deadline).await
        } else if let Some(length) = length {
            let (bytes, complete) = socket.take(length, deadline).await;
            Body::of(&bytes, complete)
        } else {
            let bytes = socket.take_all(deadline).await;
            Body::of(&bytes, socket.ending() == "eof")
        }
    }
}

// ===== impl Body =====

impl Body {
    fn of(bytes: &[u8], complete: bool) -> Self {
        Self { bytes: bytes.into(), complete, trailers: Notes::new() }
    }

    async fn chunked(socket: &mut Socket, deadline: Instant) -> Self {
        let mut body = Self::of(&[], false);
        while let Some(line) = socket.take_until(b"\r\n", deadline).await {
            let line = String::from_utf8_lossy(&line);
            let size = line.trim().split(';').next().unwrap_or_default();
            let Ok(size) = usize::from_str_radix(size, 16) else { break };
            if size == 0 {
                body.complete = body.read_trailers(socket, deadline).await;
                break;
            }
            let (bytes, whole) = socket.take(size + 2, deadline).await;
            body.bytes.extend(&bytes[..bytes.len().min(size)]);
            if !whole {
                break;
            }
        }
        body
    }

    /// Whether they came to their end.
    async fn read_trailers(&mut self, socket: &mut Socket, deadline: Instant) -> bool {
        while let Some(line) = socket.take_until(b"\r\n", deadline).await {
            let line = String::from_utf8_lossy(&line);
            let Some((name, value)) = line.split_once(':') else { return true };
            self.trailers.insert(name.trim().to_lowercase(), value.trim().into());
        }
        false
    }

    fn tell(self, seen: &mut Notes, socket: &Socket) {
        let mut put = |key: &str, value| seen.insert(key.to_owned(), value);
        put("body_len", self.bytes.len().into());
        if self.bytes.len() <= SHOWN {
            put("body", String::from_utf8_lossy(&self.bytes).into());
        }
        put("complete", self.complete.into());
        if !self.trailers.is_empty() {
            put("trailers", self.trailers.into());
        }
        if !self.complete {
            put("end", socket.ending().into());
        }
    }
}
