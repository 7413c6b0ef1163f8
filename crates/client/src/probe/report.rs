//! What a probe prints: lines for a person or objects for a program, and the verdict last.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::time::SystemTime;

use program::stop::Stop;
use serde::Serialize;
use tokio::select;

use crate::mode::Verdict;
use crate::record;
use crate::stdout::{self, Output, Writer};

/// Stdout of a probe.
#[derive(Debug)]
pub(super) struct Report {
    output: Output,
    writer: Writer,
    is_json: bool,
    is_live: bool,
}

/// What a probe found out.
#[derive(Debug)]
pub(super) struct Finding<T> {
    /// The name of the probe.
    pub(super) probe: &'static str,
    /// `None` if the probe could not tell.
    pub(super) ok: Option<bool>,
    /// The verdict in sentences.
    pub(super) text: String,
    /// The fields of the verdict in JSON.
    pub(super) fields: T,
}

impl Report {
    /// Starts the writer of stdout.
    ///
    /// # Errors
    /// Why stdout cannot be used.
    pub(super) fn open(is_json: bool) -> Result<Self, String> {
        let start = || Output::start(stdout::open()?);
        let (output, writer) =
            start().map_err(|error| format!("cannot write to stdout: {error}"))?;
        let is_smart = env::var_os("TERM").as_deref() != Some(OsStr::new("dumb"));
        let is_live = !is_json && is_smart && io::stdout().is_terminal();
        Ok(Self { output, writer, is_json, is_live })
    }

    /// Another handle, for tasks of the probe.
    pub(super) fn printer(&self) -> Printer {
        let Self { output, is_json, is_live, .. } = self;
        Printer { output: output.clone(), is_json: *is_json, is_live: *is_live }
    }

    /// Waits until the probe has to end early: on a stop signal, or when stdout is closed.
    pub(super) async fn over(&mut self, stop: &mut Stop) {
        select! {
            () = stop.wait() => {}
            _ = self.writer.failed() => {}
        }
    }

    /// Prints the verdict, and returns it for the exit status.
    ///
    /// # Errors
    /// Why the verdict could not be written.
    pub(super) async fn finish<T: Serialize>(self, finding: Finding<T>) -> Result<Verdict, String> {
        let Finding { probe, ok, text, fields } = finding;
        let last = match (self.is_json, ok) {
            (true, _) => {
                record::verdict(&record::Verdict { probe, ok, text: &text, fields: &fields })
                    .map_err(|error| format!("cannot write the verdict: {error}"))?
            }
            (false, Some(_)) => format!("{text}\n"),
            // The exit says why.
            (false, None) => String::new(),
        };
        stdout::unless_closed(self.output.finish(last, self.writer).await)
            .map_err(|error| format!("cannot write to stdout: {error}"))?;
        Ok(match ok {
            Some(true) => Verdict::Good,
            Some(false) => Verdict::Bad(None),
            None => Verdict::Unknown(text),
        })
    }
}

/// Prints while the probe runs.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    output: Output,
    is_json: bool,
    is_live: bool,
}

impl Printer {
    /// Prints a line for a person.
    pub(super) async fn line(&self, text: &str) {
        if !self.is_json {
            self.output.print(format!("{text}\n")).await;
        }
    }

    /// Prints an object for a program.
    pub(super) async fn record(&self, r#type: &'static str, fields: &impl Serialize) {
        self.record_at(r#type, SystemTime::now(), fields).await;
    }

    /// Prints an object for a program, of something that happened then.
    pub(super) async fn record_at(
        &self,
        r#type: &'static str,
        at: SystemTime,
        fields: &impl Serialize,
    ) {
        if self.is_json
            && let Ok(line) = record::line(r#type, at, fields)
        {
            self.output.print(line).await;
        }
    }

    /// Shows a line below the others while the probe runs, on a terminal.
    pub(super) fn live(&self, text: String) {
        if self.is_live {
            self.output.show(text);
        }
    }
}
