//! Other WebSocket servers, reverse proxies, TLS and Unix sockets.

use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::thread;

use super::{PATIENCE, check, not_passed, verdict};
use crate::fake::join;
use crate::interop::PythonServer;
use crate::middle::Kind;
use crate::python::python;
use crate::real_server::RealServer;
use crate::websocat_server::Websocat;

const MIRROR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/client/check/mirror.py");

/// The checks of a server that end with this outcome, `warned` or `failed`.
fn with(url: &str, outcome: &str) -> Vec<String> {
    let checks = not_passed(&verdict(url, &["-W", PATIENCE]));
    checks.into_iter().filter(|check| check.1 == outcome).map(|check| check.0).collect()
}

#[test]
#[ignore = "needs Python with websockets"]
fn python_websockets_breaks_two_rules() {
    let server = PythonServer::of(python(MIRROR).stderr(Stdio::null()));
    // Another version is refused without the one that is right, and a missing Host is accepted.
    assert_eq!(with(&server.url, "failed"), ["version", "no-host"]);
    assert_eq!(with(&server.url, "warned"), ["length-16-long", "length-64-long"]);
}

#[test]
#[ignore = "needs websocat"]
fn websocat_breaks_three_rules_and_says_little() {
    let server = Websocat::start(&["-t", "ws-l:ADDRESS", "mirror:"]);
    assert_eq!(with(&server.url, "failed"), ["version", "no-version", "no-host"]);
    // websocat drops the connection where a Close frame should say why, and answers each Close
    // frame with an empty one.
    let warned = with(&server.url, "warned");
    assert_eq!(warned.len(), 37, "{warned:?}");
    for check in ["close", "close-private", "rsv1", "opcode-f", "utf8", "limit-frame"] {
        assert!(warned.iter().any(|warned| warned == check), "{check} in {warned:?}");
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn reverse_proxies_are_checked_together_with_the_server() {
    let server = RealServer::start(&[]);
    for (kind, failed, warned) in [
        // nginx, Apache and Caddy ask for the upgrade by themselves where there is an Upgrade,
        // whatever the version of HTTP; nginx and Apache also whatever stands in Connection.
        (Kind::Nginx, vec!["no-connection", "http-1.0"], vec![""; 0]),
        (Kind::Apache, vec!["no-connection", "http-1.0"], vec![]),
        (Kind::Caddy, vec!["http-1.0"], vec![]),
        (Kind::Haproxy, vec![], vec![]),
    ] {
        let middle = kind.to(&[server.address()]).start();
        let url = format!("{}/mirror", middle.url());
        assert_eq!(with(&url, "failed"), failed, "{kind:?}");
        assert_eq!(with(&url, "warned"), warned, "{kind:?}");
    }
}

#[test]
fn a_server_is_checked_over_tls() {
    let server = RealServer::start_with_tls();
    let url = format!("wss://{}/mirror", server.secure_address());
    let args = ["--tls-ca", &server.ca(), "-W", PATIENCE];
    assert_eq!(not_passed(&verdict(&url, &args)), []);
    let output = check(&url, &[]);
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("unknown authority"), "{told}");
}

#[test]
fn a_server_is_checked_over_a_unix_socket() {
    let server = RealServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let address = server.address();
    thread::spawn(move || {
        for stream in listener.incoming() {
            join(stream.unwrap(), TcpStream::connect(address).unwrap());
        }
    });
    let path = path.display().to_string();
    let args = ["--unix-socket", &path, "-W", PATIENCE];
    assert_eq!(not_passed(&verdict("ws://server.test/echo", &args)), []);
}
