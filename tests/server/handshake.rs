//! The opening handshake as RFC 6455, section 4.2.1, and RFC 9110 and 9112 write it.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, RawClient, Response, TestServer};

/// An upgrade with these lines in place of the usual `Connection` and `Upgrade`.
fn upgrade(path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\n{lines}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[track_caller]
fn ask(server: &TestServer, request: &str) -> Response {
    let mut client = RawClient::connect(server.address());
    client.send(request.as_bytes());
    client.response()
}

#[test]
fn list_headers_are_read_in_every_form() {
    let server = TestServer::start();
    for lines in [
        "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade",
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
    let other_version = upgrade("/", usual).replace("Version: 13", "Version: 8");
    let response = RawClient::ask(server.address(), &other_version);
    assert_eq!((response.status, response.header("Sec-WebSocket-Version")), (426, Some("13")));
}

#[test]
fn every_request_of_http_1_1_has_one_host() {
    let server = TestServer::start();
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a b\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a/b\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: user@a\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost:\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nHost: a_b.c:80\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]:80\r\n", 200),
        ("GET /healthz HTTP/1.0\r\n", 200),
    ] {
        let response = RawClient::ask(server.address(), &format!("{head}\r\n"));
        assert_eq!(response.status, status, "{head:?}: {response:?}");
    }
}

#[test]
fn options_are_answered() {
    let server = TestServer::start();
    for line in ["OPTIONS / HTTP/1.0", "OPTIONS /healthz HTTP/1.0", "OPTIONS * HTTP/1.0"] {
        let response = RawClient::ask(server.address(), &format!("{line}\r\n\r\n"));
        assert_eq!(response.status, 204, "{line}: {response:?}");
        assert_eq!(response.header("Allow"), Some("GET, HEAD, OPTIONS"), "{line}");
    }
    assert_eq!(RawClient::ask(server.address(), "OPTIONS /nowhere HTTP/1.0\r\n\r\n").status, 404);
}

#[test]
fn a_slash_at_the_end_of_a_path_does_not_count() {
    let server = TestServer::start();
    assert_eq!(server.connect_to("/echo/").ask("hello"), "[RE]: hello");
    assert_eq!(server.get("/healthz/").status, 200);
    assert_eq!(server.get("/echo//").status, 404);
}

#[test]
fn a_client_that_speaks_late_gets_in_beside_a_flood_of_silent_connections() {
    let server = TestServer::start();
    let address = server.address();
    let deadline = Instant::now() + Duration::from_secs(3);
    let flood = thread::spawn(move || {
        let mut silent = std::collections::VecDeque::new();
        let mut connections = 0;
        while Instant::now() < deadline {
            silent.extend(TcpStream::connect_timeout(&address, PATIENCE).ok());
            connections += 1;
            // The descriptors of the test are bounded as well.
            if silent.len() > 4000 {
                silent.pop_front();
            }
        }
        connections
    });
    let mut rounds = 0;
    while Instant::now() < deadline {
        let mut client = RawClient::connect(address);
        thread::sleep(Duration::from_millis(200));
        client.upgrade();
        rounds += 1;
    }
    let connections = flood.join().unwrap();
    assert!(rounds > 3 && connections > 4000, "{rounds} rounds beside {connections} connections");
}
