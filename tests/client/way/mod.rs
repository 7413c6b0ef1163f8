//! The way to a server: the flags that curl has, in every mode.

mod addresses;
mod dead_address;
mod fake_proxy;
mod identity;
mod proxies;
pub(crate) mod real_proxies;
mod redirects;
mod request;
mod unix_socket;

use std::net::SocketAddr;

use crate::client::{Client, command};

/// A client that pings as fast as it can, with these arguments and variables.
fn client_with(args: &[&str], variables: &[(&str, &str)]) -> Client {
    let mut command = command(&[("LAG_TIME", "0"), ("SSL_CERT_FILE", "/dev/null")]);
    Client::spawn(command.envs(variables.iter().copied()).args(args))
}

fn client(args: &[&str]) -> Client {
    client_with(args, &[])
}

/// `ws://server.test:PORT`, a name that no name server knows.
fn at_unknown_name(address: SocketAddr) -> String {
    format!("ws://server.test:{}", address.port())
}
