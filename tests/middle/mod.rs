//! Middles: the reverse proxies nginx, HAProxy, Apache and Caddy, as Debian packages them. The name
//! is short for intermediaries (RFC 9110, section 3.7). `.ci/setup` installs them.
//!
//! ```ignore
//! let middle = Kind::Nginx.to(&[server]).idle(2).start();
//! client(&middle.url());
//! middle.reload();
//! ```

mod config;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// How long a middle may take for a start, a reload or its end, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that forwards connections to servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Haproxy,
    Apache,
    Caddy,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Nginx, Self::Haproxy, Self::Apache, Self::Caddy];

    /// A middle that passes connections on to these servers, to each in turn.
    pub(crate) fn to(self, backends: &[SocketAddr]) -> Builder {
        Builder {
            kind: self,
            backends: backends.to_vec(),
            idle: 60,
            global: Vec::new(),
            route: Vec::new(),
            edits: Vec::new(),
        }
    }

    /// The command that runs the program in the foreground.
    fn command(self, folder: &Path) -> Command {
        let (program, args): (_, &[&str]) = match self {
            Self::Nginx => ("/usr/sbin/nginx", &["-e", "stderr", "-p", ".", "-c"]),
            Self::Haproxy => ("/usr/sbin/haproxy", &["-W", "-db", "-f"]),
            Self::Apache => ("/usr/sbin/apache2", &["-DFOREGROUND", "-f"]),
            Self::Caddy => ("caddy", &["run", "--adapter", "caddyfile", "--config"]),
        };
        let mut command = Command::new(program);
        command.args(args).arg(config(folder)).current_dir(folder);
        // Caddy keeps files below these.
        for variable in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env(variable, folder);
        }
        command
    }

    /// The message that the program logs each time that a configuration is in use.
    fn ready_message(self) -> &'static str {
        match self {
            Self::Nginx => "start worker processes",
            Self::Haproxy => "Loading success.",
            Self::Apache => "resuming normal operations",
            Self::Caddy => "serving initial configuration",
        }
    }

    /// The message that the program logs when new connections get another configuration.
    fn reloaded_message(self) -> &'static str {
        match self {
            // The former workers take connections up to then.
            Self::Nginx => "gracefully shutting down",
            _ => self.ready_message(),
        }
    }
}

/// How to start a middle.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    kind: Kind,
    backends: Vec<SocketAddr>,
    idle: u32,
    global: Vec<String>,
    route: Vec<String>,
    edits: Vec<(String, String)>,
}

impl Builder {
    /// Cuts connections after so many seconds without traffic; 60 unless set.
    pub(crate) fn idle(mut self, seconds: u32) -> Self {
        self.idle = seconds;
        self
    }

    /// A further line for the whole program: nginx's main context, `global` of HAProxy, the server
    /// configuration of Apache, the global options of Caddy.
    pub(crate) fn global(mut self, line: &str) -> Self {
        self.global.push(line.to_owned());
        self
    }

    /// A further line for the way to the servers: nginx's `location`, `backend` of HAProxy, the
    /// `Location` of Apache, `reverse_proxy` of Caddy.
    pub(crate) fn route(mut self, line: &str) -> Self {
        self.route.push(line.to_owned());
        self
    }

    /// Replaces text in the configuration (see `config.rs`), which has to be there.
    pub(crate) fn edit(mut self, text: &str, by: &str) -> Self {
        self.edits.push((text.to_owned(), by.to_owned()));
        self
    }

    /// Does not pass `Upgrade` on.
    pub(crate) fn without_upgrade(self) -> Self {
        match self.kind {
            Kind::Nginx => self.edit("proxy_set_header Upgrade $http_upgrade;", ""),
            Kind::Haproxy => self.route("http-request del-header Upgrade"),
            Kind::Apache => self.edit(" upgrade=websocket", ""),
            Kind::Caddy => self.route("header_up -Upgrade"),
        }
    }

    /// The configuration of a middle that listens at this address.
    fn config(&self, address: SocketAddr) -> String {
        let config = config::write(self, address);
        self.edits.iter().fold(config, |config, (text, by)| {
            assert!(config.contains(text), "{text:?} is not in\n{config}");
            config.replace(text, by)
        })
    }

    /// Starts the middle, and waits until it listens.
    #[track_caller]
    pub(crate) fn start(self) -> Middle {
        let held = TcpSocket::new_v4().unwrap();
        held.set_reuseaddr(true).unwrap();
        held.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = held.local_addr().unwrap();
        let folder = tempfile::Builder::new().prefix("middle").tempdir().unwrap();
        fs::write(config(folder.path()), self.config(address)).unwrap();
        let child = spawn(self.kind, folder.path());
        let mut middle = Middle { plan: self, folder, address, child, _held: held };
        middle.await_start();
        middle
    }
}

/// A middle that runs. It is killed when dropped, with all its processes.
pub(crate) struct Middle {
    plan: Builder,
    folder: TempDir,
    address: SocketAddr,
    child: Child,
    /// Keeps the port from everyone else while the middle is away.
    _held: TcpSocket,
}

