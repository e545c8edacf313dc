//! What is shown, as JSON: times are milliseconds, what is not known is null, and whatever a peer has written is ASCII in quotes.

mod answers;
mod rows;
mod story;

use serde::{Serialize, Serializer};

pub(super) use self::{
    answers::{ClosedOnes, Closes, Connections, Error, Exchanges, First, Moment, Tick},
    story::Told,
};
use crate::text::json::Ascii;

/// Appends it to `out`, as one line without its end.
pub(super) fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    let mut serializer = serde_json::Serializer::with_formatter(out, Ascii::WEB);
    // Nothing in it can fail: it is in memory, and the keys are texts.
    let written = value.serialize(&mut serializer);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// An object whose values are of one type.
struct Map<T>(T);

impl<K, V, T> Serialize for Map<T>
where
    T: IntoIterator<Item = (K, V)> + Clone,
    K: Serialize,
    V: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.clone())
    }
}

/// Entries of an object that was begun.
macro_rules! entries {
    ($map:expr, { $($key:literal: $value:expr),+ $(,)? }) => {
        $($map.serialize_entry($key, &$value)?;)+
    };
}
use entries;

/// A whole one.
macro_rules! object {
    ($serializer:expr, { $($key:literal: $value:expr),+ $(,)? }) => {{
        let mut map = $serializer.serialize_map(None)?;
        $crate::inspector::json::entries!(map, { $($key: $value),+ });
        map.end()
    }};
}
use object;
