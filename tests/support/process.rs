//! A process under test: its output, its signals, and what `/proc` says about it.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use super::captured::Captured;
use super::{eventually, wait_until};

/// Clock ticks in a second: the unit of times in `/proc` (`USER_HZ`), the same on every architecture.
const TICKS: f64 = 100.0;

/// Most lines of stderr, counted from the end, that are printed if a test fails.
const SHOWN: usize = 100;

/// A running process. Dropped, it is killed, and the last lines of its stderr are printed if the test
/// fails.
pub(crate) struct Process {
    child: Child,
    stdout: Captured,
    pub(super) stderr: Captured,
}

impl Process {
    /// Takes over a child and its stdout and stderr, neither of which is read yet.
    pub(crate) fn new(mut child: Child) -> Self {
        let stdout = Captured::new(child.stdout.take());
        let stderr = Captured::new(child.stderr.take());
        Self { child, stdout, stderr }
    }

    /// The bytes of stdout so far.
    pub(crate) fn stdout(&self) -> Vec<u8> {
        self.stdout.bytes()
    }

    /// Begins to read stdout.
    pub(crate) fn read_stdout(&self) {
        self.stdout.begin();
    }

    /// Begins to read stderr.
    pub(crate) fn read_stderr(&self) {
        self.stderr.begin();
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

    /// The only child of the process: the server, if the process is a wrapper that keeps running.
    pub(crate) fn child(&self) -> Pid {
        let children = self.proc_file(&format!("task/{}/children", self.child.id()));
        let child = children.trim().parse().ok().and_then(Pid::from_raw);
        child.unwrap_or_else(|| panic!("one child, not {children:?}"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the signal is sent");
    }

    /// Fails if the process has ended.
    #[track_caller]
    pub(super) fn assert_runs(&mut self) {
        let status = self.child.try_wait().expect("the state of the child");
        assert!(status.is_none(), "it ended with {status:?}: {}", self.stderr.text());
    }

    /// Waits for the end of the process and of its output.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = eventually("the process ends", || self.child.try_wait().expect("its state"));
        for captured in [&self.stdout, &self.stderr] {
            wait_until("the pipe is closed", || captured.is_over());
        }
        status
    }

    /// Stops the process with SIGTERM; returns its exit status, and how long the stop took.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        self.signal(Signal::TERM);
        (self.wait().code(), start.elapsed())
    }

    /// Stops the process, which has to end with status 0 in less than `limit`.
    #[track_caller]
    pub(crate) fn assert_stops_within(&mut self, limit: Duration) {
        let (status, time) = self.stop();
        assert_eq!(status, Some(0));
        assert!(time < limit, "{time:?}");
    }

    /// Kills the process with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.wait();
    }

    /// Lowers or raises a limit of the process.
    pub(crate) fn limit(&self, resource: Resource, current: Option<u64>) {
        limit(self.pid(), resource, current);
    }

    fn proc_file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).expect("it runs")
    }

    /// Whether a thread is in uninterruptible sleep, so that not even SIGKILL ends the process.
    pub(crate) fn waits_in_the_kernel(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let state = |thread: &Path| fs::read_to_string(thread.join("stat")).unwrap_or_default();
        threads.flatten().any(|thread| state(&thread.path()).contains(") D "))
    }

    /// Resident memory of the process, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// A field of `/proc/PID/status` in bytes.
    pub(crate) fn status_bytes(&self, field: &str) -> u64 {
        let status = self.proc_file("status");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect(field);
        1024 * line.trim_end_matches("kB").trim().parse::<u64>().expect("a number")
    }

    /// Processor time that the process has used.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = self.proc_file("stat");
        let (_, fields) = stat.rsplit_once(") ").expect("the fields behind the name");
        let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap());
        Duration::from_secs_f64(ticks.sum::<f64>() / TICKS)
    }

    /// Waits until the process uses no more processor time.
    #[track_caller]
    pub(crate) fn wait_until_idle(&self) {
        let mut last = (self.cpu(), Instant::now());
        wait_until("the process has nothing to do", || {
            let now = self.cpu();
            if now != last.0 {
                last = (now, Instant::now());
            }
            last.1.elapsed() > Duration::from_millis(300)
        });
    }

    /// The number of descriptors that the process has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    /// The number of the next descriptor that the process will open.
    pub(crate) fn free_descriptor(&self) -> u64 {
        let is_free =
            |number| !fs::exists(format!("/proc/{}/fd/{number}", self.child.id())).unwrap();
        (0..).find(|&number| is_free(number)).expect("one is free")
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({})", self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let told = self.stderr.text();
        if thread::panicking() {
            let lines: Vec<_> = told.lines().collect();
            let left_out = lines.len().saturating_sub(SHOWN);
            let shown = lines[left_out..].join("\n");
            let process = self.child.id();
            eprintln!("--- stderr of process {process} ({left_out} lines left out):\n{shown}\n---");
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
