//! Black-box tests of the client: the real binary against servers that the tests play.

// The lints know tests by their attribute only, not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "../middle/mod.rs"]
mod middle;
#[path = "../torture/network.rs"]
mod network;
#[path = "../python.rs"]
mod python;
#[path = "../stalls.rs"]
mod stalls;
#[path = "../websocat.rs"]
mod websocat;

mod bench;
mod capture;
mod certificates;
mod check;
mod client;
mod compression;
mod documentation;
mod fake;
mod flood;
mod handshake;
mod idle;
mod interop;
mod live;
mod metrics;
mod middles;
mod outages;
mod ping_options;
mod pings;
mod real_server;
mod reconnect;
mod records;
mod secure;
mod settings;
mod silent_way;
mod stop;
mod talk;
mod terminal;
mod tls;
mod trust;
mod way;
mod websocat_server;
mod why;

use std::time::Duration;

/// How long anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(30);
