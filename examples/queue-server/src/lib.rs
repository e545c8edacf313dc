//! Long-poll event queues over HTTP, on tower-lifecycle.
//!
//! The program is `queue-server`; this is what it is made of, for its tests and its load tool. [`server::App`] puts the parts
//! together: [`queues`] is the heart, [`store`] keeps the events, [`api`] speaks HTTP.

pub mod api;
pub mod auth;
pub mod config;
pub mod error;
pub mod id;
mod listen;
pub mod metrics;
pub mod queues;
pub mod run;
pub mod server;
pub mod store;
mod web;
