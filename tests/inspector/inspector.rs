//! The inspector's page, in a real Chromium, with live traffic.

mod chromium;
mod hands;
mod hostile;
mod looks;
mod many;
mod page;
mod server;
mod story;
mod stream;
mod waterfall;
