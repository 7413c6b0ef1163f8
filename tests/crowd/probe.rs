//! A probe as a process, and the objects that it prints.

use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::programs;
use crate::support::process::Process;

/// Time limit of each wait.
const PATIENCE: Duration = Duration::from_secs(90);

/// Time limit of each wait for a probe that takes a whole machine.
const LONG_PATIENCE: Duration = Duration::from_secs(300);

/// Held by a probe that takes a whole machine, and shared by all others.
static MACHINE: RwLock<()> = RwLock::new(());

/// A probe that runs.
pub(crate) struct Probe {
    process: Process,
    patience: Duration,
    _turn: Turn,
}

enum Turn {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

/// The output of a probe.
pub(crate) struct Outcome {
    pub(crate) status: Option<i32>,
    pub(crate) objects: Vec<Value>,
}

impl Probe {
    /// Starts `client ARGS --json`.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_by(&[], args)
    }

    /// Starts `client ARGS --json` while no other probe runs.
    pub(crate) fn start_alone(args: &[&str]) -> Self {
        let guard = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
        let turn = Turn::Alone { _guard: guard };
        Self { process: spawn(&[], args), patience: LONG_PATIENCE, _turn: turn }
    }

    /// Starts a probe with a wrapper before its command, such as `ip netns exec NAME`.
    pub(crate) fn start_by(wrapper: &[&str], args: &[&str]) -> Self {
        let guard = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
        let turn = Turn::Shared { _guard: guard };
        Self { process: spawn(wrapper, args), patience: PATIENCE, _turn: turn }
    }

    /// Runs a probe to its end.
    #[track_caller]
    pub(crate) fn run(args: &[&str]) -> Outcome {
        Self::start(args).wait()
    }

    /// The objects so far.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let stdout = self.process.stdout();
        let whole = stdout.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = stdout[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// Waits until an object is as it should be.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        self.wait_for(what, |objects| objects.iter().any(&is_so));
    }

    /// Waits until so many connections are held, according to the last sample.
    #[track_caller]
    pub(crate) fn holds(&self, number: u64) {
        self.wait_for(&format!("{number} are held"), |objects| {
            let last = objects.iter().rfind(|object| object["type"] == "sample");
            last.is_some_and(|sample| sample["held"] == number && sample["waiting"] == 0)
        });
    }

    /// The losses so far, according to the last sample.
    pub(crate) fn losses(&self) -> u64 {
        let objects = self.objects();
        let last = objects.iter().rfind(|object| object["type"] == "sample");
        last.and_then(|sample| sample["lost"].as_u64()).unwrap_or(0)
    }

    #[track_caller]
    fn wait_for(&self, what: &str, is_so: impl Fn(&[Value]) -> bool) {
        let begun = Instant::now();
        loop {
            let objects = self.objects();
            if is_so(&objects) {
                return;
            }
            let last = &objects[objects.len().saturating_sub(5)..];
            assert!(begun.elapsed() < self.patience, "{what}: {last:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Processor time so far.
    pub(crate) fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    /// Stops the probe as Ctrl-C does.
    #[track_caller]
    pub(crate) fn interrupt(self) -> Outcome {
        self.process.signal(Signal::INT);
        self.wait()
    }

    /// Waits until the probe ends by itself.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Outcome {
        self.until("there is a verdict", |object| object["type"] == "verdict");
        let status = self.process.wait().code();
        Outcome { status, objects: self.objects() }
    }
}

impl Outcome {
    pub(crate) fn verdict(&self) -> &Value {
        self.objects.last().unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        self.verdict()["text"].as_str().unwrap()
    }

    pub(crate) fn of_type(&self, name: &str) -> Vec<&Value> {
        self.objects.iter().filter(|object| object["type"] == name).collect()
    }

    /// Fails unless the fields of the verdict are these.
    #[track_caller]
    pub(crate) fn assert(&self, fields: &[(&str, Value)]) {
        for (name, value) in fields {
            assert_eq!(&self.verdict()[name], value, "{name} in {}", self.verdict());
        }
    }

    /// Fails unless the text has these parts.
    #[track_caller]
    pub(crate) fn assert_says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.text().contains(part), "{part:?}: {}", self.text());
        }
    }
}

fn spawn(wrapper: &[&str], args: &[&str]) -> Process {
    let program = programs::folder().join("client");
    let line = [wrapper, &[program.to_str().unwrap()], args, &["--json"]].concat();
    let child = Command::new(line[0])
        .args(&line[1..])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {line:?}: {error}"));
    let process = Process::new(child);
    process.read_stdout();
    process.read_stderr();
    process
}
