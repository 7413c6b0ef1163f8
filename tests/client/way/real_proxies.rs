//! Proxies that people have: tinyproxy and microsocks.

use std::process::{Command, Stdio};

use super::client;
use crate::client::{KillOnDrop, wait_until_listening};
use crate::fake::{Fake, Port};
use crate::handshake::cause;

/// Starts a proxy, which listens at this port.
fn start(port: &Port, program: &str, args: &[&str]) -> KillOnDrop {
    let mut command = Command::new(program);
    command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
    let mut proxy = KillOnDrop(command.spawn().unwrap());
    wait_until_listening(&mut proxy, port.address());
    proxy
}

/// Starts tinyproxy at this port, with these further lines in its configuration.
pub(crate) fn start_tinyproxy(port: &Port, lines: &str) -> KillOnDrop {
    let number = port.address().port();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("Port {number}\nListen 127.0.0.1\n{lines}")).unwrap();
    start(port, "tinyproxy", &["-d", "-c", &file.path().display().to_string()])
}

#[test]
#[ignore = "needs tinyproxy"]
fn tinyproxy_is_a_way_to_a_server() {
    let ((server, url), port) = (Fake::start(), Port::reserve());
    let (address, allowed) = (port.address(), server.address().port());
    let lines = format!("Allow 127.0.0.1\nBasicAuth user secret\nConnectPort {allowed}\n");
    let _proxy = start_tinyproxy(&port, &lines);

    let through = format!("http://user:secret@{address}");
    let welcome = client(&[&url, "-x", &through]);
    server.accept().pong();
    assert_eq!(welcome.stdout.next_reply(), "Pong!");

    let stranger = client(&[&url, "-x", &format!("http://{address}")]);
    let told = cause(&stranger, &url);
    assert!(told.contains(": it answered 407 ") && told.contains("wants a user"), "{told}");
    let wrong = client(&[&url, "-x", &format!("http://user:wrong@{address}")]);
    let told = cause(&wrong, &url);
    assert!(told.contains("does not accept the user and password"), "{told}");
    let other = Port::reserve();
    let forbidden = client(&[&other.url(), "-x", &through]);
    let told = cause(&forbidden, &other.url());
    assert!(told.contains(": it answered 403 ") && told.contains("ConnectPort"), "{told}");
}

#[test]
#[ignore = "needs microsocks"]
fn microsocks_is_a_way_to_a_server() {
    let port = Port::reserve();
    let (address, number) = (port.address(), port.address().port().to_string());
    let args = ["-i", "127.0.0.1", "-p", &number, "-u", "user", "-P", "secret"];
    let _proxy = start(&port, "microsocks", &args);
    for scheme in ["socks5", "socks5h"] {
        let (server, url) = Fake::start();
        let by_name = url.replace("127.0.0.1", "localhost");
        let through = format!("{scheme}://user:secret@{address}");
        let welcome = client(&[&by_name, "-4", "-x", &through]);
        server.accept().pong();
        assert_eq!(welcome.stdout.next_reply(), "Pong!");

        let stranger = client(&[&url, "-x", &format!("{scheme}://{address}")]);
        let told = cause(&stranger, &url);
        assert!(told.contains("wants a user and a password"), "{told}");
        let wrong = client(&[&url, "-x", &format!("{scheme}://user:wrong@{address}")]);
        let told = cause(&wrong, &url);
        assert!(told.contains("does not accept the user and password"), "{told}");
        let nobody = Port::reserve();
        let refused = client(&[&nobody.url(), "-x", &through]);
        let told = cause(&refused, &nobody.url());
        assert!(told.ends_with(": connection refused"), "{told}");
    }
}
