//! The attributes of metrics: few, and of few values each.

use std::sync::Arc;

use opentelemetry::{Key, KeyValue, Value};

use crate::{
    Role,
    semconv::{
        Outcome, Request, Text,
        names::{attribute as name, own},
    },
};

/// Of an exchange that is over: method, two of its side, target, status, error, version.
const MOST: usize = 7;

/// What the head of a request tells metrics, kept until the close.
pub(super) struct Labels {
    pub(super) method: Text,
    pub(super) side: Side,
    /// As far as it was known when the exchange began.
    pub(super) route: Option<Text>,
}

pub(super) enum Side {
    /// Whom a client says to address is not told: it may say anything.
    Server {
        scheme: &'static str,
    },
    Client {
        server: Option<(Arc<str>, Option<u16>)>,
    },
}

impl Labels {
    pub(super) fn new(request: &Request<'_>, role: Role, route: Option<Text>) -> Self {
        let side = match role {
            Role::Server => Side::Server { scheme: request.scheme() },
            Role::Client => {
                Side::Client { server: request.server().map(|(host, port)| (host.into(), port)) }
            }
        };
        Self { method: request.method(), side, route }
    }

    pub(super) fn role(&self) -> Role {
        match self.side {
            Side::Server { .. } => Role::Server,
            Side::Client { .. } => Role::Client,
        }
    }

    /// Of an exchange that is open: what is known from its begin to its end.
    pub(super) fn of_open(&self) -> Vec<KeyValue> {
        match self.role() {
            Role::Server => self.of_request(2),
            Role::Client => self.of_target(None, 4),
        }
    }

    /// Of one that is over.
    pub(super) fn of_closed(&self, late: Option<&Text>, outcome: &Outcome) -> Vec<KeyValue> {
        let mut labels = self.of_target(late, MOST);
        if let Some(code) = outcome.status {
            labels.push(KeyValue::new(name::HTTP_RESPONSE_STATUS_CODE, i64::from(code)));
        }
        if let Some(error) = &outcome.error_type {
            labels.push(KeyValue::new(name::ERROR_TYPE, error.clone()));
        }
        if let Some(version) = outcome.version {
            labels.push(KeyValue::new(name::NETWORK_PROTOCOL_VERSION, version));
        }
        labels
    }

    /// Of one who waited on another.
    pub(super) fn of_wait(&self, late: Option<&Text>, on: &'static str) -> Vec<KeyValue> {
        let mut labels = self.of_target(late, MOST);
        labels.push(KeyValue::new(own::WAIT_ON, on));
        labels
    }

    /// With room for so many.
    fn of_request(&self, room: usize) -> Vec<KeyValue> {
        let mut labels = Vec::with_capacity(room);
        labels.push(KeyValue::new(name::HTTP_REQUEST_METHOD, self.method.clone()));
        match &self.side {
            Side::Server { scheme } => labels.push(KeyValue::new(name::URL_SCHEME, *scheme)),
            Side::Client { server: None } => {}
            Side::Client { server: Some((host, number)) } => {
                labels.push(KeyValue::new(name::SERVER_ADDRESS, Arc::clone(host)));
                labels.extend(number.map(|number| port(name::SERVER_PORT, number)));
            }
        }
        labels
    }

    fn of_target(&self, late: Option<&Text>, room: usize) -> Vec<KeyValue> {
        let mut labels = self.of_request(room);
        if let Some(route) = self.route.as_ref().or(late) {
            labels.push(target(self.role(), route));
        }
        labels
    }
}

/// `http.route`, or at a client `url.template`.
pub(super) fn target(role: Role, route: &Text) -> KeyValue {
    let key = match role {
        Role::Server => name::HTTP_ROUTE,
        Role::Client => name::URL_TEMPLATE,
    };
    KeyValue::new(key, route.clone())
}

pub(super) fn port(key: &'static str, port: u16) -> KeyValue {
    KeyValue::new(key, i64::from(port))
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        match text {
            Text::Static(text) => text.into(),
            Text::Shared(text) => text.into(),
        }
    }
}

impl From<Text> for Key {
    fn from(text: Text) -> Self {
        match text {
            Text::Static(text) => text.into(),
            Text::Shared(text) => text.into(),
        }
    }
}
