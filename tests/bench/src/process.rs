//! Child processes that never outlive the benchmark.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::cores::Cores;
use crate::stop::Stop;

/// A process, killed when dropped, with those that it started.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    handle: OwnedFd,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        Self::of(command, Command::spawn)
    }

    /// Starts a process on the cores of the programs.
    pub(crate) fn start_at(cores: &Cores, command: &mut Command) -> Result<Self> {
        Self::of(command, |command| cores.at_program(|| command.spawn()))
    }

    fn of(
        command: &mut Command,
        spawn: impl FnOnce(&mut Command) -> io::Result<Child>,
    ) -> Result<Self> {
        let mut child = spawn(command.process_group(0))
            .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(handle) => Ok(Self { child, handle }),
            Err(error) => {
                end(&mut child);
                Err(error).context("cannot watch a process that was started")
            }
        }
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Waits for the end of the process, however long that takes.
    pub(crate) fn wait(&mut self, stop: &Stop) -> Result<ExitStatus> {
        while !self.ends_within(Duration::from_secs(1), stop)? {}
        self.child.wait().context("cannot wait for a process")
    }

    /// Waits for the end of the process, for `time` at most; returns whether it has ended.
    pub(crate) fn ends_within(&self, time: Duration, stop: &Stop) -> Result<bool> {
        let deadline = Instant::now() + time;
        loop {
            stop.check()?;
            let left = deadline.saturating_duration_since(Instant::now());
            let mut handle = [PollFd::new(&self.handle, PollFlags::IN)];
            match poll(&mut handle, Some(&Timespec::try_from(left)?)) {
                Ok(count) => return Ok(count > 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot wait for a process"),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // The process may have ended by itself.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.wait();
}
