//! What a server is put through for as long as one likes: kills, full, failing and frozen disks,
//! files that move, floods and churn of connections, networks that are cut; and what its client is
//! put through by evil servers. README.md beside this tells how to run it, and what its figures mean.
//!
//! Each part is a file with one test or more. A part begins a [`run::Run`], goes on as long as
//! that says, adds to its figures, and ends it.

// The lints know tests by their attribute only, not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

// The other tests use the rest.
#[allow(dead_code, unused_imports)]
#[path = "../support/mod.rs"]
mod support;

#[path = "../programs.rs"]
mod programs;

mod bystander;
mod churn;
mod client;
mod disk;
mod everything;
mod evil;
mod faults;
mod figures;
mod floods;
mod frozen;
mod kill;
mod ledger;
mod moves;
mod network;
mod partition;
mod peak;
mod run;
mod soak;
