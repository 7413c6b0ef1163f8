//! websocat as the server, which knows nothing of this project's message.

use std::process::{Child, Command, Output, Stdio};

use crate::client::{Lines, command};
use crate::fake::Port;
use crate::websocat::websocat;

/// A websocat that listens; it is killed when dropped.
struct Websocat {
    child: Child,
    url: String,
    _port: Port,
}

impl Websocat {
    fn start(args: impl FnOnce(&str) -> Vec<String>) -> Self {
        let port = Port::reserve();
        let address = port.address().to_string();
        let mut command = Command::new(websocat());
        // A standard input that stays open, and with it the server.
        command.args(args(&address)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("websocat is there; .ci/setup installs it");
        let begun = std::time::Instant::now();
        while std::net::TcpStream::connect(port.address()).is_err() {
            assert!(begun.elapsed() < crate::DEADLINE, "websocat does not listen");
            assert!(child.try_wait().unwrap().is_none(), "websocat has ended");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Self { child, url: port.url(), _port: port }
    }

    /// Three pings with these options.
    fn pinged(&self, options: &[&str]) -> Output {
        let args = [&[self.url.as_str(), "-c", "3", "-i", "0.05"], options].concat();
        command(&[("CLIENT_NAME", "Client-100")]).args(args).output().unwrap()
    }
}

impl Drop for Websocat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn assert_three_answers(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("\n3 sent, 3 received, 0 lost (0%), 0 reconnects, "), "{told}");
    assert_eq!(told.matches("Pong frame seq=").count(), 3, "{told}");
}

#[test]
#[ignore = "needs websocat"]
fn a_websocat_that_returns_what_it_gets_is_told_and_measured() {
    let server = Websocat::start(|address| {
        vec!["--text".into(), "--exit-on-eof".into(), format!("ws-l:{address}"), "mirror:".into()]
    });
    let output = server.pinged(&[]);
    assert_three_answers(&output);
    let warning = String::from_utf8_lossy(&output.stderr);
    assert!(warning.contains(" returns what it gets, which is no Pong; "), "{warning}");
    let output = server.pinged(&["-p"]);
    assert_three_answers(&output);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("WARN"), "{output:?}");
}

#[test]
#[ignore = "needs websocat"]
fn a_websocat_that_prints_what_it_gets_is_told_and_measured() {
    let mut server = Websocat::start(|address| vec!["-s".into(), address.into()]);
    let printed = Lines::of("stdout", server.child.stdout.take().unwrap());
    let output = server.pinged(&["-W", "0.5"]);
    assert_three_answers(&output);
    let warning = String::from_utf8_lossy(&output.stderr);
    let expected = " answers Ping frames, but nothing to the message \"Ping!\"; ";
    assert!(warning.contains(expected), "{warning}");
    assert_eq!(printed.next(), r#"{"client_name": "Client-100", "message": "Ping!"}"#);
}
