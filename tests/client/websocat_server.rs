//! websocat as the server, which knows nothing of this project's message.

use std::process::{Command, Output, Stdio};

use crate::client::{KillOnDrop, Lines, command, wait_until_listening};
use crate::fake::Port;
use crate::websocat::websocat;

/// A websocat that listens; it is killed when dropped.
pub(crate) struct Websocat {
    process: KillOnDrop,
    pub(crate) url: String,
    _port: Port,
}

impl Websocat {
    /// websocat with these arguments, in which `ADDRESS` stands for where it has to listen.
    pub(crate) fn start(args: &[&str]) -> Self {
        let port = Port::reserve();
        let address = port.address().to_string();
        let mut command = Command::new(websocat());
        // websocat ends with its stdin, so that stays open.
        command.args(args.iter().map(|arg| arg.replace("ADDRESS", &address)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().expect("websocat is there; .ci/setup installs it");
        let mut process = KillOnDrop(child);
        wait_until_listening(&mut process, port.address());
        Self { process, url: port.url(), _port: port }
    }

    /// Three pings with these options.
    fn pinged(&self, options: &[&str]) -> Output {
        let args = [&[self.url.as_str(), "-c", "3", "-i", "0.05"], options].concat();
        command(&[("CLIENT_NAME", "Client-100")]).args(args).output().unwrap()
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
    let server = Websocat::start(&["--text", "--exit-on-eof", "ws-l:ADDRESS", "mirror:"]);
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
    let mut server = Websocat::start(&["-s", "ADDRESS"]);
    let printed = Lines::of("stdout", server.process.0.stdout.take().unwrap());
    let output = server.pinged(&["-W", "8"]);
    assert_three_answers(&output);
    let warning = String::from_utf8_lossy(&output.stderr);
    let expected = " answers Ping frames, but nothing to the message \"Ping!\"; ";
    assert!(warning.contains(expected), "{warning}");
    assert_eq!(printed.next(), r#"{"client_name": "Client-100", "message": "Ping!"}"#);
}
