//! Servers that are not this project's, what stands before one, and the ways to one.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{PATIENCE, check, not_passed, verdict};
use crate::DEADLINE;
use crate::client::Lines;
use crate::fake::Port;
use crate::middle::Kind;
use crate::python::python;
use crate::real_server::Running;

const MIRROR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/client/check/mirror.py");

/// A server as a process; it is killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The checks that are not passed, with those alone that are warned or failed.
fn with(url: &str, outcome: &str) -> Vec<String> {
    let checks = not_passed(&verdict(url, &["-W", PATIENCE]));
    checks.into_iter().filter(|check| check.1 == outcome).map(|check| check.0).collect()
}

#[test]
#[ignore = "needs Python with websockets"]
fn python_websockets_breaks_two_rules() {
    let mut command = python(MIRROR);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let said = Lines::of("stdout", child.stdout.take().unwrap());
    let _server = Server(child);
    let url = format!("ws://127.0.0.1:{}", said.next());
    // It refuses another version without a word of its own, and does not miss Host.
    assert_eq!(with(&url, "failed"), ["version", "no-host"]);
    assert_eq!(with(&url, "warned"), ["length-16-long", "length-64-long"]);
}

#[test]
#[ignore = "needs websocat"]
fn websocat_breaks_three_rules_and_says_little() {
    let websocat = std::path::PathBuf::from(python("").get_program()).with_file_name("websocat");
    let program = if websocat.exists() { websocat } else { "websocat".into() };
    let port = Port::reserve();
    let listen = format!("ws-l:{}", port.address());
    let mut command = Command::new(program);
    command.args(["-t", &listen, "mirror:"]).stdin(Stdio::null()).stderr(Stdio::null());
    let _server = Server(command.stdout(Stdio::null()).spawn().unwrap());
    wait_for(port.address());
    assert_eq!(with(&port.url(), "failed"), ["version", "no-version", "no-host"]);
    // It drops the connection where it should say why, and answers each Close frame with an empty
    // one.
    let warned = with(&port.url(), "warned");
    assert_eq!(warned.len(), 37, "{warned:?}");
    for check in ["close", "close-private", "rsv1", "opcode-f", "utf8", "limit-frame"] {
        assert!(warned.iter().any(|warned| warned == check), "{check} in {warned:?}");
    }
}

fn wait_for(address: SocketAddr) {
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < DEADLINE, "nothing listens at {address}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn what_stands_before_the_server_is_checked_with_it() {
    let (folder, port) = (tempfile::tempdir().unwrap(), Port::reserve());
    let server = Running::start(port.address(), &folder, &[]);
    for (kind, failed, warned) in [
        // Where there is an Upgrade, these ask for the upgrade by themselves, whatever the version
        // of HTTP; two of them also whatever stands in Connection.
        (Kind::Nginx, vec!["no-connection", "http-1.0"], vec![""; 0]),
        (Kind::Apache, vec!["no-connection", "http-1.0"], vec![]),
        (Kind::Caddy, vec!["http-1.0"], vec![]),
        (Kind::Haproxy, vec![], vec![]),
    ] {
        let middle = kind.to(&[port.address()]).start();
        let url = format!("{}/mirror", middle.url());
        assert_eq!(with(&url, "failed"), failed, "{kind:?}");
        assert_eq!(with(&url, "warned"), warned, "{kind:?}");
    }
    server.stop();
}

#[test]
fn a_server_is_checked_over_tls() {
    let (folder, port, secure) = (tempfile::tempdir().unwrap(), Port::reserve(), Port::reserve());
    let tls = folder.path().join("tls");
    let ca = tls.join("ca.pem").display().to_string();
    let (tls, listen) = (tls.display().to_string(), secure.address().to_string());
    let settings = ["--tls-dir", &tls, "--tls-listen", &listen];
    let server = Running::start(port.address(), &folder, &settings);
    let url = format!("wss://127.0.0.1:{}/mirror", secure.address().port());
    let args = ["--tls-ca", &ca, "-W", PATIENCE];
    assert_eq!(not_passed(&verdict(&url, &args)), []);
    let output = check(&url, &[]);
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("unknown authority"), "{told}");
    server.stop();
}

#[test]
fn a_server_is_checked_over_a_unix_socket() {
    let (folder, port) = (tempfile::tempdir().unwrap(), Port::reserve());
    let server = Running::start(port.address(), &folder, &[]);
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let address = port.address();
    thread::spawn(move || {
        for stream in listener.incoming() {
            relay(stream.unwrap(), TcpStream::connect(address).unwrap());
        }
    });
    let path = path.display().to_string();
    let args = ["--unix-socket", &path, "-W", PATIENCE];
    assert_eq!(not_passed(&verdict("ws://server.test/echo", &args)), []);
    server.stop();
}

/// Passes bytes on, and the end of each side.
fn relay(near: UnixStream, far: TcpStream) {
    let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (far, near);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
