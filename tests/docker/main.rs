//! The pair in containers: the compose file itself, run by a real Docker engine.
//!
//! All tests use the one project that the file names, one after the other, and leave nothing
//! behind. They refuse to touch a project of that name that is there already.

// The lints know tests by their attribute only, not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "../python.rs"]
mod python;

mod both_ends;
mod compose;
mod first_hour;
mod images;
mod pair;
mod project;
mod scale;
mod secure;
mod swarm;
mod visitor;
