//! `ALLOWED_ORIGINS`: the pages that may connect.

use crate::support::{RawClient, Response, TestServer, UPGRADE};

#[track_caller]
fn upgrade_from(server: &TestServer, origin: &str) -> Response {
    let request = UPGRADE.replace("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n"));
    let mut client = RawClient::connect(server.address());
    client.send(request.as_bytes());
    client.response()
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
    assert_eq!(server.metrics().get(sample), 1.0);
}

#[test]
fn an_invalid_origin_is_reported_before_the_server_listens() {
    let finished = TestServer::builder().env("ALLOWED_ORIGINS", "example.com").run();
    assert_eq!(finished.status, Some(2));
    assert!(finished.stderr.contains("ALLOWED_ORIGINS"), "{finished:?}");
    assert!(finished.stderr.contains("\"example.com\""), "{finished:?}");
    assert!(finished.stderr.contains("https://example.com,"), "{finished:?}");
}
