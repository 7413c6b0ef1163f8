//! A server under test: the real binary, in a folder of its own, on a free port.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use tempfile::TempDir;

use super::{Log, Metrics, PATIENCE, RawClient, Response, SecureClient, TestClient, eventually};

const BINARY: &str = env!("CARGO_BIN_EXE_server");

/// What the environment of the tests may not hand down to a server.
const SETTINGS: [&str; 17] = [
    "LISTEN",
    "LOG_FILE",
    "LOG_SYNC",
    "LOG_MAX_BYTES",
    "LOG_KEEP",
    "WORKERS",
    "MAX_CONNECTIONS",
    "MAX_MESSAGE",
    "ALLOWED_ORIGINS",
    "TLS_DIR",
    "TLS_LISTEN",
    "TLS_NAMES",
    "TRUSTED_PROXIES",
    "REPLY_DELAY",
    "DRAIN_TIMEOUT",
    "RUST_LOG",
    "TZ",
];

/// Clock ticks in a second, as Linux shows times of processes on every architecture.
const TICKS: f64 = 100.0;

/// An address that no other test uses, where it has to be known before the server listens.
pub(crate) fn own_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from((Ipv4Addr::new(127, 128 | high, low, next), 8765))
}

/// How to start a server.
#[derive(Debug)]
pub(crate) struct Builder {
    dir: Arc<TempDir>,
    wrapper: Vec<OsString>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    address: Option<SocketAddr>,
    read_stdout: bool,
    close_stdout: bool,
    read_stderr: bool,
}

impl Builder {
    fn new(dir: Arc<TempDir>) -> Self {
        Self {
            dir,
            wrapper: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            address: None,
            read_stdout: true,
            close_stdout: false,
            read_stderr: true,
        }
        .env("LISTEN", "127.0.0.1:0")
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().into()));
        self
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().into());
        self
    }

    /// Runs the server by another command, which gets the path of the binary as its last
    /// argument and has to become the server (`sh -c '...; exec "$0"'`, `strace -D`).
    pub(crate) fn under<S: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper.extend(wrapper.into_iter().map(|part| part.as_ref().into()));
        self
    }

    /// Nobody reads stdout until [`TestServer::read_stdout`].
    pub(crate) fn unread_stdout(mut self) -> Self {
        self.read_stdout = false;
        self
    }

    /// The reader of stdout is gone.
    pub(crate) fn closed_stdout(mut self) -> Self {
        self.close_stdout = true;
        self
    }

    /// Serves wss:// too, with the certificate in the folder `tls`.
    pub(crate) fn secure(self) -> Self {
        self.env("TLS_DIR", "tls").env("TLS_LISTEN", "127.0.0.1:0")
    }

    /// Listens at an address that is known, so that stderr need not tell it.
    pub(crate) fn at(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self.env("LISTEN", address.to_string())
    }

    /// Nobody reads stderr, ever. The address has to be known.
    pub(crate) fn unread_stderr(mut self) -> Self {
        self.read_stderr = false;
        self
    }

    /// The folder in which the server will run.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn spawn(&self) -> Child {
        let mut line = self.wrapper.clone();
        line.push(BINARY.into());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).args(&self.args).current_dir(self.dir.path());
        for name in SETTINGS {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap_or_else(|error| panic!("cannot run {line:?}: {error}"))
    }

    /// Starts the server and waits until it listens.
    #[track_caller]
    pub(crate) fn start(self) -> TestServer {
        let mut child = self.spawn();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let stderr = child.stderr.take().expect("stderr is a pipe");
        let (read_stdout, may_read_stdout) = channel();
        let (read_stderr, may_read_stderr) = channel();
        let stdout = if self.close_stdout {
            drop(stdout);
            Captured::default()
        } else {
            Captured::from(stdout, may_read_stdout)
        };
        let mut server = TestServer {
            child,
            stdout,
            stderr: Captured::from(stderr, may_read_stderr),
            read_stdout,
            read_stderr,
            address: ([0, 0, 0, 0], 0).into(),
            dir: self.dir,
        };
        if self.read_stdout {
            server.read_stdout();
        }
        if self.read_stderr {
            server.read_stderr.send(()).expect("the reader of stderr waits");
        }
        server.address = match self.address {
            Some(address) => {
                eventually("the server listens", || TcpStream::connect(address).ok());
                address
            }
            None => server.told_address(),
        };
        server
    }

    /// Runs the binary to its end.
    #[track_caller]
    pub(crate) fn run(self) -> Finished {
        let mut child = self.spawn();
        let [stdout, stderr] = [
            Captured::read(child.stdout.take().expect("stdout is a pipe")),
            Captured::read(child.stderr.take().expect("stderr is a pipe")),
        ];
        let status = wait(&mut child).unwrap_or_else(|| {
            let _ = child.kill();
            panic!("it runs on after {PATIENCE:?}; stderr: {}", stderr.text())
        });
        let [stdout, stderr] = [stdout, stderr].map(|captured| {
            eventually("the pipe is closed", || captured.is_complete().then_some(()));
            captured.text()
        });
        Finished { status: status.code(), stdout, stderr }
    }
}

