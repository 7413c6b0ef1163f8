//! Stress tests, for as long as one likes: the server under kills, full, failing and frozen disks,
//! renamed logs, floods and churn of connections, and cut networks; the client with malicious
//! servers. README.md in this folder tells how to run them, and what the figures mean.
//!
//! Each part is a file with one test or more. A part begins a [`run::Run`], repeats its rounds
//! until the run is over, adds to its figures, and ends it.

// The lints know tests by their attribute only, not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

// Other tests use the rest of this module.
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
