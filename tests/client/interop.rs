//! The servers that people have: small Python programs on the `websockets` package.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::certificates::{Authority, PairFiles};
use crate::client::{Client, KillOnDrop, Lines};
use crate::handshake::cause;
use crate::python::python;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/client/server.py");

/// A server in Python that prints its port first; it is killed when dropped.
pub(crate) struct PythonServer {
    pub(crate) process: KillOnDrop,
    /// Its further lines on stdout.
    pub(crate) said: Lines,
    pub(crate) url: String,
}

impl PythonServer {
    /// `server.py`, which takes so many seconds for each reply.
    pub(crate) fn start(delay: &str) -> Self {
        Self::of(python(SERVER).env("DELAY", delay))
    }

    /// The server that this command runs.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let said = Lines::of("stdout", child.stdout.take().unwrap());
        let url = format!("ws://127.0.0.1:{}", said.next());
        Self { process: KillOnDrop(child), said, url }
    }
}

/// Checks that every ping was answered, but for the one that was on its way when the client
/// stopped: this server answers nothing after the Close frame.
#[track_caller]
fn assert_none_lost(statistics: &[String]) {
    let is_so = [" 0 lost (0%)", " 1 lost ("].iter().any(|lost| statistics[1].contains(lost));
    assert!(is_so && statistics[1].contains(", 0 reconnects, "), "{statistics:?}");
}

#[test]
#[ignore = "needs Python with websockets"]
fn a_python_server_gets_its_pings_however_slow_it_is() {
    for (delay, least, most) in [("0", 0.0, 1000.0), ("1", 1000.0, 5000.0)] {
        let server = PythonServer::start(delay);
        let client = Client::start(&server.url, &[("CLIENT_NAME", "\"Client-100\"")]);
        assert_eq!(client.stderr.next_event(), format!("INFO connected to {}", server.url));
        for _ in 0..2 {
            assert_eq!(server.said.next(), "Recieved from client (\"Client-100\"): Ping!");
            assert_eq!(client.stdout.next_reply(), "Pong!");
        }
        let statistics = client.stop(Signal::TERM);
        assert_none_lost(&statistics);
        let (_, times) = statistics[2].split_once(" = ").unwrap();
        let fastest: f64 = times.split('/').next().unwrap().parse().unwrap();
        assert!((least..most).contains(&fastest), "{statistics:?}");
    }
}

#[test]
#[ignore = "needs Python with websockets"]
fn a_python_server_gets_its_pings_over_tls() {
    let authority = Authority::new("own");
    let files = PairFiles::of(&authority.issue(&["127.0.0.1"]));
    let variables = [("DELAY", "0"), ("CERTIFICATE", &files.certificate), ("KEY", &files.key)];
    let server = PythonServer::of(python(SERVER).envs(variables));
    let url = server.url.replace("ws", "wss");
    let trust = [("TLS_CA", authority.file.path()), ("SSL_CERT_FILE", "/dev/null".into())];
    let trust = trust.each_ref().map(|(name, value)| (*name, value.as_str()));
    let client = Client::start(&url, &trust);
    for _ in 0..2 {
        assert_eq!(client.stdout.next_reply(), "Pong!");
        assert!(server.said.next().ends_with(": Ping!"));
    }
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {url}"));
    let statistics = client.stop(Signal::TERM);
    assert_none_lost(&statistics);

    let stranger = cause(&Client::start(&url, &trust[1..]), &url);
    assert!(stranger.starts_with("unknown authority: "), "{stranger}");
    let plain = cause(&Client::start(&server.url, &[]), &server.url);
    assert!(plain.ends_with("if it speaks TLS there, use wss:// for it"), "{plain}");
    // A server without TLS takes the TLS handshake for a request.
    let server = PythonServer::start("0");
    let url = server.url.replace("ws", "wss");
    let secure = cause(&Client::start(&url, &trust), &url);
    assert!(secure.ends_with("use ws:// for it"), "{secure}");
}
