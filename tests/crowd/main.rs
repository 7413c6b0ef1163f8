//! The probes with many connections, `client spread` and `client hold`: the real client and real
//! servers, with a balancer or proxy between them that is reloaded, or that cuts or drops
//! connections.

// The lints know tests by their attribute only, not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

// Other tests use the rest of this module.
#[allow(dead_code, unused_imports)]
#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)]
#[path = "../middle/mod.rs"]
mod middle;

#[allow(dead_code)]
#[path = "../torture/network.rs"]
mod network;

#[path = "../programs.rs"]
mod programs;
#[path = "../stalls.rs"]
mod stalls;

mod balancer;
mod hold;
mod middles;
mod probe;
mod spread;

use std::net::SocketAddr;

use support::TestServer;

/// Two servers, and where they listen.
fn two_servers() -> ([TestServer; 2], [SocketAddr; 2]) {
    let servers = [TestServer::start(), TestServer::start()];
    let addresses = servers.each_ref().map(TestServer::address);
    (servers, addresses)
}
