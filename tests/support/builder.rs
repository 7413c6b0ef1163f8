//! Starts a server under test: the real binary, in a folder of its own, on a free port.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use clap::CommandFactory;
use server::Settings;
use tempfile::TempDir;

use super::TestServer;
use super::process::Process;

const BINARY: &str = env!("CARGO_BIN_EXE_server");

/// The environment variables of all settings. A server under test inherits none of them.
pub(crate) fn settings() -> Vec<String> {
    let command = Settings::command();
    let variables = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str());
    variables.chain(["TZ", "NO_COLOR"]).map(Into::into).collect()
}

/// An address that no other test uses, for tests that need it before the server listens.
pub(crate) fn own_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from((Ipv4Addr::new(127, 128 | high, low, next), 8765))
}

/// A value for an environment variable that is not UTF-8.
pub(crate) fn not_unicode() -> &'static OsStr {
    OsStr::from_bytes(b"\xff\xfe")
}

/// A server to be started.
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
    pub(super) fn new(dir: Arc<TempDir>) -> Self {
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

    /// Starts the server through another command, which gets the path of the binary as its last
    /// argument and has to become the server (`sh -c '...; exec "$0"'`, `strace -D`).
    pub(crate) fn under<S: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper.extend(wrapper.into_iter().map(|part| part.as_ref().into()));
        self
    }

    /// Leaves the stdout of the server unread until [`Process::read_stdout`].
    pub(crate) fn unread_stdout(mut self) -> Self {
        self.read_stdout = false;
        self
    }

    /// Closes the reading end of the stdout of the server.
    pub(crate) fn closed_stdout(mut self) -> Self {
        self.close_stdout = true;
        self
    }

    /// Has the server serve wss:// too, with the certificate in the folder `tls`.
    pub(crate) fn secure(self) -> Self {
        self.env("TLS_DIR", "tls").env("TLS_LISTEN", "127.0.0.1:0")
    }

    /// Makes the server listen at this address, which then need not be read from stderr.
    pub(crate) fn at(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self.env("LISTEN", address.to_string())
    }

    /// Leaves the stderr of the server unread, so [`Self::at`] has to give the address.
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
        for name in settings() {
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
        if self.close_stdout {
            drop(child.stdout.take());
        }
        let process = Process::new(child);
        if self.read_stdout {
            process.read_stdout();
        }
        if self.read_stderr {
            process.read_stderr();
        }
        TestServer::listening(process, self.address, self.dir)
    }

    /// Runs the server, which has to end with `status` and one line on stderr. Returns this line.
    #[track_caller]
    pub(crate) fn fails(self, status: i32) -> String {
        let finished = self.run();
        assert_eq!((finished.status, finished.stdout.as_str()), (Some(status), ""), "{finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
        finished.stderr
    }

    /// Runs the server to its end.
    #[track_caller]
    pub(crate) fn run(self) -> Finished {
        let mut process = Process::new(self.spawn());
        process.read_stdout();
        process.read_stderr();
        let status = process.wait().code();
        let stdout = String::from_utf8_lossy(&process.stdout()).into_owned();
        Finished { status, stdout, stderr: process.stderr.text() }
    }
}

/// The output of a program that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}
