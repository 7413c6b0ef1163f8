//! The client as a process, watched line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::DEADLINE;

/// Time limit for a client to end after a signal, on a busy machine: less than `PONG_TIMEOUT`, and
/// far more than a client usually takes.
pub(crate) const SOON: Duration = Duration::from_secs(9);

/// A process that is killed when dropped.
#[must_use]
pub(crate) struct KillOnDrop(pub(crate) Child);

impl KillOnDrop {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client that runs; it is killed when dropped.
pub(crate) struct Client {
    child: KillOnDrop,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

/// A command that starts the client with these settings in its environment and no others.
pub(crate) fn command(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.env_clear().envs(settings.iter().copied()).stdin(Stdio::null());
    command
}

/// A client that prints JSON.
pub(crate) fn json(url: &str, args: &[&str]) -> Client {
    Client::spawn(command(&[]).arg("--json").arg(url).args(args))
}

/// Runs a command to its end, with this on its stdin.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// The error of a client that is set wrongly: one line on stderr, nothing on stdout, exit status 2.
#[track_caller]
pub(crate) fn misused(args: &[&str], settings: &[(&str, &str)]) -> String {
    let output = command(settings).args(args).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    told.trim_end().strip_prefix("error: ").unwrap().to_owned()
}

/// Waits until a process listens at this address.
#[track_caller]
pub(crate) fn wait_until_listening(process: &mut KillOnDrop, address: SocketAddr) {
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < DEADLINE, "nothing listens at {address}");
        assert_eq!(process.0.try_wait().unwrap(), None, "it has ended");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The next object of this type that a client prints.
#[track_caller]
pub(crate) fn next(client: &Client, name: &str) -> Value {
    loop {
        let object: Value = serde_json::from_str(&client.stdout.next()).unwrap();
        if object["type"] == name {
            return object;
        }
    }
}

/// A time of an object.
#[track_caller]
pub(crate) fn seconds(object: &Value, name: &str) -> f64 {
    object[name].as_f64().unwrap_or_else(|| panic!("{name} in {object}"))
}

impl Client {
    /// A client that pings the server at `url` as fast as it can, unless set otherwise.
    pub(crate) fn start(url: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_with(url, settings, Stdio::piped())
    }

    pub(crate) fn start_with(url: &str, settings: &[(&str, &str)], stdout: Stdio) -> Self {
        let mut command = command(&[("SERVER_URL", url), ("LAG_TIME", "0")]);
        command.envs(settings.iter().copied()).stdout(stdout).stderr(Stdio::piped());
        Self::of(command.spawn().unwrap())
    }

    /// Runs a command with pipes for stdout and stderr.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::of(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// A client whose stderr is a pipe, and maybe its stdout.
    pub(crate) fn of(mut child: Child) -> Self {
        let stdout = child.stdout.take().map(|pipe| Lines::of("stdout", pipe));
        let stderr = Lines::of("stderr", child.stderr.take().unwrap());
        Self {
            child: KillOnDrop(child),
            stdout: stdout.unwrap_or_else(|| Lines::of("stdout", std::io::empty())),
            stderr,
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    /// The end of a client that ends by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        // Stderr ends when the process does.
        self.stderr.rest();
        self.child.0.wait().unwrap()
    }

    /// Ends a client that had a Pong with a signal; returns its statistics. There must be no
    /// further line on stderr.
    #[track_caller]
    pub(crate) fn stop(mut self, signal: Signal) -> Vec<String> {
        self.signal(signal);
        self.stopped()
    }

    /// The statistics of a client that was told to stop, and that had a Pong.
    #[track_caller]
    pub(crate) fn stopped(&mut self) -> Vec<String> {
        self.stopped_with(0)
    }

    /// The statistics of a client that was told to stop, and its exit status.
    #[track_caller]
    pub(crate) fn stopped_with(&mut self, status: i32) -> Vec<String> {
        let told = Instant::now();
        assert_eq!(self.stderr.rest(), [""; 0]);
        assert_eq!(self.child.0.wait().unwrap().code(), Some(status));
        assert!(told.elapsed() < SOON, "stopping took {:?}", told.elapsed());
        let lines = self.stdout.rest();
        let start = lines.iter().rposition(String::is_empty).expect("no statistics");
        lines[start + 1..].to_vec()
    }
}

/// The lines of an output stream, as they come.
pub(crate) struct Lines {
    name: &'static str,
    lines: Receiver<String>,
}

impl Lines {
    pub(crate) fn of(name: &'static str, stream: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        thread::spawn(move || {
            BufReader::new(stream)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self { name, lines }
    }

    /// The next line.
    pub(crate) fn next(&self) -> String {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(error) => panic!("no line on {}: {error}", self.name),
        }
    }

    /// The next line, without the time at its beginning.
    pub(crate) fn next_event(&self) -> String {
        event(&self.next())
    }

    /// The next line without its time, if it is there already.
    pub(crate) fn try_next_event(&self) -> Option<String> {
        self.lines.try_recv().ok().map(|line| event(&line))
    }

    /// What the server said, according to the next line.
    pub(crate) fn next_reply(&self) -> String {
        let line = self.next();
        match line.split_once("] Received from server: ") {
            Some((_, reply)) => reply.to_owned(),
            None => panic!("not a reply: {line}"),
        }
    }

    /// Every line to the end of the stream.
    pub(crate) fn rest(&self) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => lines.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return lines,
                Err(error) => panic!("{} does not end: {error}, after {lines:?}", self.name),
            }
        }
    }
}

/// A line of stderr without the time at its beginning, `19-12-2023 12:43:12  `.
fn event(line: &str) -> String {
    line.split_at_checked(20).map_or(line, |(_, event)| event.trim_start()).to_owned()
}
