//! Servers that cannot be reached, or do not upgrade.

use std::io::Write;

use rustix::process::Signal;

use crate::client::Client;
use crate::fake::{Fake, Port, drain, read_head};

/// The first event of a client, with what does not differ between the causes cut off.
pub(crate) fn cause(client: &Client, url: &str) -> String {
    let event = client.stderr.next_event();
    event
        .strip_prefix(&format!("WARN cannot connect to {url}: "))
        .and_then(|event| event.strip_suffix("; trying again until it works"))
        .unwrap_or_else(|| panic!("not about connecting: {event}"))
        .to_owned()
}

#[test]
fn a_refused_upgrade_is_told_with_its_reason() {
    let (server, url) = Fake::start();
    let client = Client::start(&url, &[]);
    server.refuse("503 Service Unavailable", "All connections are taken\nsecond line\n");
    assert_eq!(
        cause(&client, &url),
        "the server answered 503 Service Unavailable: All connections are taken"
    );
    server.refuse("404 Not Found", "");
    server.accept().pong();
    assert!(client.stderr.next_event().starts_with("INFO connected to "));
}

#[test]
fn a_server_of_another_kind_is_told() {
    let (server, url) = Fake::start();
    let client = Client::start(&url, &[]);
    let mut stream = server.accept_tcp();
    stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n").unwrap();
    read_head(&mut stream);
    drain(stream);
    assert!(cause(&client, &url).starts_with("no WebSocket server: "));
    let mut stream = server.accept_tcp();
    read_head(&mut stream);
    drain(stream);
    server.accept().pong();
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let (server, url) = Fake::start();
    let client = Client::start(&url, &[]);
    let _silent = server.accept_tcp();
    assert_eq!(cause(&client, &url), "no answer within 5.0 s");
    server.accept().pong();
}

#[test]
fn a_name_that_nobody_knows_is_told() {
    let url = "ws://no-such-host.invalid:8765";
    let mut client = Client::start(url, &[]);
    let cause = cause(&client, url);
    assert!(cause.contains("lookup") || cause.contains("looked up"), "{cause}");
    client.signal(Signal::TERM);
    assert_eq!(client.wait().code(), Some(1));
}

#[test]
fn every_address_of_a_name_is_tried() {
    // A host may have an IPv6 loopback address, where nothing listens.
    let port = Port::reserve();
    let server = port.listen();
    let client = Client::start(&format!("ws://localhost:{}", port.address().port()), &[]);
    server.accept().pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");
}
