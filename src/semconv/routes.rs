//! Routes that a program makes while it runs, bounded in number.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

use crate::text::cut;

/// Those that were told. Nothing that may panic runs under its lock, and no user's code.
#[derive(Debug, Default)]
pub(super) struct Routes(RwLock<HashSet<Arc<str>>>);

impl Routes {
    /// `None` of an empty one, and of one too many, at `most` of them.
    pub(super) fn made(&self, route: &str, most: usize, longest: usize) -> Option<Arc<str>> {
        let route = Some(cut(route, longest)).filter(|route| !route.is_empty())?;
        let made = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let known = made.get(route).cloned();
        if known.is_some() || made.len() >= most {
            return known;
        }
        drop(made);
        let mut made = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been first.
        if made.len() < most && !made.contains(route) {
            made.insert(route.into());
        }
        made.get(route).cloned()
    }
}
