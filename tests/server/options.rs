//! Effects of the settings `DEFAULT_SERVICE`, `LOG_MESSAGES` and `MAX_PER_ADDRESS`.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::support::{RawClient, TestClient, TestServer, UPGRADE, eventually};

#[test]
fn the_service_at_the_root_is_the_one_that_was_set() {
    for (path, reply) in [("/echo", "[RE]: 2"), ("/total", "Server records total=2")] {
        let server = TestServer::builder().env("DEFAULT_SERVICE", path).start();
        assert_eq!(server.connect_to("/").ask("2"), reply);
        assert!(server.get("/").body.contains("<html"), "a plain GET gets the page");
    }
}

#[test]
fn log_messages_logs_all_messages_but_pings() {
    let server = TestServer::builder().env("LOG_MESSAGES", "on").start();
    server.assert_serves();
    server.connect_to("/echo").ask("as\u{202e}df");
    let event = server.event("Got message: as\\u202edf");
    assert!(event.contains("/echo") && event.contains("peer=127.0.0.1:"), "{event}");
    assert_eq!(server.events("Got message").len(), 1);
    let silent = TestServer::start();
    silent.connect_to("/echo").ask("asdf");
    silent.event("lost");
    assert_eq!(silent.events("Got message"), [""; 0]);
}

#[test]
fn max_per_address_bounds_the_connections_of_one_address() {
    let server = TestServer::builder().env("MAX_PER_ADDRESS", "1").start();
    let first = server.connect();
    assert_eq!(RawClient::ask(server.address(), UPGRADE).status, 503);
    drop(first);
    eventually("its place is free", || TestClient::try_connect(server.address()).ok());
}

#[test]
fn ipv4_clients_of_a_listener_for_ipv4_and_ipv6_count_by_their_own_addresses() {
    let server = TestServer::builder().env("LISTEN", "[::]:0").env("MAX_PER_ADDRESS", "1").start();
    let address = (Ipv4Addr::LOCALHOST, server.address().port()).into();
    let mut first = RawClient::from_address(Ipv4Addr::LOCALHOST, address);
    first.upgrade();
    let refused = RawClient::ask(address, UPGRADE);
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("taken by 127.0.0.1;"), "{refused:?}");
    RawClient::from_address(Ipv4Addr::new(127, 0, 0, 2), address).upgrade();
    for host in ["127.0.0.1", "127.0.0.2"] {
        server.event(&format!("connected peer={host}:"));
    }
    RawClient::upgraded((Ipv6Addr::LOCALHOST, address.port()).into());
    server.event("connected peer=[::1]:");
}
