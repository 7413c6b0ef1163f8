//! A running server under test, and clients that connect to it.

use std::fmt;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::process::Process;
use super::{
    Builder, Finished, Log, Metrics, RawClient, Response, SecureClient, TestClient, eventually,
    wait_until,
};

/// A running server. Dereferences to its [`Process`].
pub(crate) struct TestServer {
    process: Process,
    address: SocketAddr,
    dir: Arc<TempDir>,
}

impl TestServer {
    /// Starts a server with the default settings, on a free port.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    pub(crate) fn builder() -> Builder {
        Builder::new(Arc::new(tempfile::tempdir().expect("a temporary folder")))
    }

    /// Another server in the same folder.
    pub(crate) fn again(&self) -> Builder {
        Builder::new(Arc::clone(&self.dir))
    }

    /// Waits until the server in `process` listens, at its `known` address or at the one in its event
    /// on stderr.
    #[track_caller]
    pub(super) fn listening(
        mut process: Process,
        known: Option<SocketAddr>,
        dir: Arc<TempDir>,
    ) -> Self {
        let address = match known {
            Some(address) => {
                eventually("the server listens", || TcpStream::connect(address).ok());
                address
            }
            None => eventually("a line with the address", || {
                process.assert_runs();
                address_after(&process.stderr.text(), "listening on ws://")
            }),
        };
        Self { process, address, dir }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address at which the server serves wss://.
    #[track_caller]
    pub(crate) fn secure_address(&self) -> SocketAddr {
        let address = || address_after(&self.process.stderr.text(), "listening on wss://");
        eventually("a line with the address for TLS", address)
    }

    /// The path of a file in the folder of certificates.
    pub(crate) fn tls_path(&self, name: &str) -> PathBuf {
        self.dir().join("tls").join(name)
    }

    /// A client over TLS that trusts the certificate authority of the server.
    #[track_caller]
    pub(crate) fn connect_securely(&self) -> SecureClient {
        self.connect_securely_to("/")
    }

    #[track_caller]
    pub(crate) fn connect_securely_to(&self, path: &str) -> SecureClient {
        let authority = fs::read(self.tls_path("ca.pem")).expect("there is an authority");
        SecureClient::connect(self.secure_address(), path, &authority).expect("it is trusted")
    }

    #[track_caller]
    pub(crate) fn connect(&self) -> TestClient {
        TestClient::connect(self.address)
    }

    /// A client of the service at a path.
    #[track_caller]
    pub(crate) fn connect_to(&self, path: &str) -> TestClient {
        TestClient::connect_to(self.address, path)
    }

    /// A connection that is upgraded at a path, for frames byte by byte.
    #[track_caller]
    pub(crate) fn raw_at(&self, path: &str) -> RawClient {
        RawClient::upgraded_at(self.address, path)
    }

    /// A connection that is upgraded, for frames byte by byte.
    #[track_caller]
    pub(crate) fn raw(&self) -> RawClient {
        RawClient::upgraded(self.address)
    }

    /// Fails unless a new client gets a Pong.
    #[track_caller]
    pub(crate) fn assert_serves(&self) {
        assert_eq!(self.connect().ping("Witness", "Ping!"), "Pong!");
    }

    /// The folder of the server.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.dir().join("server_logs.txt")
    }

    /// The lines of the log.
    #[track_caller]
    pub(crate) fn log(&self) -> Log {
        Log::read(&self.log_path())
    }

    /// The text of the log.
    #[track_caller]
    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(self.log_path()).expect("a log")
    }

    /// The metrics of the server, from `/metrics`.
    #[track_caller]
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::of(&self.get("/metrics"))
    }

    /// The response to a GET request without an upgrade.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Response {
        RawClient::ask(self.address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    /// The response of `/healthz`.
    #[track_caller]
    pub(crate) fn health(&self) -> Response {
        self.get("/healthz")
    }

    /// Waits until `/healthz` answers with this status.
    #[track_caller]
    pub(crate) fn wait_for_health(&self, status: u16) {
        wait_until("/healthz changes", || self.health().status == status);
    }

    /// Runs `server healthcheck` for the server at `listen`, again where a busy machine did not let it
    /// finish in time.
    #[track_caller]
    pub(crate) fn healthcheck(listen: &str) -> Finished {
        Self::healthcheck_in_time(|| Self::healthcheck_once(listen))
    }

    /// Repeats a check that ran out of time.
    #[track_caller]
    pub(crate) fn healthcheck_in_time(check: impl Fn() -> Finished) -> Finished {
        eventually("a check that is finished in time", || {
            Some(check()).filter(|check| !check.stderr.contains("no answer within"))
        })
    }

    /// Runs `server healthcheck` once.
    #[track_caller]
    pub(crate) fn healthcheck_once(listen: &str) -> Finished {
        Self::builder().env("LISTEN", listen).arg("healthcheck").run()
    }

    /// Fails unless stdout showed each line of the log at this path, in order, but for those that the
    /// server says it left out, since its reader was too slow.
    #[track_caller]
    pub(crate) fn assert_stdout_shows(&self, log: &Path) {
        let (stdout, log) = (self.stdout(), fs::read(log).expect("a log"));
        if stdout == log {
            return;
        }
        let left_out = self.lines_left_out();
        assert!(left_out > 0, "stdout differs from the log");
        let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().count();
        assert_eq!(lines(&stdout) + left_out, lines(&log), "lines of stdout and of the log");
        let (stdout, log) = (Log::parse(&stdout), Log::parse(&log));
        let mut recorded = log.lines().iter();
        assert!(stdout.lines().iter().all(|line| recorded.any(|own| own == line)));
    }

    /// How many lines the server has left out on stdout, according to stderr.
    pub(crate) fn lines_left_out(&self) -> usize {
        let number = |line: &String| {
            let (_, rest) = line.split_once("left ").unwrap();
            rest.split(' ').next().unwrap().parse::<usize>().unwrap()
        };
        self.events("lines out on stdout").iter().map(number).sum()
    }
}

impl Deref for TestServer {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for TestServer {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestServer({})", self.address)
    }
}

/// The address that follows `words` in the events.
fn address_after(text: &str, words: &str) -> Option<SocketAddr> {
    let (_, rest) = text.split_once(words)?;
    let (line, _) = rest.split_once('\n')?;
    line.split(',').next()?.parse().ok()
}
