//! Escapes of invisible characters and bidirectional controls, in the log and in events.

use crate::support::{RawClient, TestServer, UPGRADE, eventually};

#[test]
fn invisible_characters_of_a_ping_are_escaped_in_the_log() {
    let server = TestServer::start();
    let mut client = server.connect();
    assert_eq!(client.ping("a\u{202e}b\u{200b}", "\u{feff}c\u{2066}\u{e0041}"), "Pong!");
    let line = r#"("a\u202eb\u200b"): \ufeffc\u2066\udb40\udc41"#;
    assert!(server.log_text().ends_with(&format!("{line}\n")), "{}", server.log_text());
    eventually("stdout shows it too", || {
        String::from_utf8(server.stdout()).unwrap().contains(line).then_some(())
    });
}

#[test]
fn invisible_characters_of_a_header_are_escaped_in_events() {
    let server = TestServer::builder().env("ALLOWED_ORIGINS", "self").start();
    let origin = "http://e\u{202e}vil\u{200b}";
    let request = UPGRADE.replace("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n"));
    let mut client = RawClient::connect(server.address());
    client.send(request.as_bytes());
    assert_eq!(client.response().status, 403);
    let event = server.event("vil");
    assert!(event.contains(r"e\u202evil\u200b"), "{event}");
}