/// A program that came to its end.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A server that runs. It is killed when dropped.
pub(crate) struct TestServer {
    child: Child,
    stdout: Captured,
    stderr: Captured,
    read_stdout: Sender<()>,
    read_stderr: Sender<()>,
    address: SocketAddr,
    dir: Arc<TempDir>,
}

impl TestServer {
    /// A server with nothing configured but its port.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    pub(crate) fn builder() -> Builder {
        Builder::new(Arc::new(tempfile::tempdir().expect("a temporary folder")))
    }

    /// A further server in the same folder.
    pub(crate) fn again(&self) -> Builder {
        Builder::new(Arc::clone(&self.dir))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    #[track_caller]
    fn told_address(&mut self) -> SocketAddr {
        eventually("a line that tells the address", || {
            let text = self.stderr.text();
            let status = self.child.try_wait().expect("the state of the child");
            assert!(status.is_none(), "the server ended with {status:?}: {text}");
            address_after(&text, "listening on ws://")
        })
    }

    /// Where it serves wss://.
    #[track_caller]
    pub(crate) fn secure_address(&self) -> SocketAddr {
        let told = || address_after(&self.stderr.text(), "listening on wss://");
        eventually("a line that tells the address for TLS", told)
    }

    /// The path of a file in the folder of certificates.
    pub(crate) fn tls_path(&self, name: &str) -> PathBuf {
        self.dir().join("tls").join(name)
    }

    /// A client over TLS that trusts the authority of the server.
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

    /// The server works: a new client gets its Pong.
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

    /// The log as it is now.
    #[track_caller]
    pub(crate) fn log(&self) -> Log {
        Log::read(&self.log_path())
    }

    /// The text of the log as it is now.
    #[track_caller]
    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(self.log_path()).expect("a log")
    }

    /// What came on stdout so far.
    pub(crate) fn stdout(&self) -> Vec<u8> {
        self.stdout.bytes()
    }

    /// Begins to read stdout.
    pub(crate) fn read_stdout(&self) {
        // Nobody waits for it where stdout was closed.
        let _ = self.read_stdout.send(());
    }

    /// The lines so far on stderr that contain `needle`.
    pub(crate) fn events(&self, needle: &str) -> Vec<String> {
        self.stderr.text().lines().filter(|line| line.contains(needle)).map(Into::into).collect()
    }

    /// Waits for a line on stderr that contains `needle`.
    #[track_caller]
    pub(crate) fn event(&self, needle: &str) -> String {
        eventually(needle, || self.events(needle).into_iter().next())
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The only child of the process, where a command that stays was put before the server.
    pub(crate) fn child(&self) -> Pid {
        let children = self.proc_file(&format!("task/{}/children", self.child.id()));
        let child = children.trim().parse().ok().and_then(Pid::from_raw);
        child.unwrap_or_else(|| panic!("one child, not {children:?}"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the signal is sent");
    }

    /// Waits for the end of the server, and of what it says.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = wait(&mut self.child)
            .unwrap_or_else(|| panic!("the server runs on after {PATIENCE:?}"));
        for captured in [&self.stdout, &self.stderr] {
            eventually("the pipe is closed", || {
                (captured.is_complete() || !captured.is_read()).then_some(())
            });
        }
        status
    }

    /// Stops the server: its exit status, and how long it took.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        self.signal(Signal::TERM);
        (self.wait().code(), start.elapsed())
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.wait();
    }

    /// Lowers or raises a limit of the running server.
    pub(crate) fn limit(&self, resource: Resource, current: Option<u64>) {
        limit(self.pid(), resource, current);
    }

    /// What `/metrics` says.
    #[track_caller]
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::of(&self.get("/metrics"))
    }

    /// The reply to a plain GET.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Response {
        RawClient::ask(self.address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    /// What `/healthz` says.
    #[track_caller]
    pub(crate) fn health(&self) -> Response {
        self.get("/healthz")
    }

    fn proc_file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).expect("it runs")
    }

    /// Whether a thread waits in the kernel, where no signal reaches it.
    pub(crate) fn waits_in_the_kernel(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let state = |thread: &Path| fs::read_to_string(thread.join("stat")).unwrap_or_default();
        threads.flatten().any(|thread| state(&thread.path()).contains(") D "))
    }

    /// Memory that the server holds, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = self.proc_file("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        1024 * line.trim_end_matches("kB").trim().parse::<u64>().expect("a number")
    }

    /// Processor time that the server has used.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = self.proc_file("stat");
        let (_, fields) = stat.rsplit_once(") ").expect("the fields behind the name");
        let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap());
        Duration::from_secs_f64(ticks.sum::<f64>() / TICKS)
    }

    /// Waits until the server has nothing more to do.
    #[track_caller]
    pub(crate) fn wait_until_idle(&self) {
        let mut last = (self.cpu(), Instant::now());
        eventually("the server has nothing to do", || {
            let now = self.cpu();
            if now != last.0 {
                last = (now, Instant::now());
            }
            (last.1.elapsed() > Duration::from_millis(300)).then_some(())
        });
    }

    /// The number of descriptors that the server has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    /// The next descriptor that the server will open.
    pub(crate) fn free_descriptor(&self) -> u64 {
        let is_free =
            |number| !fs::exists(format!("/proc/{}/fd/{number}", self.child.id())).unwrap();
        (0..).find(|&number| is_free(number)).expect("one is free")
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestServer({})", self.address)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let told = self.stderr.text();
        if thread::panicking() {
            eprintln!("--- stderr of the server at {}:\n{told}---", self.address);
        } else {
            assert!(!told.contains("panicked at"), "{told}");
        }
    }
}

