//! A server on a Unix socket.

use std::os::unix::net::UnixListener;
use std::process::Stdio;

use super::{client, client_with};
use crate::client::{KillOnDrop, Lines, misused};
use crate::fake::Peer;
use crate::handshake::cause;
use crate::python::python;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/client/way/unix_server.py");

#[test]
fn a_unix_socket_stands_for_host_and_port_and_any_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket").display().to_string();
    let listener = UnixListener::bind(&path).unwrap();
    let args = ["ws://server.test/x", "--unix-socket", &path];
    let client = client_with(&args, &[("ALL_PROXY", "127.0.0.1:1")]);
    Peer::over(listener.accept().unwrap().0).unwrap().pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");
    assert_eq!(client.stderr.next_event(), "INFO connected to ws://server.test/x");
}

#[test]
fn a_unix_socket_that_is_not_there_is_told() {
    let client = client(&["ws://server.test", "--unix-socket", "/none/such"]);
    let told = "the Unix socket /none/such: No such file or directory (os error 2)";
    assert_eq!(cause(&client, "ws://server.test"), told);
}

#[test]
fn a_unix_socket_and_a_proxy_are_one_too_many() {
    let told = misused(&["ws://server", "--unix-socket", "/s", "-x", "proxy"], &[]);
    assert!(told.contains("--unix-socket") && told.contains("--proxy"), "{told}");
}

#[test]
#[ignore = "needs Python with websockets"]
fn a_python_server_on_a_unix_socket_gets_its_pings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket").display().to_string();
    let mut server = python(SERVER).arg(&path).stdout(Stdio::piped()).spawn().unwrap();
    let said = Lines::of("stdout", server.stdout.take().unwrap());
    let _server = KillOnDrop(server);
    assert_eq!(said.next(), "listening");
    let client = client(&["ws://server.test", "--unix-socket", &path]);
    assert_eq!(client.stdout.next_reply(), "Pong!");
}
