//! Effects of the settings `DEFAULT_SERVICE`, `LOG_MESSAGES` and `MAX_PER_ADDRESS`.

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
