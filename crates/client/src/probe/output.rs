//! The output of a probe on stdout: lines for a person or JSON objects for a program, and the
//! verdict last.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use program::standard_streams::standard_output;
use program::stop::Stop;
use serde::Serialize;
use tokio::select;

use crate::record;
use crate::stdout::{self, Output, Writer, unwritable};
use crate::verdict::Verdict;

/// Longest wait for a slow reader of stdout to take the verdict.
const PATIENCE: Duration = Duration::from_secs(2);

/// The output of a probe on stdout.
#[derive(Debug)]
pub(super) struct ProbeOutput {
    printer: Printer,
    writer: Writer,
    /// Why stdout cannot be written, once that is known.
    unwritable: Option<io::Error>,
}

/// The verdict of a probe.
#[derive(Debug)]
pub(super) struct Finding<T> {
    /// Name of the probe.
    pub(super) probe: &'static str,
    /// `None` if the probe could not tell.
    pub(super) ok: Option<bool>,
    pub(super) text: String,
    /// Further JSON fields of the verdict.
    pub(super) fields: T,
}

impl ProbeOutput {
    /// Opens stdout.
    ///
    /// # Errors
    /// Why stdout cannot be used.
    pub(super) fn open(is_json: bool) -> Result<Self, String> {
        let (output, writer) = Output::start(standard_output()).map_err(unwritable)?;
        let is_smart = env::var_os("TERM").as_deref() != Some(OsStr::new("dumb"));
        let is_live = !is_json && is_smart && io::stdout().is_terminal();
        let printer = Printer { output, is_json, is_live };
        Ok(Self { printer, writer, unwritable: None })
    }

    /// A handle for the tasks of the probe.
    pub(super) fn printer(&self) -> Printer {
        self.printer.clone()
    }

    /// Waits for a reason to end the probe early: a stop signal, or a stdout that cannot be written.
    pub(super) async fn over(&mut self, stop: &mut Stop) {
        select! {
            () = stop.wait() => {}
            error = self.writer.failed() => self.unwritable = Some(error),
        }
    }

    /// Prints the verdict, and converts it for the exit status.
    ///
    /// # Errors
    /// Why the verdict could not be written.
    pub(super) async fn finish<T: Serialize>(self, finding: Finding<T>) -> Result<Verdict, String> {
        let Finding { probe, ok, text, fields } = finding;
        let last = match (self.printer.is_json, ok) {
            (true, _) => {
                record::verdict(&record::Verdict { probe, ok, text: &text, fields: &fields })
                    .map_err(|error| format!("cannot write the verdict: {error}"))?
            }
            (false, Some(_)) => format!("{text}\n"),
            // `main` prints why the probe could not tell.
            (false, None) => String::new(),
        };
        let written = match self.unwritable {
            Some(error) => Err(error),
            None => self.printer.output.finish_within(PATIENCE, last, self.writer).await,
        };
        stdout::unless_closed(written)
            .map_err(|error| format!("cannot write to stdout: {error}"))?;
        Ok(match ok {
            Some(true) => Verdict::Good,
            Some(false) => Verdict::Bad(None),
            None => Verdict::Unknown(text),
        })
    }
}

/// Prints what a probe finds while it runs.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    output: Output,
    is_json: bool,
    is_live: bool,
}

impl Printer {
    /// Prints a line, unless the output is JSON.
    pub(super) async fn line(&self, text: &str) {
        if !self.is_json {
            self.output.print(format!("{text}\n")).await;
        }
    }

    /// Prints a JSON object of this type, if the output is JSON.
    pub(super) async fn record(&self, r#type: &'static str, fields: &impl Serialize) {
        self.record_at(r#type, SystemTime::now(), fields).await;
    }

    /// Prints a JSON object about something that happened `at` this time.
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

    /// Replaces the status line at the bottom of a terminal.
    pub(super) fn live(&self, text: String) {
        if self.is_live {
            self.output.show(text);
        }
    }
}

/// The sentences in one line if the output is JSON, else one per line. A single one has no full
/// stop.
pub(super) fn joined(sentences: &[String], is_json: bool) -> String {
    let text = sentences.join(if is_json { ". " } else { ".\n" });
    if sentences.len() > 1 { text + "." } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_gets_a_line_for_each_sentence() {
        let two = ["even".to_owned(), "Not sticky".to_owned()];
        assert_eq!(joined(&two, true), "even. Not sticky.");
        assert_eq!(joined(&two, false), "even.\nNot sticky.");
        assert_eq!(joined(&two[..1], false), "even");
    }
}
