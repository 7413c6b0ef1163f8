//! Black-box tests of the server: the real binary with real sockets, files and streams. Exceptions
//! are `connection` and `fuzz`, which drive parts of the library in memory.
//!
//! Each module tests a part of the contract, each test what a user can observe. A test that needs
//! more than Linux and Rust is ignored, with the reason.

// The lints know tests by their attribute only, not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "../python.rs"]
mod python;
#[path = "../stalls.rs"]
mod stalls;
#[path = "../support/mod.rs"]
mod support;
#[path = "../websocat.rs"]
mod websocat;

mod coming_from;
mod compression;
mod connection;
mod disk;
mod documentation;
mod durability;
mod environment;
mod fuzz;
mod handshake;
mod healthcheck;
mod http;
mod interop;
mod limits;
mod log;
mod metrics;
mod options;
mod origins;
mod ping;
mod probe;
mod proxies;
mod service_manager;
mod services;
mod settings;
mod status;
mod stdout;
mod stopping;
mod tls;
mod wire;
