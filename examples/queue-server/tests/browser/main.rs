//! The page, in a real Chromium, with the real program behind it.

#[path = "../support/mod.rs"]
mod support;

#[path = "../../../../tests/inspector/chromium.rs"]
#[expect(dead_code, reason = "the tests of the inspector's page need more of it")]
mod chromium;
mod events;
mod files;
mod follow;
mod page;
mod restart;
mod tabs;
