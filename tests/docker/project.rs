//! The compose project under test.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what has to happen, before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks at what an engine tells.
const PAUSE: Duration = Duration::from_millis(100);

static ENGINE: Mutex<()> = Mutex::new(());

/// The project of `docker-compose.yml`; taken down, with its volume, when dropped.
pub(crate) struct Project {
    overrides: Vec<String>,
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
        let alone = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
        let label = "label=com.docker.compose.project=websockets";
        for list in [&["ps", "-aq"][..], &["volume", "ls", "-q"]] {
            let found = docker(&[list, &["--filter", label]].concat());
            assert_eq!(found, "", "a project named websockets is there: docker compose down -v");
        }
        let overrides = files.iter().map(|file| file.display().to_string()).collect();
        let project = Self { overrides, _alone: alone };
        BUILT.call_once(|| drop(project.compose(&["build"])));
        project
    }

    /// Runs `docker compose` in the project's folder; returns what it says on stdout.
    #[track_caller]
    pub(crate) fn compose(&self, args: &[&str]) -> String {
        succeed(&mut self.command(args))
    }

    fn command(&self, args: &[&str]) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut command = Command::new("docker");
        command.current_dir(root).arg("compose");
        if !self.overrides.is_empty() {
            command.args(["-f", "docker-compose.yml"]);
        }
        for file in &self.overrides {
            command.args(["-f", file]);
        }
        // Any free port will do for those that are published.
        command.args(args).envs([("PLAIN_PORT", "0"), ("TLS_PORT", "0")]).env_remove("TZ");
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

    /// All lines of all logs in the volume, once the servers have stopped.
    #[track_caller]
    pub(crate) fn log_lines(&self) -> Vec<String> {
        let read = ["run", "--rm", "-v", "websockets_logs:/app", "--entrypoint", "bash"];
        let read = [&read[..], &["websockets-server", "-c", "cat server_logs*.txt"]].concat();
        docker(&read).lines().map(Into::into).collect()
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

/// Runs `docker`; returns what it says on stdout.
#[track_caller]
pub(crate) fn docker(args: &[&str]) -> String {
    succeed(Command::new("docker").args(args))
}

/// What a container said on stdout and on stderr.
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
