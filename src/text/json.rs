//! JSON that is plain in whatever shows it.

use std::{fmt::Display, io, time::Duration};

use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

/// JSON in ASCII: `serde_json` leaves alone what a terminal may obey, such as U+009B, and what an editor takes for a line's end,
/// such as U+2028.
pub(crate) struct Ascii {
    /// Whether what begins a tag, or an entity, is escaped too.
    markup: bool,
}

impl Ascii {
    /// For a line of a log.
    pub(crate) const LINE: Self = Self { markup: false };

    /// For what may come to stand inside of HTML.
    pub(crate) const WEB: Self = Self { markup: true };

    fn escapes(&self, byte: u8) -> bool {
        match byte {
            b'<' | b'>' | b'&' => self.markup,
            b' '..=b'~' => false,
            _ => true,
        }
    }
}

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        mut fragment: &str,
    ) -> io::Result<()> {
        // The first byte that is not plain begins a character.
        while let Some(at) = fragment.bytes().position(|byte| self.escapes(byte)) {
            let (plain, rest) = fragment.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut rest = rest.chars();
            for unit in rest.next().into_iter().flat_map(utf16) {
                write!(writer, "\\u{unit:04x}")?;
            }
            fragment = rest.as_str();
        }
        writer.write_all(fragment.as_bytes())
    }
}

fn utf16(char: char) -> impl Iterator<Item = u16> {
    let mut units = [0; 2];
    let count = char.encode_utf16(&mut units).len();
    units.into_iter().take(count)
}

/// To the microsecond.
#[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// What has no copy as a text.
pub(crate) struct Shown<T>(pub(crate) T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
