//! The client as a process, and its statistics.

use std::ops::Deref;
use std::process::{Command, Stdio};

use crate::programs;
use crate::support::process::Process;

/// A client that runs.
#[derive(Debug)]
pub(crate) struct Client(Process);

/// The statistics that a client prints at its end.
#[derive(Debug)]
pub(crate) struct Statistics {
    pub(crate) sent: usize,
    pub(crate) received: usize,
    pub(crate) lost: usize,
}

impl Client {
    /// Starts a client with these settings, by another command if there is one.
    pub(crate) fn start(wrapper: &[&str], settings: &[(&str, &str)]) -> Self {
        let program = programs::folder().join("client");
        let program = program.to_str().unwrap();
        let line = [wrapper, &[program]].concat();
        let child = Command::new(line[0])
            .args(&line[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {line:?}: {error}"));
        let process = Process::new(child);
        process.read_stdout();
        process.read_stderr();
        Self(process)
    }

    /// Stops the client, which has to end with status 0, and returns its statistics.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Statistics {
        assert_eq!(self.0.stop().0, Some(0));
        let printed = String::from_utf8(self.0.stdout()).unwrap();
        let counts = printed.lines().rfind(|line| line.contains(" sent, "));
        let counts = counts.unwrap_or_else(|| panic!("no statistics in {printed}"));
        let number = |what: &str| {
            let part = counts.split(", ").find(|part| part.contains(what));
            part.and_then(|part| part.split(' ').next()?.parse().ok()).expect(counts)
        };
        Statistics { sent: number("sent"), received: number("received"), lost: number("lost") }
    }
}

impl Deref for Client {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}
