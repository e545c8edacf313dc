//! What handlers do.

use serde::Deserialize;
use serde_json::{Map, Value};

/// What the handler does next.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Op {
    ReadBody,
    ReadReadable,
    ReadChunks { n: usize },
    ReadIter { break_after: Option<usize>, stop_on_error: Option<bool> },
    ResumeIgnore,
    AttachData,
    Resume,
    Pause,
    Wait { ms: u64 },
    Park { ms: u64 },
    WaitEvent { on: String, event: String },
    Status { status: u16 },
    SetHeader { name: String, value: Value },
    Head(Head),
    EarlyHints,
    Continue,
    Write(Payload),
    Stream(Stream),
    Pipe(Pipe),
    Trailers { headers: Map<String, Value> },
    End(Payload),
    DestroyRes,
    DestroyReq,
    DestroySocket,
    ResTimeout { ms: u64, status: Option<u16> },
    Throw,
    AttachLate,
    Express(Helper),
    Server { action: Action },
    H2Close { code: Option<u32> },
    RawWrite { text: String },
    RawEnd { text: Option<String> },
    RawDestroy,
    RawEcho,
    RawAutoend,
    RawErrorListener,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Head {
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) headers: Map<String, Value>,
}

/// Bytes, as a text or as a number of the same byte.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Payload {
    pub(crate) text: Option<String>,
    pub(crate) bytes: Option<usize>,
    pub(crate) fill: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Stream {
    /// None is without end.
    pub(crate) chunks: Option<usize>,
    #[serde(flatten)]
    pub(crate) payload: Payload,
    #[serde(default)]
    pub(crate) pause_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Pipe {
    pub(crate) chunks: usize,
    pub(crate) bytes: usize,
    #[serde(default = "one")]
    pub(crate) pause_ms: u64,
    pub(crate) error_after: Option<usize>,
    #[serde(default)]
    pub(crate) mode: PipeMode,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PipeMode {
    #[default]
    Pipe,
    Pipeline,
}

/// A helper of Express.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "call", rename_all = "camelCase")]
pub(crate) enum Helper {
    Json,
    Send,
    SendStatus {
        status: u16,
    },
    SendFile {
        bytes: usize,
    },
    Redirect,
    Next,
    #[serde(rename = "next_error")]
    NextError,
}

/// What is done to the server as a whole.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Close,
    CloseAll,
    CloseIdle,
    H2SessionClose,
    H2SessionDestroy,
    H2Goaway,
}

const fn one() -> u64 {
    1
}

// ===== impl Op =====

impl Op {
    /// Whether it has to do with the request's body.
    pub(crate) fn reads(&self) -> bool {
        matches!(
            self,
            Self::ReadBody
                | Self::ReadReadable
                | Self::ReadChunks { .. }
                | Self::ReadIter { .. }
                | Self::ResumeIgnore
                | Self::AttachData
                | Self::Resume
                | Self::Pause
                | Self::Continue
        )
    }
}

// ===== impl Payload =====

impl Payload {
    pub(crate) const fn empty() -> Self {
        Self { text: None, bytes: None, fill: None }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        if let Some(text) = &self.text {
            return text.clone().into_bytes();
        }
        let fill = self.fill.as_ref().and_then(|fill| fill.bytes().next());
        vec![fill.unwrap_or(b'r'); self.bytes.unwrap_or(0)]
    }
}
