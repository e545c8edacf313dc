//! Headers that the user has listed.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::{Text, query::REDACTED};
use crate::text::lossy;

/// Of one name.
const MOST_VALUES: usize = 32;

/// Names, and what their attributes are called.
#[derive(Clone, Debug, Default)]
pub(super) struct Captured(Arc<[(HeaderName, Text)]>);

impl Captured {
    pub(super) fn new(prefix: &str, names: impl IntoIterator<Item = HeaderName>) -> Self {
        let mut listed: Vec<_> = Vec::new();
        for name in names {
            if listed.iter().all(|(known, _)| *known != name) {
                let attribute = Text::from(format!("{prefix}.{name}"));
                listed.push((name, attribute));
            }
        }
        Self(listed.into())
    }

    /// Those that are there. A value that the program itself has marked as sensitive is not told.
    pub(super) fn of<'a>(
        &'a self,
        headers: &'a HeaderMap,
        longest: usize,
    ) -> impl Iterator<Item = (&'a Text, Vec<String>)> {
        self.0.iter().filter(|(name, _)| headers.contains_key(name)).map(
            move |(name, attribute)| {
                let values = headers.get_all(name).iter().take(MOST_VALUES);
                let told = values.map(|value| {
                    let secret = value.is_sensitive().then_some(REDACTED.into());
                    secret.unwrap_or_else(|| lossy(value.as_bytes(), longest)).into_owned()
                });
                (attribute, told.collect())
            },
        )
    }
}
