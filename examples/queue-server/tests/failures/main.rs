//! What goes wrong, played against the real program: clients that leave, servers that are killed, stores that are away.

#[path = "../support/mod.rs"]
mod support;

mod disk;
mod kill;
mod leaving;
mod redis_away;
mod servers;
mod slow;
mod stopping;
