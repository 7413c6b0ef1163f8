//! Plain HTTP requests, and the opening handshake of WebSocket.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;

use crate::support::{
    RawClient, Response, TestClient, TestServer, UPGRADE, eventually, first, frame, own_address,
    ping_text, rounds, seed,
};

#[track_caller]
fn ask(server: &TestServer, line: &str) -> Response {
    RawClient::ask(server.address(), &format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

/// The upgrade with `from` replaced.
fn upgrade_with(from: &str, to: &str) -> String {
    assert!(UPGRADE.contains(from), "{from}");
    UPGRADE.replace(from, to)
}

#[test]
fn an_upgrade_is_accepted_as_rfc_6455_shows_it() {
    let server = TestServer::start();
    let mut client = RawClient::connect(server.address());
    client.send(UPGRADE.as_bytes());
    let response = client.response();
    assert_eq!(response.status, 101);
    assert_eq!(response.header("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(response.header("Upgrade").unwrap().eq_ignore_ascii_case("websocket"));
    assert!(response.header("Connection").unwrap().eq_ignore_ascii_case("upgrade"));
    assert_eq!(response.header("Sec-WebSocket-Protocol"), None);
}

#[test]
fn an_upgrade_may_be_spelt_in_other_ways() {
    let server = TestServer::start();
    for request in [
        upgrade_with("Upgrade: websocket", "upgrade: WebSocket"),
        upgrade_with("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        upgrade_with("GET / ", "GET /?x=1 "),
        upgrade_with("Host: localhost", "Host: localhost\r\nOrigin: https://example.com"),
    ] {
        let mut client = RawClient::connect(server.address());
        client.send(request.as_bytes());
        assert_eq!(client.response().status, 101, "{request}");
        client.send(&frame(first::TEXT, ping_text("Client-100", "Ping!").as_bytes()));
        assert_eq!(client.frame().text(), "Pong!");
    }
}

#[test]
fn an_offered_subprotocol_is_accepted() {
    let server = TestServer::start();
    let offers = [("chat", "chat"), ("v2.ping, v1.ping", "v2.ping")];
    for (offered, taken) in offers {
        let mut client = RawClient::connect(server.address());
        let header = format!("13\r\nSec-WebSocket-Protocol: {offered}");
        client.send(upgrade_with("13", &header).as_bytes());
        let response = client.response();
        assert_eq!(response.status, 101);
        assert_eq!(response.header("Sec-WebSocket-Protocol"), Some(taken));
    }
}

#[test]
fn an_unknown_path_gets_404_and_the_paths_that_there_are() {
    let server = TestServer::start();
    let unknown_upgrade =
        RawClient::ask(server.address(), &upgrade_with("GET / ", "GET /nowhere "));
    for response in [ask(&server, "GET /nowhere"), unknown_upgrade] {
        assert_eq!(response.status, 404);
        assert!(response.body.contains("/nowhere"), "{response:?}");
        let paths = response.body.lines().filter_map(|line| line.strip_prefix("  /"));
        let mut paths: Vec<_> = paths.map(|line| line.split(' ').next().unwrap()).collect();
        paths.dedup();
        let expected = ["", "echo", "ws", "mirror", "total", "status", "", "healthz", "metrics"];
        assert_eq!(paths, expected, "{response:?}");
    }
}

#[test]
fn a_plain_get_of_a_websocket_path_gets_426() {
    let server = TestServer::start();
    for path in ["/echo", "/ws", "/mirror", "/total"] {
        let response = server.get(path);
        assert_eq!(response.status, 426, "{path}");
        assert_eq!(response.header("Upgrade"), Some("websocket"));
        assert!(response.body.contains("ws://"), "{response:?}");
    }
}

#[test]
fn a_browser_gets_the_page_with_headers_that_isolate_it() {
    let server = TestServer::start();
    let response = server.get("/");
    assert_eq!(response.status, 200);
    assert!(response.body.starts_with("<!doctype html>"), "{response:?}");
    assert!(response.body.ends_with("</html>\n"), "{response:?}");
    for (name, value) in [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Cache-Control", "no-cache"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Embedder-Policy", "require-corp"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let policy = response.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
}

#[test]
fn healthz_says_ok_and_head_gets_no_body() {
    let server = TestServer::start();
    let response = ask(&server, "GET /healthz");
    assert_eq!((response.status, response.body.trim_end()), (200, "ok"));
    let old = RawClient::ask(server.address(), "GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!((old.status, old.body.trim_end()), (200, "ok"));
    let response = ask(&server, "HEAD /healthz");
    assert_eq!((response.status, response.body.as_str()), (200, ""));
    let response = ask(&server, "HEAD /");
    assert_eq!((response.status, response.body.as_str()), (200, ""));
    assert_eq!(server.log_text(), "");
}

#[test]
fn other_methods_get_405() {
    let server = TestServer::start();
    for line in ["POST /", "PUT /", "DELETE /", "POST /healthz"] {
        let response = ask(&server, line);
        assert_eq!(response.status, 405, "{line}");
        assert!(response.header("Allow").unwrap().contains("GET"), "{line}");
    }
    let response = RawClient::ask(server.address(), &upgrade_with("GET", "POST"));
    assert_eq!(response.status, 405);
    let connect = "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n";
    assert_eq!(RawClient::ask(server.address(), connect).status, 405);
}

#[test]
fn options_asks_about_a_path_even_with_an_upgrade() {
    let server = TestServer::start();
    let response = RawClient::ask(server.address(), &upgrade_with("GET", "OPTIONS"));
    assert_eq!((response.status, response.body.as_str()), (204, ""));
}

#[test]
fn a_bad_upgrade_gets_400() {
    let server = TestServer::start();
    for request in [
        upgrade_with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
        upgrade_with("Sec-WebSocket-Version: 13\r\n", ""),
        upgrade_with("Connection: Upgrade\r\n", ""),
        upgrade_with("Connection: Upgrade", "Connection: close"),
        upgrade_with("HTTP/1.1", "HTTP/1.0"),
    ] {
        let response = RawClient::ask(server.address(), &request);
        assert_eq!(response.status, 400, "{request}");
    }
    server.assert_serves();
}

#[test]
fn an_offer_of_another_protocol_is_ignored() {
    let server = TestServer::start();
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk";
    for (path, status) in [("/", 200), ("/healthz", 200), ("/echo", 426)] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{h2c}\r\n\r\n");
        assert_eq!(RawClient::ask(server.address(), &request).status, status, "{path}");
    }
    let both = upgrade_with("Upgrade: websocket", "Upgrade: h2c, websocket");
    let mut client = RawClient::connect(server.address());
    client.send(both.as_bytes());
    assert_ne!(client.response().status, 200);
}

#[test]
fn an_invalid_subprotocol_name_is_ignored() {
    let server = TestServer::start();
    for (offered, taken) in [(",a", Some("a")), ("a b", None), ("", None), (",", None)] {
        let mut client = RawClient::connect(server.address());
        let header = format!("13\r\nSec-WebSocket-Protocol: {offered}");
        client.send(upgrade_with("13", &header).as_bytes());
        let response = client.response();
        assert_eq!(response.status, 101, "{offered}");
        assert_eq!(response.header("Sec-WebSocket-Protocol"), taken, "{offered}");
    }
}

#[test]
fn another_version_of_websocket_gets_426_and_the_supported_version() {
    let server = TestServer::start();
    for version in ["8", "14", "abc"] {
        let request = upgrade_with("Version: 13", &format!("Version: {version}"));
        let response = RawClient::ask(server.address(), &request);
        assert_eq!(response.status, 426, "{version}");
        assert_eq!(response.header("Sec-WebSocket-Version"), Some("13"));
    }
}

#[test]
fn bytes_that_are_not_http_are_refused() {
    let server = TestServer::start();
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01";
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for bytes in [&tls[..], http2, b"hello\r\n\r\n", &[0xff; 1000]] {
        let mut client = RawClient::connect(server.address());
        client.send(bytes);
        client.skip_to_the_end();
    }
    server.assert_serves();
}

#[test]
fn random_requests_do_not_stop_the_server() {
    let mut rng = StdRng::seed_from_u64(seed());
    let server = TestServer::start();
    for _ in 0..rounds(200) {
        let mut request = UPGRADE.as_bytes().to_vec();
        for _ in 0..rng.random_range(0..4) {
            let at = rng.random_range(0..request.len());
            match rng.random_range(0..3) {
                0 => request[at] = rng.random(),
                1 => request.truncate(at.max(1)),
                _ => drop(request.splice(at..at, (0..20).map(|_| rng.random::<u8>()))),
            }
        }
        let mut client = RawClient::connect(server.address());
        client.send(&request);
        client.end();
        client.skip_to_the_end();
    }
    server.assert_serves();
    assert_eq!(server.events("panicked"), [""; 0]);
    assert_eq!(server.log().lines().len(), 1);
}

#[test]
fn a_head_without_end_is_refused() {
    let server = TestServer::builder().env("WORKERS", "1").start();
    server.assert_serves();
    let memory = server.memory();
    let floods = [b"x: y\r\n".repeat(1000), vec![b'x'; 10_000]];
    for block in floods {
        let mut client = RawClient::connect(server.address());
        client.send(b"GET / HTTP/1.1\r\nHost: ");
        // The server disconnects after kilobytes, not megabytes.
        let taken = (0..1000).take_while(|_| client.try_send(&block).is_ok()).count();
        assert!(taken < 1000);
    }
    let mut large = RawClient::connect(server.address());
    large.send(upgrade_with("localhost", &"x".repeat(20_000)).as_bytes());
    assert_eq!(large.response().status, 431);
    assert!(server.memory().saturating_sub(memory) < 4 << 20);
    server.assert_serves();
}

#[test]
fn beyond_max_connections_a_client_gets_503_until_another_leaves() {
    let server = TestServer::builder().env("MAX_CONNECTIONS", "2").start();
    let mut first = server.connect();
    let mut second = server.connect();
    for _ in 0..3 {
        let response = RawClient::ask(server.address(), UPGRADE);
        assert_eq!(response.status, 503);
        assert!(response.body.contains("MAX_CONNECTIONS"), "{response:?}");
    }
    assert_eq!(server.health().status, 200);
    assert_eq!(first.ping("Client-100", "Ping!"), "Pong!");
    first.close();
    let mut third =
        eventually("a place is free", || TestClient::try_connect(server.address()).ok());
    assert_eq!(third.ping("Client-300", "Ping!"), "Pong!");
    assert_eq!(second.ping("Client-200", "Ping!"), "Pong!");
    assert_eq!(RawClient::ask(server.address(), UPGRADE).status, 503);
}

#[test]
fn the_healthcheck_succeeds_and_is_not_logged() {
    let server = TestServer::start();
    let address = server.address().to_string();
    for _ in 0..3 {
        let check = server.again().env("LISTEN", &address).arg("healthcheck").run();
        assert_eq!((check.status, check.stdout.as_str()), (Some(0), ""), "{check:?}");
    }
    assert_eq!(server.log_text(), "");
    assert_eq!(server.stdout(), b"");
    assert_eq!(server.events("").len(), 1, "{:?}", server.events(""));
}

#[test]
fn a_client_that_shut_down_its_writing_side_still_gets_its_reply() {
    let server = TestServer::start();
    let mut client = RawClient::connect(server.address());
    client.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.end();
    assert_eq!(client.response().status, 200);
}

#[test]
fn the_healthcheck_succeeds_while_every_place_is_taken() {
    let server = TestServer::builder().env("MAX_CONNECTIONS", "1").start();
    let mut client = server.connect();
    let check = server.again().env("LISTEN", server.address().to_string()).arg("healthcheck").run();
    assert_eq!(check.status, Some(0), "{check:?}");
    assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
}

#[test]
fn the_healthcheck_finds_a_server_that_listens_everywhere() {
    // As in the image: a server that listens at 0.0.0.0 is reached at 127.0.0.1.
    let server = TestServer::start();
    let everywhere = format!("0.0.0.0:{}", server.address().port());
    let check = server.again().env("LISTEN", everywhere).arg("healthcheck").run();
    assert_eq!(check.status, Some(0), "{check:?}");
}

#[test]
fn the_healthcheck_fails_where_nothing_listens() {
    let builder = TestServer::builder().env("LISTEN", own_address().to_string());
    let check = builder.arg("healthcheck").run();
    assert_eq!(check.status, Some(1), "{check:?}");
    assert_eq!(check.stderr.lines().count(), 1, "{check:?}");
}

#[test]
fn the_healthcheck_fails_soon_if_the_server_does_not_respond() {
    let server = TestServer::start();
    server.signal(Signal::STOP);
    let start = Instant::now();
    let check = server.again().env("LISTEN", server.address().to_string()).arg("healthcheck").run();
    assert_eq!(check.status, Some(1), "{check:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    server.signal(Signal::CONT);
    server.assert_serves();
}
