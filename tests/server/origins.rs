//! `ALLOWED_ORIGINS`: the pages that may connect.

use crate::support::{RawClient, Response, TestServer, upgrade_at, wait_until};

#[track_caller]
fn upgrade_from(server: &TestServer, origin: &str) -> Response {
    let request = upgrade_at("/", &format!("Origin: {origin}\r\n"));
    RawClient::request(server.address(), &request).1
}

#[test]
fn every_page_may_connect_by_default() {
    let server = TestServer::start();
    for origin in ["https://example.com", "http://localhost", "null"] {
        assert_eq!(upgrade_from(&server, origin).status, 101, "{origin}");
    }
}

#[test]
fn a_page_of_another_origin_gets_403_and_is_logged() {
    let allowed = "https://example.com, self";
    let server = TestServer::builder().env("ALLOWED_ORIGINS", allowed).start();
    for origin in ["https://example.com", "http://localhost"] {
        assert_eq!(upgrade_from(&server, origin).status, 101, "{origin}");
    }
    server.assert_serves();
    assert!(server.events("refused").is_empty());
    assert_eq!(upgrade_from(&server, "https://evil.example").status, 403);
    let line = server.event("refused");
    assert!(line.contains("status=403") && line.contains("https://evil.example"), "{line}");
    assert!(line.contains("ALLOWED_ORIGINS is https://example.com,self"), "{line}");
    assert_eq!(server.events("refused").len(), 1);
    let sample = r#"websockets_errors_total{cause="origin_refused"}"#;
    wait_until("it is counted", || server.metrics().get(sample) == 1.0);
}

#[test]
fn an_invalid_origin_is_reported_before_the_server_listens() {
    let reported = TestServer::builder().env("ALLOWED_ORIGINS", "example.com").fails(2);
    for part in ["ALLOWED_ORIGINS", "\"example.com\"", "https://example.com,"] {
        assert!(reported.contains(part), "{reported}");
    }
}

#[test]
fn invisible_characters_of_an_origin_are_escaped_in_events() {
    let server = TestServer::builder().env("ALLOWED_ORIGINS", "self").start();
    assert_eq!(upgrade_from(&server, "http://e\u{202e}vil\u{200b}").status, 403);
    let event = server.event("vil");
    assert!(event.contains(r"e\u202evil\u200b"), "{event}");
}
