//! The clients of the tutorials whose servers this one replaces, as their authors wrote them. Only
//! the last one uses a path; for the others, `DEFAULT_SERVICE` sets the service at `/`.
//!
//! The pages among them are tested in Chromium (`tests/browser/coming_from.rs`), the ping/pong
//! client in `interop`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use crate::python::python;
use crate::support::TestServer;
use crate::websocat::websocat;

const TOTAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/server/total.py");

#[test]
#[ignore = "needs Python with websockets"]
fn a_terminal_client_that_connects_anew_for_every_number_gets_the_running_total() {
    let server = TestServer::builder().env("DEFAULT_SERVICE", "/total").start();
    let url = format!("ws://{}", server.address());
    let mut client =
        python(TOTAL).arg(&url).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    client.stdin.take().unwrap().write_all(b"40\n2\n0.5\n").unwrap();
    let output = client.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let totals = stdout.split("Server records total=").skip(1);
    let totals: Vec<_> = totals.filter_map(|rest| rest.lines().next()).collect();
    assert_eq!(totals, ["40", "42", "42.5"], "{stdout}");
}

#[test]
#[ignore = "needs websocat"]
fn websocat_gets_a_greeting_and_the_host_name_before_each_text_which_stderr_shows() {
    let server = TestServer::builder().env("LOG_MESSAGES", "on").start();
    let mut client = Websocat::start(&format!("ws://{}/ws", server.address()));
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    assert_eq!(client.line(), format!("[{host}] hello :) type a message and press ENTER"));
    client.type_line("asdf");
    assert_eq!(client.line(), format!("[{host}] asdf"));
    server.event("Got message: asdf");
}

/// The client of the last tutorial, with the options that its author names.
struct Websocat {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Websocat {
    fn start(url: &str) -> Self {
        let mut child = Command::new(websocat())
            .args(["-E", "--ping-interval", "5", "--ping-timeout", "10", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("websocat is there; .ci/setup installs it");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    #[track_caller]
    fn line(&mut self) -> String {
        self.lines.next().expect("a further line").unwrap()
    }

    fn type_line(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{text}").unwrap();
    }
}

impl Drop for Websocat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
