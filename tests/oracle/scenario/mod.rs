//! A scenario as it stands in the file: what the handler does, what the client does, how the server is set up.

mod op;
mod step;

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use self::{
    op::{Action, Head, Helper, Op, Payload, Pipe, PipeMode, Stream},
    step::{Act, H2Headers, H2Read, ReadResponse, Step, Sync, Until},
};

/// The file.
#[derive(Deserialize)]
pub(crate) struct Scenarios {
    pub(crate) scenarios: Vec<Entry>,
}

/// A scenario that may not be understood, so that one of them does not hide the others.
#[derive(Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Scenario {
    pub(crate) frameworks: Vec<String>,
    #[serde(default)]
    pub(crate) server: Server,
    /// By path, or `default`.
    #[serde(default)]
    pub(crate) handler: HashMap<String, Vec<Op>>,
    pub(crate) client: Vec<Step>,
    /// Its outcome is up to chance.
    #[serde(default)]
    pub(crate) race: bool,
    /// How long to look after the last event, in milliseconds.
    #[serde(default = "sixty")]
    pub(crate) quiet_ms: u64,
}

/// How the server is set up. What is not listed here is not understood.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    #[serde(default)]
    pub(crate) options: Limits,
    #[serde(default)]
    pub(crate) props: Limits,
    pub(crate) check_continue: Option<String>,
    /// What is done about what is no request.
    pub(crate) client_error: Option<String>,
    #[serde(rename = "capture_rejections", default)]
    _capture_rejections: bool,
    pub(crate) upgrade: Option<Vec<Op>>,
    pub(crate) connect: Option<Vec<Op>>,
    #[serde(rename = "server_timeout_listener")]
    pub(crate) timeout_listener: Option<String>,
}

/// Options of `createServer` and properties of the server, in milliseconds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Limits {
    pub(crate) headers_timeout: Option<u64>,
    pub(crate) request_timeout: Option<u64>,
    pub(crate) keep_alive_timeout: Option<u64>,
    /// Of a socket on which nothing moves.
    pub(crate) timeout: Option<u64>,
    pub(crate) http_allow_half_open: Option<bool>,
    pub(crate) max_header_size: Option<usize>,
    /// How often Node looks at its timeouts; we have timers.
    #[serde(rename = "connectionsCheckingInterval")]
    _connections_checking_interval: Option<u64>,
}

const fn sixty() -> u64 {
    60
}

/// The text of a header's value, which may be written as a number.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

// ===== impl Entry =====

impl Entry {
    /// What stands there, or which part of it is not understood.
    pub(crate) fn read(&self) -> Result<Scenario, String> {
        serde_json::from_value(Value::Object(self.rest.clone())).map_err(|error| error.to_string())
    }
}

// ===== impl Scenario =====

impl Scenario {
    /// All that handlers may do, those of upgrades too.
    pub(crate) fn ops(&self) -> impl Iterator<Item = &Op> {
        let upgrades = self.server.upgrade.iter().chain(&self.server.connect);
        self.handler.values().chain(upgrades).flatten()
    }

    /// Whether a stream of HTTP/2 may end before its connection: by a reset, or for a mistake.
    pub(crate) fn resets_streams(&self) -> bool {
        self.is_http2() && self.client.iter().any(|step| step.act.is_raw_http2())
    }

    /// Whether the server may drop a connection.
    pub(crate) fn drops_connections(&self) -> bool {
        let drops = |action: &Action| matches!(action, Action::CloseAll | Action::H2SessionDestroy);
        let by_client = |step: &Step| matches!(&step.act, Act::Server { action } if drops(action));
        let by_handler = |op: &Op| match op {
            Op::Server { action } => drops(action),
            op => matches!(op, Op::DestroySocket),
        };
        self.server.limit(|limits| limits.timeout).is_some()
            || self.client.iter().any(by_client)
            || self.ops().any(by_handler)
    }

    /// The longest time that a handler waits for nothing, in milliseconds.
    pub(crate) fn longest_wait_ms(&self) -> u64 {
        let wait = |op: &Op| match op {
            Op::Wait { ms } => *ms,
            _ => 0,
        };
        self.ops().map(wait).max().unwrap_or(0)
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.client.iter().any(|step| matches!(step.act, Act::H2Open { .. }))
    }

    /// What the handler of `path` does.
    pub(crate) fn ops_of(&self, path: &str) -> Vec<Op> {
        self.handler.get(path).or_else(|| self.handler.get("default")).cloned().unwrap_or_default()
    }
}

// ===== impl Server =====

impl Server {
    /// Whether a client that sends no more may still wait for its answer.
    pub(crate) fn allows_half_open(&self) -> bool {
        self.limit(|limits| limits.http_allow_half_open) == Some(true)
    }

    /// A limit, wherever it was set.
    pub(crate) fn limit<T>(&self, of: impl Fn(&Limits) -> Option<T>) -> Option<T> {
        of(&self.props).or_else(|| of(&self.options))
    }
}