/// Lowers or raises a limit of a running process. `None` is no limit.
pub(crate) fn limit(process: Pid, resource: Resource, current: Option<u64>) {
    let maximum = getrlimit(resource).maximum;
    prlimit(Some(process), resource, Rlimit { current, maximum }).expect("a limit is set");
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("the state of the child") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(2));
    }
    None
}

/// What comes out of a pipe, read by a thread.
#[derive(Clone, Debug, Default)]
struct Captured(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    is_read: bool,
    is_complete: bool,
}

impl Captured {
    /// Reads as soon as it may.
    fn from(mut pipe: impl Read + Send + 'static, may_read: Receiver<()>) -> Self {
        let captured = Self::default();
        let this = captured.clone();
        thread::spawn(move || {
            if may_read.recv().is_err() {
                return;
            }
            this.0.lock().unwrap().is_read = true;
            let mut block = [0; 65536];
            while let Ok(read @ 1..) = pipe.read(&mut block) {
                this.0.lock().unwrap().bytes.extend_from_slice(&block[..read]);
            }
            this.0.lock().unwrap().is_complete = true;
        });
        captured
    }

    fn read(pipe: impl Read + Send + 'static) -> Self {
        let (read, may_read) = channel();
        read.send(()).expect("the other end is here");
        Self::from(pipe, may_read)
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap().bytes).into_owned()
    }

    fn is_read(&self) -> bool {
        self.0.lock().unwrap().is_read
    }

    fn is_complete(&self) -> bool {
        self.0.lock().unwrap().is_complete
    }
}

/// Bytes that are no text, for an environment variable.
pub(crate) fn not_unicode() -> &'static OsStr {
    OsStr::from_bytes(b"\xff\xfe")
}

/// The address behind some words.
fn address_after(text: &str, words: &str) -> Option<SocketAddr> {
    let (_, told) = text.split_once(words)?;
    let (line, _) = told.split_once('\n')?;
    line.split(',').next()?.parse().ok()
}
