//! One exchange as it was observed.

use std::fmt;

use super::grammar;
use crate::{Close, EventKind, Interest, Reason, Summary};

/// One exchange, as a [`Recorder`](super::Recorder) heard it.
///
/// It is made of events as well, to ask the oracle about what came through a channel:
///
/// ```
/// # fn check(events: Vec<tower_lifecycle::Event>) {
/// use tower_lifecycle::testing::Recording;
///
/// let of_one_exchange = events.into_iter().map(|event| event.kind);
/// of_one_exchange.collect::<Recording>().assert_grammar();
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recording {
    /// The hooks that were called, in their order.
    pub hooks: Vec<EventKind>,
    /// The listener was dropped, so it will hear no more.
    pub dropped: bool,
    /// What was asked for.
    pub(super) interest: Interest,
}

impl Recording {
    pub(super) fn begin(begin: EventKind, interest: Interest) -> Self {
        Self { hooks: vec![begin], dropped: false, interest }
    }

    /// `GET /path`; empty when the hooks do not start with `begin`.
    pub fn name(&self) -> String {
        match self.hooks.first() {
            Some(EventKind::Begin { method, uri, .. }) => format!("{method} {}", uri.path()),
            _ => String::new(),
        }
    }

    /// The hooks as short words, equal neighbours as one, so that the number of frames makes no difference:
    /// `begin req.data req.end req.close(complete) response(200) res.data …`.
    ///
    /// Each is the `Display` of its [`EventKind`].
    pub fn words(&self) -> String {
        let mut words: Vec<String> = self.hooks.iter().map(ToString::to_string).collect();
        words.dedup();
        words.join(" ")
    }

    /// What `on_close` was handed; `None` while the exchange is open, or if the close was not asked for.
    pub fn summary(&self) -> Option<&Summary> {
        self.hooks.iter().rev().find_map(|hook| match hook {
            EventKind::Close(summary) => Some(&**summary),
            _ => None,
        })
    }

    /// The verdict.
    ///
    /// # Panics
    /// While there is none.
    #[track_caller]
    pub fn close(&self) -> Close {
        let Some(summary) = self.summary() else { panic!("not closed: {self:#?}") };
        summary.close
    }

    /// The verdict's reason.
    ///
    /// # Panics
    /// While there is none.
    #[track_caller]
    pub fn reason(&self) -> Reason {
        self.close().reason
    }

    /// The oracle: that the exchange is over, and that its hooks came in an order and with contents that are right.
    ///
    /// The [grammar](crate#when-the-hooks-are-called), the totals against the data, the summary and its marks against the
    /// hooks, the verdict against the failures. It is for observers that wrap others, and for services and bodies of
    /// which one wants to know that this crate tells the truth about them.
    ///
    /// # Panics
    /// With the name of the first rule that is broken. Also when some hook was not asked for: what is missing could not
    /// be told from what did not happen.
    #[track_caller]
    pub fn assert_grammar(&self) {
        if let Some(rule) = grammar::broken_rule(self) {
            panic!("broken rule: {rule}: {self:#?}");
        }
    }
}

/// Of hooks that were all asked for, and of which no more will come.
impl FromIterator<EventKind> for Recording {
    fn from_iter<I: IntoIterator<Item = EventKind>>(hooks: I) -> Self {
        Self { hooks: hooks.into_iter().collect(), dropped: true, interest: Interest::ALL }
    }
}

/// Its [words](Recording::words).
impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.words())
    }
}
