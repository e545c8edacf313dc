//! What a lot allows.

use std::{fmt, sync::Arc, time::Duration};

use super::Unparked;

/// What a [`Lot`](super::Lot) allows, and who hears of it.
///
/// ```
/// use tower_lifecycle::park::{Lot, Policy, Second};
///
/// let lot: Lot<u64> = Lot::new(Policy::new().max_parked(10_000).second(Second::Share(4)));
/// ```
#[derive(Clone)]
#[must_use = "a policy does nothing until a lot is made of it"]
pub struct Policy {
    pub(super) second: Second,
    pub(super) longest: Duration,
    pub(super) jitter: f64,
    pub(super) max_parked: usize,
    pub(super) max_per_owner: usize,
    pub(super) on_unpark: Option<OnUnpark>,
}

/// Longer than anybody waits, and short enough to be added to a time.
pub(super) const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(super) type OnUnpark = Arc<dyn Fn(&Unparked) + Send + Sync>;

/// What becomes of a poll that comes while another is parked on its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Second {
    /// It takes the place: the other ends by [`Superseded`](super::Outcome::Superseded).
    #[default]
    Supersede,
    /// It is refused.
    Reject,
    /// So many are parked side by side, and a wake wakes them all; one more is refused.
    Share(usize),
}

impl Policy {
    /// Supersedes, waits 50 seconds at most with up to 10 % jitter, parks 50,000, any number of them for one owner.
    pub fn new() -> Self {
        Self {
            second: Second::Supersede,
            longest: Duration::from_secs(50),
            jitter: 0.1,
            max_parked: 50_000,
            max_per_owner: usize::MAX,
            on_unpark: None,
        }
    }

    /// What becomes of a second poll on a key.
    pub fn second(self, second: Second) -> Self {
        Self { second, ..self }
    }

    /// The longest that anything is parked, whatever is asked for, jitter included; a year at most. 50 seconds, because what
    /// lies between client and server often ends what is silent for a minute.
    pub fn longest(self, longest: Duration) -> Self {
        Self { longest: longest.min(FOREVER), ..self }
    }

    /// By which part a deadline is put off at most, at random, so that those who came together do not leave together. 0 is
    /// none; what is not between 0 and 1 is taken as the nearer of the two, and what is no number as 0.
    ///
    /// A park that is asked to take nearly the [longest](Self::longest) starts from less, so that there is room for it.
    ///
    /// What it takes to disperse a crowd is told [here](super#herds).
    pub fn jitter(self, part: f64) -> Self {
        let jitter = if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) };
        Self { jitter, ..self }
    }

    /// How many are parked at most. One that supersedes another is let in all the same.
    pub fn max_parked(self, max: usize) -> Self {
        Self { max_parked: max, ..self }
    }

    /// How many are parked at most for one owner: see [`Lot::park_for`](super::Lot::park_for). One that supersedes another is let
    /// in all the same.
    pub fn max_per_owner(self, max: usize) -> Self {
        Self { max_per_owner: max, ..self }
    }

    /// Calls `observer` whenever a park is over, where its slot is dropped. A panic is caught and counted.
    pub fn on_unpark(self, observer: impl Fn(&Unparked) + Send + Sync + 'static) -> Self {
        Self { on_unpark: Some(Arc::new(observer)), ..self }
    }

    /// How long a park asked to take `within` takes, for `chance` between 0 and 1.
    pub(super) fn spread(&self, within: Duration, chance: f64) -> Duration {
        let least = within.min(self.longest.div_f64(1.0 + self.jitter));
        (least + least.mul_f64(self.jitter * chance)).min(self.longest)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("second", &self.second)
            .field("longest", &self.longest)
            .field("jitter", &self.jitter)
            .field("max_parked", &self.max_parked)
            .field("max_per_owner", &self.max_per_owner)
            .finish_non_exhaustive()
    }
}
