//! What there is no point in comparing.

use super::Limit;
use crate::scenario::{Helper, Op, PipeMode};

pub(super) const LIMITS: &[Limit] = &[
    Limit {
        name: "pipe without a pipeline",
        excludes: |scenario| {
            scenario.ops().any(|op| match op {
                Op::Pipe(pipe) => pipe.mode == PipeMode::Pipe && pipe.error_after.is_some(),
                _ => false,
            })
        },
    },
    Limit {
        name: "listeners attached late",
        excludes: |scenario| scenario.ops().any(|op| matches!(op, Op::AttachLate)),
    },
    Limit {
        name: "pages of Express",
        excludes: |scenario| {
            let page = |helper: &Helper| {
                matches!(helper, Helper::Redirect | Helper::Next | Helper::NextError)
            };
            scenario.ops().any(|op| matches!(op, Op::Express(helper) if page(helper)))
        },
    },
];
