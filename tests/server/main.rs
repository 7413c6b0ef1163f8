//! Black-box tests of the server: the real binary over real sockets, its real files and streams.
//!
//! Each module is a part of the contract, each name a thing that a user could see. What needs
//! more than Linux and Rust is ignored, and says what it needs.

// The lints know tests by their attribute only, not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "../python.rs"]
mod python;
#[path = "../support/mod.rs"]
mod support;

mod coming_from;
mod connection;
mod disk;
mod documentation;
mod durability;
mod environment;
mod escaping;
mod handshake;
mod healthcheck;
mod hostile;
mod http;
mod interop;
mod limits;
mod log;
mod metrics;
mod options;
mod origins;
mod proxies;
mod services;
mod settings;
mod status;
mod stdout;
mod stopping;
mod supervisor;
mod tls;
mod wire;
