//! What a peer may have written, where it is shown: bounded, and unable to be taken for anything else.

#[cfg(any(feature = "access-log", feature = "inspector"))]
pub(crate) mod json;
#[cfg(any(feature = "access-log", feature = "inspector"))]
pub(crate) mod line;

use std::{borrow::Cow, str};

/// At most `max` bytes of it, and no half of a character.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// What a header says, as text of at most `max` bytes; what is no UTF-8 becomes U+FFFD.
pub(crate) fn lossy(bytes: &[u8], max: usize) -> Cow<'_, str> {
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
