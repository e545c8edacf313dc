//! What clients do.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Action, sixty, text};

/// What the client does next, on one of its connections.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Step {
    #[serde(default = "first")]
    pub(crate) conn: String,
    #[serde(flatten)]
    pub(crate) act: Act,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Act {
    Connect { rcvbuf: Option<u32> },
    Send(Send),
    SendRestNowait(Send),
    Wait { ms: u64 },
    Sync(Sync),
    ReadResponse(ReadResponse),
    ReadBytes { n: usize, timeout_ms: Option<u64> },
    ReadAll { timeout_ms: Option<u64>, count: Option<bool> },
    HalfClose,
    Close { drain: Option<bool> },
    Reset,
    Server { action: Action },
    H2Open { settings: Option<HashMap<String, u32>> },
    H2Headers(H2Headers),
    H2Data { stream: u32, n: Option<usize>, end_stream: Option<bool> },
    H2Trailers { stream: u32, headers: Map<String, Value> },
    H2Rst { stream: u32, code: Option<u32> },
    H2Goaway { last: Option<u32>, code: Option<u32> },
    H2Window { stream: Option<u32>, n: u32 },
    H2Ping,
    H2Read(H2Read),
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Send {
    text: Option<String>,
    hex: Option<String>,
    fill: Option<Fill>,
    chunk: Option<usize>,
    #[serde(default)]
    last_chunk: bool,
    trailers: Option<Map<String, Value>>,
    pub(crate) timeout_ms: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Fill {
    n: usize,
    byte: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sync {
    pub(crate) event: String,
    pub(crate) n: Option<usize>,
    /// Of this exchange.
    pub(crate) x: Option<usize>,
    #[serde(default = "sixty")]
    pub(crate) fallback_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ReadResponse {
    /// The answer to HEAD: there is no body.
    #[serde(default)]
    pub(crate) head: bool,
    #[serde(default)]
    pub(crate) head_only: bool,
    pub(crate) timeout_ms: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct H2Headers {
    pub(crate) stream: u32,
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    #[serde(default)]
    pub(crate) headers: Map<String, Value>,
    #[serde(default)]
    pub(crate) end_stream: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct H2Read {
    pub(crate) until: Until,
    pub(crate) stream: Option<u32>,
    #[serde(default)]
    pub(crate) n: usize,
    pub(crate) auto_window: Option<bool>,
    pub(crate) timeout_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Until {
    Headers,
    End,
    Rst,
    Bytes,
    Goaway,
}

fn first() -> String {
    "a".to_owned()
}

// ===== impl Act =====

impl Act {
    /// Whether it may break the rules of a stream.
    pub(super) const fn is_raw_http2(&self) -> bool {
        matches!(
            self,
            Self::H2Rst { .. }
                | Self::H2Data { .. }
                | Self::H2Trailers { .. }
                | Self::H2Window { .. }
        )
    }
}

// ===== impl Step =====

impl Step {
    /// Whether it sends more than one request at once.
    pub(crate) fn pipelines(&self) -> bool {
        match &self.act {
            Act::Send(Send { text: Some(text), .. }) => text.matches(" HTTP/1.").count() > 1,
            _ => false,
        }
    }

    /// Whether it is a request that says in two ways how long it is.
    pub(crate) fn has_two_lengths(&self) -> bool {
        match &self.act {
            Act::Send(Send { text: Some(text), .. }) => {
                let text = text.to_lowercase();
                text.contains("\ncontent-length:") && text.contains("\ntransfer-encoding:")
            }
            _ => false,
        }
    }

    /// Whether it is a request of HTTP/1.0 that wants to keep the connection.
    pub(crate) fn keeps_http10(&self) -> bool {
        match &self.act {
            Act::Send(Send { text: Some(text), .. }) => {
                text.contains("HTTP/1.0") && text.to_lowercase().contains("keep-alive")
            }
            _ => false,
        }
    }

    /// Whether it is a request of HTTP/2 that says how long it is.
    pub(crate) fn declares_length_over_http2(&self) -> bool {
        matches!(&self.act, Act::H2Headers(request) if request.headers.contains_key("content-length"))
    }

    /// Whether it is a request whose client takes trailers.
    pub(crate) fn asks_for_trailers(&self) -> bool {
        match &self.act {
            Act::Send(Send { text: Some(text), .. }) => {
                text.to_lowercase().lines().any(|line| line.trim() == "te: trailers")
            }
            Act::H2Headers(headers) => headers.headers.contains_key("te"),
            _ => false,
        }
    }
}

// ===== impl Send =====

impl Send {
    /// Whether it is a whole request, and nothing else.
    pub(crate) fn is_bodiless_request(&self) -> bool {
        let text = self.text.as_deref().unwrap_or_default().to_lowercase();
        let sized = text.contains("content-length:") || text.contains("transfer-encoding:");
        text.ends_with("\r\n\r\n") && !sized && self.fill.is_none() && self.chunk.is_none()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = match (&self.text, &self.hex) {
            // As Latin-1, so that any byte can be written.
            (Some(text), _) => text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect(),
            (None, Some(hex)) => unhex(hex),
            (None, None) => Vec::new(),
        };
        if let Some(Fill { n, byte }) = &self.fill {
            let byte = byte.as_ref().and_then(|byte| byte.bytes().next()).unwrap_or(b'x');
            bytes.resize(bytes.len() + n, byte);
        }
        if let Some(n) = self.chunk {
            bytes.extend(format!("{n:x}\r\n").bytes());
            bytes.resize(bytes.len() + n, b'c');
            bytes.extend(b"\r\n");
        }
        if self.last_chunk {
            bytes.extend(b"0\r\n");
            for (name, value) in self.trailers.iter().flatten() {
                bytes.extend(format!("{name}: {}\r\n", text(value)).bytes());
            }
            bytes.extend(b"\r\n");
        }
        bytes
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    let byte = |pair: &[u32]| pair.iter().fold(0, |byte, digit| byte * 16 + digit);
    digits.chunks(2).map(|pair| u8::try_from(byte(pair)).unwrap_or(0)).collect()
}
