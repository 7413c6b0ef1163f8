//! How a program ends.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// Exit status of a program that failed at run time.
pub const EXIT_FAILURE: u8 = 1;

/// Exit status of a program that was configured wrongly.
pub const EXIT_USAGE: u8 = 2;

/// Tells on stderr, in one line, why the program failed; returns [`EXIT_FAILURE`].
#[must_use]
pub fn failed(cause: impl fmt::Display) -> ExitCode {
    report(EXIT_FAILURE, cause)
}

/// Tells on stderr, in one line, what is wrong with the settings; returns [`EXIT_USAGE`].
#[must_use]
pub fn misused(cause: impl fmt::Display) -> ExitCode {
    report(EXIT_USAGE, cause)
}

fn report(status: u8, cause: impl fmt::Display) -> ExitCode {
    // Without a stderr the exit status alone has to tell.
    let _ = writeln!(io::stderr(), "error: {cause}");
    ExitCode::from(status)
}
