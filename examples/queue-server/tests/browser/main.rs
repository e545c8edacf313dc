//! The page, in a real Chromium, with the real program behind it.

#[path = "../support/mod.rs"]
mod support;

mod chromium;
mod events;
mod files;
mod follow;
mod page;
mod restart;
mod tabs;
