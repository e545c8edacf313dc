//! Lines of fields, for people, and for tools that split at spaces.

use std::{
    fmt::{self, Write},
    time::Duration,
};

/// A line that is being written. What a peer may have written cannot end a field, much less the line.
pub(crate) struct Line<'a>(&'a mut Vec<u8>);

impl<'a> Line<'a> {
    /// What is appended to `out`, which ends where a line begins, or is in the middle of one.
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    /// A field without a space in it, with spaces after it up to a width.
    pub(crate) fn left(&mut self, width: usize, value: impl fmt::Display) {
        self.separate();
        let start = self.0.len();
        let _ = write!(Escaped { out: self.0, spaces: false }, "{value}");
        if self.0.len() == start {
            self.0.push(b'-');
        }
        let end = self.0.len().max(start + width);
        self.0.resize(end, b' ');
    }

    /// A value that pads itself.
    pub(crate) fn right(&mut self, width: usize, value: impl fmt::Display) {
        self.separate();
        let _ = write!(Escaped { out: self.0, spaces: true }, "{value:>width$}");
    }

    pub(crate) fn quoted(&mut self, value: Option<impl fmt::Display>) {
        let Some(value) = value else { return self.left(0, '-') };
        self.separate();
        self.0.push(b'"');
        let _ = write!(Escaped { out: self.0, spaces: true }, "{value}");
        self.0.push(b'"');
    }

    fn separate(&mut self) {
        if !matches!(self.0.last(), None | Some(b'\n')) {
            self.0.push(b' ');
        }
    }
}

/// What is not a printable ASCII character, a quote and a backslash are `\x` and two digits, as in nginx's logs.
struct Escaped<'a> {
    out: &'a mut Vec<u8>,
    spaces: bool,
}

impl Escaped<'_> {
    fn escapes(&self, byte: u8) -> bool {
        match byte {
            b'"' | b'\\' => true,
            b' ' => !self.spaces,
            _ => !byte.is_ascii_graphic(),
        }
    }
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let digit = |value: u8| DIGITS[usize::from(value)];
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| self.escapes(*byte)) {
            let byte = rest[at];
            self.out.extend_from_slice(&rest[..at]);
            self.out.extend([b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
            rest = &rest[at + 1..];
        }
        self.out.extend_from_slice(rest);
        Ok(())
    }
}

pub(crate) struct OrDash<T>(pub(crate) Option<T>);

impl<T: fmt::Display> fmt::Display for OrDash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// Milliseconds, to a tenth.
pub(crate) struct Times<'a>(pub(crate) &'a [Option<Duration>]);

impl fmt::Display for Times<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, time) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("/")?;
            }
            match time {
                Some(time) => {
                    write!(f, "{}.{}", time.as_millis(), time.subsec_micros() / 100 % 10)?;
                }
                None => f.write_str("-")?,
            }
        }
        Ok(())
    }
}
