//! Queries without the secrets that are known to stand in them.

use std::{borrow::Cow, sync::Arc};

use crate::text::cut;

/// The union of what the conventions 1.44 list and of what their next version adds.
const SENSITIVE: [&str; 7] = [
    "AWSAccessKeyId",
    "Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Goog-Signature",
    "sig",
];

/// What stands for a secret.
pub(super) const REDACTED: &str = "REDACTED";

/// What is told of a query.
#[derive(Clone, Debug)]
pub(super) enum QueryPolicy {
    Never,
    /// All but the values of these keys.
    Without(Arc<[Cow<'static, str>]>),
}

impl Default for QueryPolicy {
    fn default() -> Self {
        Self::Without(SENSITIVE.map(Cow::Borrowed).into())
    }
}

impl QueryPolicy {
    /// At most `max` bytes of it; `None` also of an empty one.
    pub(super) fn told<'a>(&self, query: &'a str, max: usize) -> Option<Cow<'a, str>> {
        match self {
            Self::Without(keys) if !query.is_empty() => Some(redact(query, keys, max)),
            _ => None,
        }
    }
}

fn redact<'a>(query: &'a str, keys: &[Cow<'static, str>], max: usize) -> Cow<'a, str> {
    // Where the key ends, of a pair whose value is secret.
    let secret = |pair: &[u8]| {
        let key = &pair[..pair.iter().position(|byte| *byte == b'=')?];
        let is_sensitive = if key.contains(&b'%') {
            keys.iter().any(|sensitive| spells(key, sensitive))
        } else {
            keys.iter().any(|sensitive| sensitive.as_bytes() == key)
        };
        is_sensitive.then_some(key.len())
    };
    if !query.as_bytes().split(|byte| *byte == b'&').any(|pair| secret(pair).is_some()) {
        return Cow::Borrowed(cut(query, max));
    }
    let mut told = String::new();
    for pair in query.split('&') {
        if told.len() > max {
            break;
        }
        if !told.is_empty() {
            told.push('&');
        }
        match secret(pair.as_bytes()) {
            Some(end) => told.extend([&pair[..end], "=", REDACTED]),
            None => told.push_str(pair),
        }
    }
    told.truncate(cut(&told, max).len());
    Cow::Owned(told)
}

/// Whether a key as it was sent, with percent-encoding, is this one.
fn spells(sent: &[u8], key: &str) -> bool {
    let mut sent = sent.iter().copied();
    let mut decoded = std::iter::from_fn(|| {
        let byte = sent.next()?;
        let mut ahead = sent.clone();
        let digits = (byte == b'%').then(|| Some((hex(ahead.next()?)?, hex(ahead.next()?)?)));
        let Some((high, low)) = digits.flatten() else { return Some(byte) };
        sent = ahead;
        Some(high << 4 | low)
    });
    key.bytes().all(|byte| decoded.next() == Some(byte)) && decoded.next().is_none()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
