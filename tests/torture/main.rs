//! What a server is put through for as long as one likes: kills, full, failing and frozen disks,
//! files that move. README.md beside this tells how to run it, and what its figures mean.
//!
//! Each part is a file with one test or more. A part begins a [`run::Run`], goes on as long as
//! that says, adds to its figures, and ends it.

// The lints know tests by their attribute only, not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

// The other tests use the rest.
#[allow(dead_code, unused_imports)]
#[path = "../support/mod.rs"]
mod support;

mod disk;
mod faults;
mod figures;
mod frozen;
mod innocent;
mod kill;
mod ledger;
mod moves;
mod run;
mod soak;
