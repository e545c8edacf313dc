//! Why a difference is right, or cannot be helped. Each rule is about a kind of situation, and has a section in
//! `docs/node.md`.

mod case;
mod connections;
mod limits;
mod requests;
mod responses;

pub(crate) use self::case::Case;
use crate::{compare::Difference, scenario::Scenario};

/// Explains differences.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) explains: fn(&Case<'_>, &Difference) -> bool,
}

/// Says that a scenario is about nothing that there is in Rust.
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    pub(crate) excludes: fn(&Scenario) -> bool,
}

pub(crate) fn rules() -> impl Iterator<Item = &'static Rule> {
    requests::RULES.iter().chain(responses::RULES).chain(connections::RULES)
}

pub(crate) fn limits() -> impl Iterator<Item = &'static Limit> {
    limits::LIMITS.iter()
}
