//! The embedded store, by its contract alone: what it keeps, what it survives, and what it says when it cannot.

mod child;
mod damage;
mod expiry;
mod full_disk;
mod kill;
mod measure;
mod model;
mod recovery;
mod semantics;
mod support;
