//! Attributes as tests compare them.

use std::collections::BTreeMap;

use opentelemetry::{KeyValue, Value};

/// By their names, with their types.
pub(crate) type Attributes = BTreeMap<String, Value>;

/// What is another each time. Its type is looked at elsewhere.
pub(crate) const ANY: &str = "*";

/// Those whose value is another each time.
const VOLATILE: [&str; 7] = [
    "network.peer.port",
    "tower_lifecycle.request.body.wait_on_client",
    "tower_lifecycle.request.body.wait_on_handler",
    "tower_lifecycle.response.body.wait_on_consumer",
    "tower_lifecycle.response.body.wait_on_producer",
    "tower_lifecycle.response.first_data",
    "tower_lifecycle.response.head.duration",
];

/// As they were told, where each name is there once.
pub(crate) fn told(attributes: &[KeyValue]) -> Attributes {
    let mut told = Attributes::new();
    for KeyValue { key, value, .. } in attributes {
        let name = key.as_str();
        let value = if VOLATILE.contains(&name) { ANY.into() } else { value.clone() };
        assert!(told.insert(name.to_owned(), value).is_none(), "{name} is told twice");
    }
    told
}

/// As they are expected: numbers where they are numbers.
pub(crate) fn expected<'a>(attributes: impl IntoIterator<Item = (&'a str, Value)>) -> Attributes {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
