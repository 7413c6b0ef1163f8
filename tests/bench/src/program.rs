//! A program that is measured, while it runs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chrono::NaiveDateTime;
use tempfile::TempDir;

use crate::cores::Cores;
use crate::load::{Protocol, Target};
use crate::process::Process;
use crate::roster::Recipe;
use crate::stop::Stop;
use crate::usage;

/// How long a program may take until it listens.
const START: Duration = Duration::from_secs(20);

/// Pause between two tries to connect.
const RETRY: Duration = Duration::from_millis(10);

/// Bytes of output read at once.
const BUFFER: usize = 64 * 1024;

/// The part of a ping's line after the time.
const LINE_END: &str = "] Recieved from client (\"Client-300\"): Ping!\n";

/// A program that listens. Ends, with the folder of its files, when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    process: Process,
    address: SocketAddr,
    folder: TempDir,
}

impl Program {
    /// Starts a program on its core, with further variables, and waits until it listens.
    pub(crate) fn start(
        recipe: &Recipe,
        variables: &[(&str, &OsStr)],
        cores: &Cores,
        stop: &Stop,
    ) -> Result<Self> {
        let folder = TempDir::with_prefix("bench-").context("cannot make a temporary folder")?;
        let address = free_address()?;
        let mut command = recipe.command();
        command
            .env("LISTEN", address.to_string())
            .env("LOG_FILE", folder.path().join("log"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("stderr"))?);
        let mut process = Process::start_at(cores, &mut command)?;
        if let Some(stdout) = process.child().stdout.take() {
            drain(stdout, cores.clone());
        }
        let program = Self { process, address, folder };
        program.wait_for(address, stop).with_context(|| recipe.name)?;
        Ok(program)
    }

    /// Waits until the program listens at an address.
    pub(crate) fn wait_for(&self, address: SocketAddr, stop: &Stop) -> Result<()> {
        let deadline = Instant::now() + START;
        while let Err(error) = TcpStream::connect(address) {
            self.runs_for(RETRY, stop)?;
            if Instant::now() > deadline {
                bail!(
                    "it does not listen on {address} after {START:?} ({error}); its last words: {}",
                    self.last_words()
                );
            }
        }
        Ok(())
    }

    /// Waits for `time`. An error if the program ends meanwhile.
    pub(crate) fn runs_for(&self, time: Duration, stop: &Stop) -> Result<()> {
        if self.process.ends_within(time, stop)? {
            bail!("it ended; its last words: {}", self.last_words());
        }
        Ok(())
    }

    /// The program as the target of a load.
    pub(crate) fn target(&self, protocol: Protocol) -> Target {
        Target { address: self.address, protocol }
    }

    /// The last line that the program wrote to stderr.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(self.folder.path().join("stderr")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().last().unwrap_or("(none)").into()
    }

    /// An error unless the log holds a line for each of so many answered pings.
    pub(crate) fn check_log(&self, pings: u64) -> Result<()> {
        let path = self.folder.path().join("log");
        let log = File::open(&path).context("it has no log")?;
        let size = log.metadata()?.len();
        let mut line = String::new();
        BufReader::new(log).read_line(&mut line)?;
        let lines = size / line.len().max(1) as u64;
        if !is_line(&line) {
            bail!("its log begins with {line:?}, and that is not the line of a ping");
        }
        if lines < pings {
            bail!("its log has {lines} lines, but it answered {pings} pings");
        }
        Ok(())
    }

    /// Processor time that the program has used.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        usage::cpu(self.process.pid())
    }

    /// Resident memory of the program, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        usage::memory(self.process.pid())
    }
}

/// Whether a line is the log line of a ping. All of these lines have the same length.
fn is_line(line: &str) -> bool {
    let time = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(LINE_END));
    time.is_some_and(|time| NaiveDateTime::parse_from_str(time, "%d-%m-%Y %H:%M:%S").is_ok())
}

/// An address of this machine that is free now.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot find a port")?;
    Ok(listener.local_addr()?)
}

/// Reads and drops what a program prints, until it ends.
fn drain(mut stdout: ChildStdout, cores: Cores) {
    thread::spawn(move || {
        // The figures are steadier if this thread runs apart from the programs, but it may stay
        // with them.
        let _ = cores.take_spare_core();
        let mut buffer = vec![0; BUFFER];
        while stdout.read(&mut buffer).is_ok_and(|length| length > 0) {}
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_ping() {
        let line = "[19-12-2023 12:43:12] Recieved from client (\"Client-300\"): Ping!\n";
        assert!(is_line(line));
        for other in [line.trim_end(), &line[1..], "", &line.replace("12:43", "noon")] {
            assert!(!is_line(other), "{other}");
        }
    }
}
