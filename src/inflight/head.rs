//! What is kept of the head of an exchange: copies, bounded, because a slice would keep the buffer that it was read into.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::{ExchangeId, RequestHead, exchange::short, text::cut};

/// Longest kept of a path, in bytes.
const LONGEST_PATH: usize = 1024;
/// Longest kept of a header's value.
const LONGEST_VALUE: usize = 1024;
/// Most values that are kept of an exchange, each way.
const MOST_VALUES: usize = 32;

#[derive(Debug)]
pub(super) struct Head {
    pub(super) id: ExchangeId,
    pub(super) method: Method,
    path: Path,
    pub(super) version: Version,
    pub(super) request_headers: Vec<(HeaderName, HeaderValue)>,
}

/// Most are short, and need no memory of their own.
#[derive(Debug)]
enum Path {
    Short(u8, [u8; SHORT]),
    Long(Box<str>),
}

const SHORT: usize = 62;

/// The headers of an exchange whose names the user has allowed to be kept:
/// [`request_headers`](super::InFlightBuilder::request_headers) and [`response_headers`](super::InFlightBuilder::response_headers).
///
/// At most 32 values each way, the first 1,024 bytes of each. A value that is marked as
/// [sensitive](HeaderValue::is_sensitive) is replaced by `REDACTED`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Headers {
    /// Of the request.
    pub request: Vec<(HeaderName, HeaderValue)>,
    /// Of the response, as the service set them.
    pub response: Vec<(HeaderName, HeaderValue)>,
}

impl Head {
    pub(super) fn new(head: &RequestHead<'_>, kept: &[HeaderName]) -> Self {
        Self {
            id: head.id(),
            method: short(head.method),
            path: Path::new(cut(head.uri.path(), LONGEST_PATH)),
            version: head.version,
            request_headers: keep(head.headers, kept),
        }
    }

    pub(super) fn path(&self) -> &str {
        self.path.as_str()
    }
}

impl Path {
    fn new(path: &str) -> Self {
        let mut short = [0; SHORT];
        match (u8::try_from(path.len()), short.get_mut(..path.len())) {
            (Ok(length), Some(bytes)) => {
                bytes.copy_from_slice(path.as_bytes());
                Self::Short(length, short)
            }
            _ => Self::Long(path.into()),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Short(length, bytes) => {
                std::str::from_utf8(&bytes[..usize::from(*length)]).unwrap_or_default()
            }
            Self::Long(path) => path,
        }
    }
}

#[inline]
pub(super) fn keep(headers: &HeaderMap, kept: &[HeaderName]) -> Vec<(HeaderName, HeaderValue)> {
    if kept.is_empty() { Vec::new() } else { keep_some(headers, kept) }
}

#[inline(never)]
fn keep_some(headers: &HeaderMap, kept: &[HeaderName]) -> Vec<(HeaderName, HeaderValue)> {
    let all = kept.iter().flat_map(|name| headers.get_all(name).iter().map(move |it| (name, it)));
    let copy = |value: &HeaderValue| {
        let bytes = value.as_bytes();
        HeaderValue::from_bytes(&bytes[..bytes.len().min(LONGEST_VALUE)])
            .ok()
            .filter(|_| !value.is_sensitive())
            .unwrap_or(HeaderValue::from_static("REDACTED"))
    };
    all.take(MOST_VALUES).map(|(name, value)| (name.clone(), copy(value))).collect()
}
