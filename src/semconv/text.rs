//! Text that costs nothing to pass on, and the bound of what a peer may write.

use std::{borrow::Cow, fmt, str, sync::Arc};

/// Text of low cardinality. A clone allocates nothing.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

/// At most `max` bytes of it, and no half of a character.
pub(super) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// What a header says, as text of at most `max` bytes; what is no UTF-8 becomes U+FFFD.
pub(super) fn lossy(bytes: &[u8], max: usize) -> Cow<'_, str> {
    /// A character that `max` divides is not to become U+FFFD.
    const LONGEST_CHARACTER: usize = 4;
    let end = bytes.len().min(max.saturating_add(LONGEST_CHARACTER));
    // Much faster than the other where it is ASCII.
    if let Ok(text) = str::from_utf8(&bytes[..end]) {
        return Cow::Borrowed(cut(text, max));
    }
    let mut text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    text.truncate(cut(&text, max).len());
    Cow::Owned(text)
}
