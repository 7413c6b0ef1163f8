//! The servers that people have: small Python programs on the `websockets` package.

use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::certificates::Authority;
use crate::client::{Client, Lines};
use crate::handshake::cause;
use crate::python::python;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/client/server.py");

/// The original server; it is killed when dropped.
pub(crate) struct Original {
    child: Child,
    pub(crate) said: Lines,
    pub(crate) url: String,
}

impl Original {
    /// A server that takes so many seconds for each reply.
    pub(crate) fn start(delay: &str) -> Self {
        Self::start_with(delay, &[])
    }

    /// The same, with these variables in its environment.
    fn start_with(delay: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = python(SERVER);
        command.env("DELAY", delay).envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Lines::of("stdout", child.stdout.take().unwrap());
        let url = format!("ws://127.0.0.1:{}", said.next());
        Self { child, said, url }
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Checks that every ping was answered, but the one that was on its way when the client stopped: this
/// server answers nothing after the Close frame.
#[track_caller]
fn assert_none_lost(statistics: &[String]) {
    let is_so = [" 0 lost (0%)", " 1 lost ("].iter().any(|lost| statistics[1].contains(lost));
    assert!(is_so && statistics[1].contains(", 0 reconnects, "), "{statistics:?}");
}

#[test]
#[ignore = "needs Python with websockets"]
fn the_original_server_gets_its_pings_however_slow_it_is() {
    for (delay, least, most) in [("0", 0.0, 1000.0), ("1", 1000.0, 2000.0)] {
        let server = Original::start(delay);
        let client = Client::start(&server.url, &[("CLIENT_NAME", "\"Client-100\"")]);
        assert_eq!(client.stderr.next_event(), format!("INFO connected to {}", server.url));
        for _ in 0..2 {
            assert_eq!(server.said.next(), "Recieved from client (\"Client-100\"): Ping!");
            let line = client.stdout.next();
            assert_eq!(&line[21..], " Received from server: Pong!");
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
fn the_original_server_gets_its_pings_over_tls() {
    let authority = Authority::new("own");
    let pair = authority.issue(&["127.0.0.1"]);
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] =
        [("cert.pem", pair.certificate.pem()), ("key.pem", pair.key.serialize_pem())].map(
            |(name, pem)| {
                let path = folder.path().join(name);
                std::fs::write(&path, pem).unwrap();
                path.display().to_string()
            },
        );
    let server = Original::start_with("0", &[("CERTIFICATE", &certificate), ("KEY", &key)]);
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
    // The one that speaks plain gets the handshake for a request.
    let server = Original::start("0");
    let url = server.url.replace("ws", "wss");
    let secure = cause(&Client::start(&url, &trust), &url);
    assert!(secure.ends_with("use ws:// for it"), "{secure}");
}
