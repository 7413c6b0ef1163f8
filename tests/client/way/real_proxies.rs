//! Proxies that people have: tinyproxy and microsocks.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::client;
use crate::DEADLINE;
use crate::fake::{Fake, Port};
use crate::handshake::cause;

/// A proxy as a process; it is killed when dropped.
pub(crate) struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    pub(crate) fn start(port: &Port, program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        let child = command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let address = port.address();
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < DEADLINE, "{program} does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Self { child, address }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs tinyproxy"]
fn tinyproxy_is_a_way_to_a_server() {
    let ((server, url), port) = (Fake::start(), Port::reserve());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tinyproxy.conf");
    let number = port.address().port();
    let allowed = server.address().port();
    let settings = format!(
        "Port {number}\nListen 127.0.0.1\nAllow 127.0.0.1\nBasicAuth user secret\nConnectPort {allowed}\n"
    );
    std::fs::write(&path, settings).unwrap();
    let proxy = Proxy::start(&port, "tinyproxy", &["-d", "-c", &path.display().to_string()]);

    let through = format!("http://user:secret@{}", proxy.address);
    let welcome = client(&[&url, "-x", &through]);
    server.accept().pong();
    assert_eq!(welcome.stdout.next_reply(), "Pong!");

    let stranger = client(&[&url, "-x", &format!("http://{}", proxy.address)]);
    let told = cause(&stranger, &url);
    assert!(told.contains(": it answered 407 ") && told.contains("wants a user"), "{told}");
    let wrong = client(&[&url, "-x", &format!("http://user:wrong@{}", proxy.address)]);
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
    let number = port.address().port().to_string();
    let args = ["-i", "127.0.0.1", "-p", &number, "-u", "user", "-P", "secret"];
    let proxy = Proxy::start(&port, "microsocks", &args);
    for scheme in ["socks5", "socks5h"] {
        let (server, url) = Fake::start();
        let by_name = url.replace("127.0.0.1", "localhost");
        let through = format!("{scheme}://user:secret@{}", proxy.address);
        let welcome = client(&[&by_name, "-4", "-x", &through]);
        server.accept().pong();
        assert_eq!(welcome.stdout.next_reply(), "Pong!");

        let stranger = client(&[&url, "-x", &format!("{scheme}://{}", proxy.address)]);
        let told = cause(&stranger, &url);
        assert!(told.contains("wants a user and a password"), "{told}");
        let wrong = client(&[&url, "-x", &format!("{scheme}://user:wrong@{}", proxy.address)]);
        let told = cause(&wrong, &url);
        assert!(told.contains("does not accept the user and password"), "{told}");
        let nobody = Port::reserve();
        let refused = client(&[&nobody.url(), "-x", &through]);
        let told = cause(&refused, &nobody.url());
        assert!(told.ends_with(": connection refused"), "{told}");
    }
}
