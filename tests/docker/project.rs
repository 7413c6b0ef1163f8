//! The compose project under test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what has to happen, before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Pause between two questions to the engine.
const PAUSE: Duration = Duration::from_millis(100);

/// The variables that the compose file reads.
const VARIABLES: [&str; 21] = [
    "ALLOWED_ORIGINS",
    "BIND",
    "COMPOSE_PROFILES",
    "DEFAULT_SERVICE",
    "LAG_TIME",
    "LOG_KEEP",
    "LOG_MAX_BYTES",
    "LOG_MESSAGES",
    "LOG_SYNC",
    "NGINX_PORT",
    "NGINX_TLS_PORT",
    "NGINX_USER",
    "PLAIN_PORT",
    "PROBE",
    "REPLY_DELAY",
    "RUST_LOG",
    "SERVER_PORT",
    "TLS_DIR",
    "TLS_NAMES",
    "TLS_PORT",
    "TZ",
];

static ENGINE: Mutex<()> = Mutex::new(());

/// The project of `docker-compose.yml`; taken down, with its volume, when dropped.
pub(crate) struct Project {
    overrides: Vec<String>,
    env: Vec<(&'static str, String)>,
    _alone: MutexGuard<'static, ()>,
}

impl Project {
    /// The project as the file describes it, with its images built, and nothing running.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::with_overrides(&[])
    }

    /// The project with further compose files laid over its own.
    #[track_caller]
    pub(crate) fn with_overrides(files: &[&Path]) -> Self {
        static BUILT: Once = Once::new();
        let alone = alone();
        let label = "label=com.docker.compose.project=websockets";
        for list in [&["ps", "-aq"][..], &["volume", "ls", "-q"]] {
            let found = docker(&[list, &["--filter", label]].concat());
            assert_eq!(found, "", "a project named websockets is there: docker compose down -v");
        }
        let overrides = files.iter().map(|file| file.display().to_string()).collect();
        let project = Self { overrides, env: Vec::new(), _alone: alone };
        BUILT.call_once(|| drop(project.compose(&["build"])));
        project
    }

    /// The project with the profile `scale`, which is published at free ports.
    #[track_caller]
    pub(crate) fn scaled(files: &[&Path]) -> Self {
        let project = Self::with_overrides(files).with_env("COMPOSE_PROFILES", "scale");
        let [plain, secure] = free_ports().map(|port| port.to_string());
        project.with_env("NGINX_PORT", &plain).with_env("NGINX_TLS_PORT", &secure)
    }

    /// The project with a variable set.
    pub(crate) fn with_env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Where a port of a service is published on this machine.
    #[track_caller]
    pub(crate) fn address(&self, service: &str, port: u16) -> SocketAddr {
        self.address_of(service, 1, port)
    }

