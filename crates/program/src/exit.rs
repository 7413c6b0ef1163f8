//! How a program ends.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use crate::patience;
use crate::standard_streams::standard_error;

/// Exit status of a program that failed at run time.
pub const EXIT_FAILURE: u8 = 1;

/// Exit status of a program that was configured wrongly.
pub const EXIT_USAGE: u8 = 2;

/// Exit status of a measurement without a result.
pub const EXIT_UNDECIDED: u8 = 3;

/// Time limit for the line on stderr. Generous for a busy machine: the line is the only report of
/// what went wrong.
const PATIENCE: Duration = Duration::from_secs(1);

/// Prints on stderr, in one line, why the program failed; returns [`EXIT_FAILURE`].
#[must_use]
pub fn failed(cause: impl fmt::Display) -> ExitCode {
    report(EXIT_FAILURE, cause)
}

/// Prints on stderr, in one line, what is wrong with the settings; returns [`EXIT_USAGE`].
#[must_use]
pub fn misused(cause: impl fmt::Display) -> ExitCode {
    report(EXIT_USAGE, cause)
}

/// Prints on stderr, in one line, why a measurement has no result; returns [`EXIT_UNDECIDED`].
#[must_use]
pub fn undecided(cause: impl fmt::Display) -> ExitCode {
    report(EXIT_UNDECIDED, cause)
}

fn report(status: u8, cause: impl fmt::Display) -> ExitCode {
    let line = format!("error: {cause}\n");
    let copy = line.clone();
    if !patience::wait_for(PATIENCE, move || write(&copy)) {
        write(&line);
    }
    ExitCode::from(status)
}

fn write(line: &str) {
    // If stderr cannot be written, the exit status is the only report.
    let _ = standard_error().write_all(line.as_bytes());
}