impl Middle {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `ws://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// The log of the program so far.
    pub(crate) fn told(&self) -> String {
        ["told", "error.log"]
            .map(|name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default())
            .concat()
    }

    /// Reloads the configuration as an operator does, and waits until it is in use (with Apache,
    /// connections of the next moment may still get the former one). Open connections stay, with
    /// HAProxy up to `hard-stop-after` and with nginx up to `worker_shutdown_timeout`; Caddy closes
    /// them (1001).
    #[track_caller]
    pub(crate) fn reload(&mut self) {
        let reloaded = self.plan.kind.reloaded_message();
        let before = self.count(reloaded);
        match self.plan.kind {
            Kind::Nginx => self.signal(Signal::HUP),
            Kind::Haproxy => self.signal(Signal::USR2),
            Kind::Apache => self.signal(Signal::USR1),
            Kind::Caddy => return self.reload_caddy(),
        }
        self.wait_for("it has reloaded", |middle| middle.count(reloaded) > before);
    }

    /// Reloads another configuration.
    #[track_caller]
    pub(crate) fn reload_with(&mut self, change: impl FnOnce(Builder) -> Builder) {
        self.plan = change(self.plan.clone());
        fs::write(config(self.folder.path()), self.plan.config(self.address)).unwrap();
        self.reload();
    }

    #[track_caller]
    fn reload_caddy(&self) {
        let mut command = Command::new("caddy");
        command.args(["reload", "--force", "--adapter", "caddyfile", "--config", "config"]);
        let output = command.current_dir(&self.folder).env("HOME", self.folder.path()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Stops the program as a service manager does (SIGTERM), and waits for its end.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.wait_for("it has ended", |middle| middle.child.try_wait().unwrap().is_some());
    }

    /// Starts the program again, after [`Self::stop`] or [`Self::kill`].
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.plan.kind, self.folder.path());
        self.await_start();
    }

    /// Kills all processes of the program at once.
    pub(crate) fn kill(&mut self) {
        // The process group may be gone.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
    }

    /// Sends a signal to the main process, once that handles it: HAProxy ignores signals for a
    /// moment after it has logged that it is loaded.
    #[track_caller]
    fn signal(&mut self, signal: Signal) {
        self.wait_for("it takes signals", |middle| {
            let status = fs::read_to_string(format!("/proc/{}/status", middle.child.id())).unwrap();
            has(&status, "SigCgt:", signal) && !has(&status, "SigBlk:", signal)
        });
        kill_process(self.pid(), signal).unwrap();
    }

    /// Stops all processes of the program (SIGSTOP): connections stay open, and nothing passes.
    pub(crate) fn freeze(&self) {
        kill_process_group(self.pid(), Signal::STOP).unwrap();
    }

    /// Ends [`Self::freeze`].
    pub(crate) fn thaw(&self) {
        kill_process_group(self.pid(), Signal::CONT).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// How often the program has logged this.
    fn count(&self, told: &str) -> usize {
        self.told().matches(told).count()
    }

    #[track_caller]
    fn await_start(&mut self) {
        self.wait_for("it listens", |middle| {
            if let Some(status) = middle.child.try_wait().unwrap() {
                panic!("{:?} ended with {status}: {}", middle.plan.kind, middle.told());
            }
            let is_ready = middle.count(middle.plan.kind.ready_message()) > 0;
            is_ready && TcpStream::connect(middle.address).is_ok()
        });
    }

    #[track_caller]
    fn wait_for(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            let (kind, told) = (self.plan.kind, self.told());
            assert!(
                begun.elapsed() < PATIENCE,
                "{kind:?}: not within {PATIENCE:?}: {what}: {told}"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- {:?} told:\n{}---", self.plan.kind, self.told());
        }
    }
}

/// Whether a signal is in this set of `/proc/PID/status`.
fn has(status: &str, set: &str, signal: Signal) -> bool {
    let signals = status.lines().find_map(|line| line.strip_prefix(set)).unwrap();
    let signals = u64::from_str_radix(signals.trim(), 16).unwrap();
    signals >> (signal.as_raw() - 1) & 1 == 1
}

fn config(folder: &Path) -> PathBuf {
    folder.join("config")
}

/// Starts a program as the leader of a process group. Its output goes to the file `told`.
#[track_caller]
fn spawn(kind: Kind, folder: &Path) -> Child {
    let told = File::create(folder.join("told")).unwrap();
    // Apache logs to a file of its own, which its next start is not to find.
    let _ = fs::remove_file(folder.join("error.log"));
    let mut command = kind.command(&fs::canonicalize(folder).unwrap());
    command.stdin(Stdio::null()).stdout(told.try_clone().unwrap()).stderr(told);
    command.process_group(0).spawn().unwrap_or_else(|error| {
        panic!("{kind:?} does not start: {error}; .ci/setup installs what is missing")
    })
}
