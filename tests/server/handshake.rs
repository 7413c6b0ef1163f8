//! The opening handshake as RFC 6455, section 4.2.1, and RFC 9110 and 9112 write it.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, RawClient, Response, TestServer, UPGRADE, upgrade_at, wait_until};

/// An upgrade with these lines in place of the usual `Connection` and `Upgrade`.
fn upgrade(path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\n{lines}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[track_caller]
fn ask(server: &TestServer, request: &str) -> Response {
    RawClient::request(server.address(), request).1
}

#[test]
fn an_upgrade_is_accepted_as_rfc_6455_shows_it() {
    let server = TestServer::start();
    let response = ask(&server, UPGRADE);
    assert_eq!(response.status, 101);
    assert_eq!(response.header("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(response.header("Upgrade").unwrap().eq_ignore_ascii_case("websocket"));
    assert!(response.header("Connection").unwrap().eq_ignore_ascii_case("upgrade"));
    assert_eq!(response.header("Sec-WebSocket-Protocol"), None);
}

#[test]
fn list_headers_are_read_in_every_form() {
    let server = TestServer::start();
    for lines in [
        "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade",
        "Host: a\r\nupgrade: WebSocket\r\nConnection: Upgrade",
        "Host: a\r\nUpgrade: websocket\r\nConnection: keep-alive\r\nConnection: Upgrade",
        "Host: a\r\nUpgrade: websocket\r\nConnection: keep-alive,\tUpgrade",
        "Host: a\r\nUpgrade: websocket\r\nConnection: ,keep-alive ,  UPGRADE,",
        "Host: a\r\nUpgrade: h2c, WebSocket\r\nConnection: upgrade",
        "Host: a\r\nUpgrade: h2c\r\nUpgrade: websocket\r\nConnection: upgrade",
        "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nExpect: 100-continue",
    ] {
        let response = ask(&server, &upgrade("/echo", lines));
        assert_eq!(response.status, 101, "{lines:?}: {response:?}");
        let accept = response.header("Sec-WebSocket-Accept");
        assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{lines:?}");
    }
}

#[test]
fn an_upgrade_that_breaks_a_rule_is_refused_with_the_rule() {
    let server = TestServer::start();
    let usual = "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (request, why) in [
        (upgrade("/", "Upgrade: websocket\r\nConnection: Upgrade"), "one Host header"),
        (upgrade("/", &format!("Host: b\r\n{usual}")), "one Host header"),
        (upgrade("/", &usual.replace("Host: a", "Host: a b")), "one Host header"),
        (upgrade("/", &format!("{usual}\r\nContent-Length: 5")) + "hello", "no content"),
        (
            upgrade("/", &format!("{usual}\r\nTransfer-Encoding: chunked")) + "0\r\n\r\n",
            "no content",
        ),
        (upgrade("/", "Host: a\r\nUpgrade: websocket"), "Connection"),
        (upgrade("/", "Host: a\r\nUpgrade: websocket\r\nConnection: close"), "Connection"),
        (upgrade("/", usual).replace(key, ""), "Sec-WebSocket-Key is missing"),
        (upgrade("/", usual).replace(key, &key.repeat(2)), "Sec-WebSocket-Key stands in it more"),
        (upgrade("/", usual).replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "16 bytes in base64"),
        (upgrade("/", usual).replace("Sec-WebSocket-Version: 13\r\n", ""), "Version is missing"),
        (upgrade("/", usual).replace("HTTP/1.1", "HTTP/1.0"), "HTTP/1.1"),
    ] {
        let response = RawClient::ask(server.address(), &request);
        assert_eq!(response.status, 400, "{request:?}: {response:?}");
        assert!(response.body.contains(why), "{request:?}: {response:?}");
    }
}

#[test]
fn the_first_valid_subprotocol_of_an_offer_is_accepted() {
    let server = TestServer::start();
    for (offered, taken) in [
        ("chat", Some("chat")),
        ("v2.ping, v1.ping", Some("v2.ping")),
        (",a", Some("a")),
        ("a b", None),
        ("", None),
        (",", None),
    ] {
        let offer = format!("Sec-WebSocket-Protocol: {offered}\r\n");
        let response = ask(&server, &upgrade_at("/", &offer));
        assert_eq!(response.status, 101, "{offered}");
        assert_eq!(response.header("Sec-WebSocket-Protocol"), taken, "{offered}");
    }
}

#[test]
fn an_offer_of_another_protocol_is_ignored() {
    let server = TestServer::start();
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk";
    for (path, status) in [("/", 200), ("/healthz", 200), ("/echo", 426)] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{h2c}\r\n\r\n");
        assert_eq!(RawClient::ask(server.address(), &request).status, status, "{path}");
    }
}

#[test]
fn another_version_of_websocket_gets_426_and_the_supported_version() {
    let server = TestServer::start();
    for version in ["8", "14", "abc"] {
        let request = UPGRADE.replace("Version: 13", &format!("Version: {version}"));
        let response = RawClient::ask(server.address(), &request);
        assert_eq!(response.status, 426, "{version}");
        assert_eq!(response.header("Sec-WebSocket-Version"), Some("13"));
    }
}

/// Ends a flood, even if the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_client_that_speaks_late_gets_in_beside_a_flood_of_silent_connections() {
    let server = TestServer::start();
    let address = server.address();
    let (connections, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let flood = || {
        let mut silent = std::collections::VecDeque::new();
        while !is_over.load(Ordering::Relaxed) {
            silent.extend(TcpStream::connect_timeout(&address, PATIENCE).ok());
            connections.fetch_add(1, Ordering::Relaxed);
            // The descriptors of the test are bounded as well.
            if silent.len() > 4000 {
                silent.pop_front();
            }
        }
    };
    // Gets in late, in time for the server unless the test itself is held up.
    let get_in = || {
        let begun = Instant::now();
        let mut client = RawClient::connect(address);
        thread::sleep(Duration::from_millis(200));
        let sent = client.try_send(UPGRADE.as_bytes());
        let response = sent.and_then(|()| client.try_response());
        match response {
            Ok(response) => assert_eq!(response.status, 101, "{response:?}"),
            Err(error) => {
                assert!(begun.elapsed() > Duration::from_secs(1), "{error}");
                return false;
            }
        }
        true
    };
    thread::scope(|scope| {
        scope.spawn(flood);
        let end = End(&is_over);
        let mut rounds = 0;
        wait_until("clients get in beside the flood", || {
            rounds += usize::from(get_in());
            rounds > 10 && connections.load(Ordering::Relaxed) > 4000
        });
        drop(end);
    });
}
