//! What settings change: the service at `/`, what is told, and who may connect.

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
fn messages_but_pings_are_told_where_that_is_on() {
    let server = TestServer::builder().env("LOG_MESSAGES", "on").start();
    server.assert_serves();
    server.connect_to("/echo").ask("as\u{202e}df");
    let told = server.event("Got message: as\\u202edf");
    assert!(told.contains("/echo") && told.contains("peer=127.0.0.1:"), "{told}");
    assert_eq!(server.events("Got message").len(), 1);
    let silent = TestServer::start();
    silent.connect_to("/echo").ask("asdf");
    silent.event("lost");
    assert_eq!(silent.events("Got message"), [""; 0]);
}

#[test]
fn one_address_has_no_more_connections_than_it_may() {
    let server = TestServer::builder().env("MAX_PER_ADDRESS", "1").start();
    let first = server.connect();
    assert_eq!(RawClient::ask(server.address(), UPGRADE).status, 503);
    drop(first);
    eventually("its place is free", || TestClient::try_connect(server.address()).ok());
}