    /// Where a port of one of the containers of a service is published on this machine.
    #[track_caller]
    pub(crate) fn address_of(&self, service: &str, replica: usize, port: u16) -> SocketAddr {
        let index = format!("--index={replica}");
        let told = self.compose(&["port", &index, service, &port.to_string()]);
        let (_, port) = told.trim().rsplit_once(':').expect("ADDRESS:PORT");
        SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().expect("a port")))
    }

    /// Runs `docker compose` in the project's folder; returns what it says on stdout.
    #[track_caller]
    pub(crate) fn compose(&self, args: &[&str]) -> String {
        succeed(&mut self.command(args))
    }

    /// Runs `docker compose`, and returns what it says on stdout and stderr.
    #[track_caller]
    pub(crate) fn progress(&self, args: &[&str]) -> String {
        let mut command = self.command(args);
        let output = run(&mut command);
        assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
        text(&output.stdout) + &text(&output.stderr)
    }

    /// A `docker compose` command of the project.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut command = Command::new("docker");
        command.current_dir(root).arg("compose");
        if !self.overrides.is_empty() {
            command.args(["-f", "docker-compose.yml"]);
        }
        for file in &self.overrides {
            command.args(["-f", file]);
        }
        for name in VARIABLES {
            command.env_remove(name);
        }
        command.args(args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The names of the containers of a service.
    #[track_caller]
    pub(crate) fn containers(&self, service: &str) -> Vec<String> {
        let names = self.compose(&["ps", "-a", "--format", "{{.Name}}", service]);
        names.lines().map(Into::into).collect()
    }

    /// Stops all; returns how long it took.
    #[track_caller]
    pub(crate) fn stop(&self) -> Duration {
        let start = Instant::now();
        self.compose(&["stop"]);
        start.elapsed()
    }

    /// All whole lines of all logs in the volume, once the servers have stopped. The last line of a
    /// server that was killed may be torn.
    #[track_caller]
    pub(crate) fn log_lines(&self) -> Vec<String> {
        let whole = "for log in server_logs*.txt; do \
            while IFS= read -r line; do printf '%s\\n' \"$line\"; done <\"$log\"; done";
        let log = bash_in_volume("websockets_logs", whole);
        log.lines().map(Into::into).collect()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if thread::panicking() {
            let logs = self.command(&["logs", "--tail", "50"]).output();
            eprintln!("{}", logs.map_or_else(|e| e.to_string(), |logs| text(&logs.stdout)));
        }
        let down = ["--profile", "*", "down", "-v", "--remove-orphans", "-t", "2"];
        let down = self.command(&down).output();
        if !down.is_ok_and(|down| down.status.success()) {
            eprintln!("the project could not be taken down: docker compose down -v");
        }
    }
}

/// The engine for one test at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ENGINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two ports that are free now. The engine would find some itself, but others after each restart.
#[track_caller]
pub(crate) fn free_ports() -> [u16; 2] {
    let any = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
    [any(), any()].map(|listener| listener.local_addr().expect("its port").port())
}

/// Anonymous volumes of containers that may go before their project does. They are removed when
/// dropped, which has to be after the project.
#[derive(Default)]
pub(crate) struct AnonymousVolumes(Vec<String>);

impl AnonymousVolumes {
    /// Notes the volumes of containers.
    #[track_caller]
    pub(crate) fn of(&mut self, containers: &[String]) {
        for container in containers {
            self.0.push(inspect(container, "range .Mounts}}{{.Name}}{{end"));
        }
    }
}

impl Drop for AnonymousVolumes {
    fn drop(&mut self) {
        // Some volumes were removed with their containers.
        let _ = Command::new("docker").args(["volume", "rm", "-f"]).args(&self.0).output();
    }
}

/// Runs `docker`; returns what it says on stdout.
#[track_caller]
pub(crate) fn docker(args: &[&str]) -> String {
    succeed(Command::new("docker").args(args))
}

/// The output of a container on stdout and on stderr.
#[track_caller]
pub(crate) fn logs(container: &str) -> (String, String) {
    let output = run(Command::new("docker").args(["logs", container]));
    (text(&output.stdout), text(&output.stderr))
}

/// Runs commands in a container, as `docker exec -it NAME bash` would.
#[track_caller]
pub(crate) fn bash(container: &str, commands: &str) -> String {
    docker(&["exec", container, "bash", "-c", commands])
}

/// Runs commands in a new container of the server's image, in whose working directory a volume is.
#[track_caller]
pub(crate) fn bash_in_volume(volume: &str, commands: &str) -> String {
    let volume = format!("{volume}:/app");
    let run = ["run", "--rm", "-v", &volume, "--entrypoint", "bash", "websockets-server"];
    docker(&[&run[..], &["-c", commands]].concat())
}

/// A field of `docker inspect`.
#[track_caller]
pub(crate) fn inspect(what: &str, field: &str) -> String {
    docker(&["inspect", "--format", &format!("{{{{{field}}}}}"), what]).trim().to_owned()
}

/// Waits until `look` finds something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(PAUSE);
    }
}

/// Waits until a container has said `needle` at least `times` times.
#[track_caller]
pub(crate) fn wait_for(container: &str, needle: &str, times: usize) {
    eventually(&format!("{container}: {needle}"), || {
        let (stdout, stderr) = logs(container);
        (stdout.matches(needle).count() + stderr.matches(needle).count() >= times).then_some(())
    });
}

#[track_caller]
fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; .ci/setup installs it"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
