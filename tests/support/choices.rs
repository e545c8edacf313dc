//! What a property test is made of: choices that bytes make, and bodies made of choices.

use tower_lifecycle::testing::{EndClaim, HintClaim, Step};

/// A scripted body, with what its head declares.
#[derive(Clone, Debug)]
pub struct Spec {
    pub steps: Vec<Step>,
    pub end: EndClaim,
    pub hint: HintClaim,
    pub content_length: Option<u64>,
}

/// Reads choices from bytes, zero when there are no more: a smaller input is a plainer case.
pub struct Choices<'a>(pub std::slice::Iter<'a, u8>);

impl Choices<'_> {
    pub fn below(&mut self, n: u8) -> u8 {
        self.0.next().copied().unwrap_or(0) % n
    }

    pub fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::from(self.below(u8::try_from(all.len()).expect("few")))].clone()
    }

    pub fn spec(&mut self) -> Spec {
        let steps = (0..self.below(5))
            .map(|_| match self.below(16) {
                0..8 => Step::Data(usize::from(self.below(4))),
                8..11 => Step::Pending,
                11 => Step::Never,
                12 => Step::Trailers,
                13 => Step::Error,
                14 => Step::End,
                _ => Step::Panic,
            })
            .collect();
        let (end, hint) = match self.below(8) {
            0..3 => (EndClaim::Honest, HintClaim::Honest),
            3..5 => (EndClaim::Never, HintClaim::Unknown),
            5 => (EndClaim::Honest, HintClaim::Unknown),
            _ => (
                self.one_of(&[
                    EndClaim::Honest,
                    EndClaim::Never,
                    EndClaim::Always,
                    EndClaim::Flips,
                ]),
                match self.below(5) {
                    0 => HintClaim::Honest,
                    1 => HintClaim::Unknown,
                    2 => HintClaim::AtLeast(u64::from(self.below(8))),
                    3 => HintClaim::Exact(u64::from(self.below(8))),
                    _ => HintClaim::Grows,
                },
            ),
        };
        let content_length = match self.below(4) {
            0..3 => None,
            _ => Some(1 + u64::from(self.below(6))),
        };
        Spec { steps, end, hint, content_length }
    }
}
