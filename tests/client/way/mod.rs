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
use std::process::{Output, Stdio};

use crate::client::{Client, command};

/// A client that pings as fast as it can, with these arguments and variables.
fn client_with(args: &[&str], variables: &[(&str, &str)]) -> Client {
    let mut command = command(&[("LAG_TIME", "0"), ("SSL_CERT_FILE", "/dev/null")]);
    command.envs(variables.iter().copied()).args(args);
    Client::of(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

fn client(args: &[&str]) -> Client {
    client_with(args, &[])
}

/// The error of a client that was set wrongly.
#[track_caller]
fn misused(args: &[&str], variables: &[(&str, &str)]) -> String {
    let output: Output = command(variables).args(args).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    told.trim_end().strip_prefix("error: ").unwrap().to_owned()
}

/// `ws://server.test:PORT`, a name that no name server knows.
fn at_unknown_name(address: SocketAddr) -> String {
    format!("ws://server.test:{}", address.port())
}
