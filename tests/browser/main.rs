//! The page in a real Chromium, over the `DevTools` protocol, against the real server.
//!
//! When a test fails, a screenshot of what the page showed is kept, and its path printed.

// The lints know tests by their attribute only, not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

// The server's tests use the rest of this module.
#[allow(dead_code, unused_imports)]
#[path = "../support/mod.rs"]
mod support;

#[path = "../stalls.rs"]
mod stalls;

mod browser;
mod coming_from;
mod devtools;
mod fake;
mod look;
mod page;
mod ping;
mod probe;
mod secure;
mod state;
mod talk;
