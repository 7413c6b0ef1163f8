//! The command `server healthcheck`: its errors about a server that does not work, its arguments.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Builder, TestServer, own_address, wait_until};

const HEALTHY: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok\n";

/// A server that sends the next of `replies` over each connection, and closes the connection.
fn fake(replies: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for reply in replies {
            answer(listener.accept().unwrap().0, reply);
        }
    });
    address
}

fn answer(mut stream: TcpStream, reply: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    stream.write_all(reply.as_bytes()).unwrap();
}

#[test]
fn each_kind_of_failure_is_reported_with_its_cause_in_one_line() {
    for (replies, cause) in [
        (&[""][..], "it hung up without an answer to GET /healthz"),
        (&["SSH-2.0-OpenSSH\r\n"], "no HTTP server, it answered \"SSH-2.0-OpenSSH\""),
        (&["HTTP/1.1 503 Service Unavailable\r\n\r\nno\u{7}\n"], "/healthz says: no\\u0007"),
        (&["HTTP/1.1 404 Not Found\r\n\r\n"], "/healthz says: 404 Not Found"),
        (&[HEALTHY, ""], "no upgrade to WebSocket: "),
        (&[HEALTHY, "HTTP/1.1 403 Forbidden\r\n\r\n"], "no upgrade to WebSocket: HTTP error: 403"),
    ] {
        let asked = Cell::new(None);
        let check = TestServer::healthcheck_in_time(|| {
            let server = fake(replies);
            asked.set(Some(server));
            TestServer::healthcheck_once(&server.to_string())
        });
        let server = asked.get().unwrap();
        assert_eq!(check.status, Some(1), "{check:?}");
        assert_eq!(check.stderr.lines().count(), 1, "{check:?}");
        let reported = check.stderr.strip_prefix(&format!("error: {server}: {cause}"));
        let reported = reported.unwrap_or_else(|| panic!("no {cause:?} in {check:?}"));
        assert!(reported.len() > 1 || !cause.ends_with(' '), "{check:?}");
    }
}

#[test]
fn a_port_where_nothing_listens_is_reported() {
    let free = own_address();
    let check = TestServer::healthcheck(&free.to_string());
    assert_eq!(check.status, Some(1));
    let expected = format!("error: {free}: cannot connect: Connection refused (os error 111)\n");
    assert_eq!(check.stderr, expected);
}

#[test]
fn the_address_may_stand_before_and_behind_the_command() {
    let server = TestServer::start();
    let address = server.address().to_string();
    for args in [["--listen", &address, "healthcheck"], ["healthcheck", "--listen", &address]] {
        let check = TestServer::healthcheck_in_time(|| {
            let builder = server.again().env("LISTEN", "127.0.0.1:1");
            args.into_iter().fold(builder, Builder::arg).run()
        });
        assert_eq!((check.status, check.stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn the_port_that_the_system_chose_has_to_be_named() {
    let check = TestServer::healthcheck("127.0.0.1:0");
    assert_eq!(check.status, Some(1));
    assert!(check.stderr.contains("LISTEN (--listen) is \"127.0.0.1:0\", but"), "{check:?}");
}

#[test]
fn a_healthy_server_passes_and_logs_nothing_of_the_check() {
    let server = TestServer::start();
    for _ in 0..3 {
        let check = TestServer::healthcheck(&server.address().to_string());
        assert_eq!((check.status, check.stdout.as_str()), (Some(0), ""), "{check:?}");
    }
    assert_eq!(server.log_text(), "");
    assert_eq!(server.stdout(), b"");
    assert_eq!(server.events("").len(), 1, "{:?}", server.events(""));
}

#[test]
fn a_server_passes_while_every_place_is_taken() {
    let server = TestServer::builder().env("MAX_CONNECTIONS", "1").start();
    let mut client = server.connect();
    let check = TestServer::healthcheck(&server.address().to_string());
    assert_eq!(check.status, Some(0), "{check:?}");
    assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
}

#[test]
fn a_server_is_found_by_a_name_and_by_the_address_of_all_interfaces() {
    let server = TestServer::start();
    // The server has no address of IPv6, as on a machine without IPv6.
    for host in ["localhost", "0.0.0.0", "[::]"] {
        let check = TestServer::healthcheck(&format!("{host}:{}", server.address().port()));
        assert_eq!((check.status, check.stderr.as_str()), (Some(0), ""), "{host}");
    }
}

#[test]
fn a_server_that_does_not_respond_fails_soon() {
    let server = TestServer::start();
    server.signal(Signal::STOP);
    let start = Instant::now();
    let check = TestServer::healthcheck_once(&server.address().to_string());
    assert_eq!(check.status, Some(1), "{check:?}");
    // Without its time limit, the check would wait for ever.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    server.signal(Signal::CONT);
    server.assert_serves();
}

#[test]
fn health_checks_are_not_counted_as_connections() {
    for listen in ["127.0.0.1:0", "[::]:0", "[::ffff:127.0.0.1]:0"] {
        let server = TestServer::builder().env("LISTEN", listen).start();
        server.connect().ping("Client-100", "Ping!");
        for host in ["127.0.0.1", "0.0.0.0", "[::ffff:0.0.0.0]"] {
            let check = TestServer::healthcheck(&format!("{host}:{}", server.address().port()));
            assert_eq!(check.status, Some(0), "{check:?}");
        }
        assert_one_connection(&server);
    }
}

/// Fails unless the server has counted one connection, of a client that has left.
#[track_caller]
fn assert_one_connection(server: &TestServer) {
    let open = r#"websockets_connections{service="/"}"#;
    wait_until("all have left", || server.metrics().get(open) == 0.0);
    let total = r#"websockets_connections_total{service="/"}"#;
    assert_eq!(server.metrics().get(total), 1.0);
    let state: Value = serde_json::from_str(&server.get("/status").body).unwrap();
    let service = state["services"].as_array().unwrap().iter().find(|one| one["path"] == "/");
    assert_eq!(service.unwrap()["total"], 1, "{state}");
}

#[test]
fn a_check_that_finds_no_place_is_no_client_that_was_refused() {
    let server = TestServer::builder().env("MAX_CONNECTIONS", "1").start();
    let _client = server.connect();
    let check = TestServer::healthcheck(&server.address().to_string());
    assert_eq!(check.status, Some(0), "{check:?}");
    let refused = r#"websockets_errors_total{cause="too_many_connections"}"#;
    assert_eq!(server.metrics().get(refused), 0.0);
    assert_eq!(server.events("refused"), [""; 0]);
}
