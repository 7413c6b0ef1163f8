//! `TRUSTED_PROXIES`: the address of a client behind a proxy.

use crate::support::{RawClient, TestServer, upgrade_at, wait_until};

/// Upgrades with an `X-Forwarded-For` header, and returns the event about the connection.
#[track_caller]
fn connected(server: &TestServer, list: &str) -> String {
    let request = upgrade_at("/", &format!("X-Forwarded-For: {list}\r\n"));
    assert_eq!(RawClient::request(server.address(), &request).1.status, 101);
    server.event("connected")
}

#[test]
fn the_address_of_the_client_is_taken_from_a_trusted_proxy() {
    let proxies = "192.0.2.0/24, private";
    let server = TestServer::builder().env("TRUSTED_PROXIES", proxies).start();
    let line = connected(&server, "198.51.100.1, 203.0.113.7, 192.0.2.9");
    assert!(line.ends_with("connected peer=203.0.113.7 path=\"/\""), "{line}");
    let shown = || server.events(" peer=203.0.113.7");
    wait_until("an event about the end of the connection", || shown().len() == 2);
}

#[test]
fn headers_of_an_untrusted_proxy_are_ignored() {
    for builder in [
        TestServer::builder(),
        TestServer::builder().env("TRUSTED_PROXIES", "192.0.2.0/24"),
        TestServer::builder().env("TRUSTED_PROXIES", ""),
    ] {
        let line = connected(&builder.start(), "203.0.113.7");
        assert!(line.contains("connected peer=127.0.0.1:"), "{line}");
    }
}

#[test]
fn a_refused_request_is_logged_with_the_address_of_the_client() {
    let server = TestServer::builder().env("TRUSTED_PROXIES", "127.0.0.1").start();
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        X-Forwarded-For: 2001:db8::7\r\n\r\n";
    assert_eq!(RawClient::ask(server.address(), request).status, 400);
    let line = server.event("refused");
    assert!(line.contains("peer=2001:db8::7 "), "{line}");
}

#[test]
fn an_invalid_address_in_a_header_is_not_logged() {
    let server = TestServer::builder().env("TRUSTED_PROXIES", "private").start();
    let line = connected(&server, "203.0.113.7, \u{9b}2J<script>");
    assert!(line.contains("connected peer=127.0.0.1:"), "{line}");
    assert_eq!(server.events("script"), [""; 0]);
}
