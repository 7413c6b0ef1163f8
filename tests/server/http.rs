//! Plain HTTP requests.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{
    RawClient, Response, TestClient, TestServer, UPGRADE, eventually, rounds, seed, upgrade_at,
};

#[track_caller]
fn ask(server: &TestServer, line: &str) -> Response {
    RawClient::ask(server.address(), &format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

#[test]
fn an_unknown_path_gets_404_and_the_paths_that_there_are() {
    let server = TestServer::start();
    let unknown_upgrade = RawClient::ask(server.address(), &upgrade_at("/nowhere", ""));
    for response in [ask(&server, "GET /nowhere"), unknown_upgrade] {
        assert_eq!(response.status, 404);
        assert!(response.body.contains("/nowhere"), "{response:?}");
        let paths = response.body.lines().filter_map(|line| line.strip_prefix("  /"));
        let mut paths: Vec<_> = paths.map(|line| line.split(' ').next().unwrap()).collect();
        paths.dedup();
        let expected =
            ["", "echo", "ws", "mirror", "total", "status", "probe", "", "healthz", "metrics"];
        assert_eq!(paths, expected, "{response:?}");
    }
}

#[test]
fn a_slash_at_the_end_of_a_path_and_a_query_do_not_count() {
    let server = TestServer::start();
    for path in ["/echo/", "/echo?x=1"] {
        assert_eq!(server.connect_to(path).ask("hello"), "[RE]: hello", "{path}");
    }
    assert_eq!(server.get("/healthz/").status, 200);
    assert_eq!(server.get("/echo//").status, 404);
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
    for line in ["HEAD /healthz", "HEAD /"] {
        let response = ask(&server, line);
        assert_eq!((response.status, response.body.as_str()), (200, ""), "{line}");
    }
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
    let response = RawClient::ask(server.address(), &UPGRADE.replace("GET", "POST"));
    assert_eq!(response.status, 405);
    let connect = "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n";
    assert_eq!(RawClient::ask(server.address(), connect).status, 405);
}

#[test]
fn a_get_names_a_path_or_a_whole_url() {
    let server = TestServer::start();
    for (line, status) in [
        ("GET healthz", 400),
        ("GET localhost:80", 400),
        ("HEAD healthz", 400),
        ("GET *", 400),
        ("GET http://localhost/healthz", 200),
        ("GET HTTP://localhost", 200),
        ("OPTIONS *", 204),
    ] {
        let response = ask(&server, line);
        assert_eq!(response.status, status, "{line}: {response:?}");
    }
    let upgrade = RawClient::ask(server.address(), &upgrade_at("echo", ""));
    assert_eq!(upgrade.status, 400, "{upgrade:?}");
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
        ("GET /healthz HTTP/1.1\r\nHost: a:b\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a:+80\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a:-1\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a:65536\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a:80:80\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: ::1\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]80\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]:x\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a:65535\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nHost: a:\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]\r\n", 200),
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
fn options_are_answered_even_with_an_upgrade() {
    let server = TestServer::start();
    for line in ["OPTIONS / HTTP/1.0", "OPTIONS /healthz HTTP/1.0", "OPTIONS * HTTP/1.0"] {
        let response = RawClient::ask(server.address(), &format!("{line}\r\n\r\n"));
        assert_eq!(response.status, 204, "{line}: {response:?}");
        assert_eq!(response.header("Allow"), Some("GET, HEAD, OPTIONS"), "{line}");
    }
    assert_eq!(RawClient::ask(server.address(), "OPTIONS /nowhere HTTP/1.0\r\n\r\n").status, 404);
    let response = RawClient::ask(server.address(), &UPGRADE.replace("GET", "OPTIONS"));
    assert_eq!((response.status, response.body.as_str()), (204, ""));
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
    large.send(UPGRADE.replace("localhost", &"x".repeat(20_000)).as_bytes());
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
fn a_client_that_shut_down_its_writing_side_still_gets_its_reply() {
    let server = TestServer::start();
    let mut client = RawClient::connect(server.address());
    client.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.end();
    assert_eq!(client.response().status, 200);
}
