//! How the settings of a program are loaded, and how a wrong one is reported.
//!
//! Each setting is an environment variable and a flag of the same name (`LAG_TIME`,
//! `--lag-time`); the flag wins, and an empty variable counts as unset. A wrong value gives one
//! line that names the setting, the value and what is allowed, and exit status 2.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Error, Parser};

use crate::exit;

/// Loads the settings of a program from its arguments and its environment.
///
/// # Errors
/// The status to exit with, after help, version or the error was printed.
pub fn load<S: Parser>(args: impl IntoIterator<Item = OsString>) -> Result<S, ExitCode> {
    let command = S::command().mut_args(without_empty_variable);
    if let Some(cause) = command.get_arguments().find_map(not_text) {
        return Err(exit::misused(cause));
    }
    let mut matches = command.try_get_matches_from(args).map_err(|error| report::<S>(&error))?;
    S::from_arg_matches_mut(&mut matches).map_err(|error| report::<S>(&error))
}

/// Compose files pass a variable that is not set as an empty one (`${NAME:-}`).
fn without_empty_variable(arg: Arg) -> Arg {
    let empty =
        arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|v| v.is_empty()));
    if empty { arg.env(None::<&'static str>) } else { arg }
}

/// What is wrong with a variable that is not text; clap itself does not name it. A path may be
/// anything.
fn not_text(arg: &Arg) -> Option<String> {
    let value = std::env::var_os(arg.get_env()?)?;
    let is_path =
        arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == "PATH"));
    if is_path || value.to_str().is_some() {
        return None;
    }
    Some(format!("{} is {value:?}, but allowed is text in UTF-8", name(arg)?))
}

fn report<S: Parser>(error: &Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // An error here means that the reader of stdout has left, having read enough.
            let _ = write!(io::stdout(), "{error}");
            ExitCode::SUCCESS
        }
        _ => exit::misused(explain::<S>(error)),
    }
}

/// The error in one line.
fn explain<S: Parser>(error: &Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let allowed = std::error::Error::source(error).map(ToString::to_string).or_else(|| match error
        .get(ContextKind::ValidValue)
    {
        Some(ContextValue::Strings(values)) => {
            Some(format!("allowed is one of: {}", values.join(", ")))
        }
        _ => None,
    });
    match (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue), allowed) {
        (Some(arg), Some(value), Some(allowed)) => {
            // `--lag-time <SECONDS>`
            let flag = arg.split_whitespace().next().unwrap_or(arg).trim_matches(['[', ']']);
            let name = S::command().get_arguments().find(|arg| is_called(arg, flag)).and_then(name);
            format!("{} is {value:?}, but {allowed}", name.as_deref().unwrap_or(flag))
        }
        _ => one_line(&error.to_string()),
    }
}

fn is_called(arg: &Arg, flag: &str) -> bool {
    flag.strip_prefix("--").is_some_and(|long| arg.get_long() == Some(long))
}

/// `LAG_TIME (--lag-time)`, or the flag alone where there is no variable.
fn name(arg: &Arg) -> Option<String> {
    let flag = arg.get_long()?;
    Some(match arg.get_env() {
        Some(variable) => format!("{} (--{flag})", variable.display()),
        None => format!("--{flag}"),
    })
}

fn one_line(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::values::seconds;

    #[derive(Debug, Parser)]
    struct Example {
        #[arg(long, env, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
        lag_time: Duration,

        #[arg(long, value_name = "SECONDS", value_parser = seconds, num_args = 0..=1)]
        pause: Option<Option<Duration>>,
    }

    fn explained(args: &[&str]) -> String {
        explain::<Example>(&Example::try_parse_from([&["example"], args].concat()).unwrap_err())
    }

    #[test]
    fn an_error_names_setting_value_and_what_is_allowed() {
        assert_eq!(
            explained(&["--lag-time", "soon"]),
            "LAG_TIME (--lag-time) is \"soon\", but allowed is a number of seconds from 0 to a year, such as 2 or 0.5"
        );
        assert_eq!(
            explained(&["--pause", "soon"]),
            "--pause is \"soon\", but allowed is a number of seconds from 0 to a year, such as 2 or 0.5"
        );
    }

    #[test]
    fn every_other_error_is_one_line() {
        let text = explained(&["--lagtime", "1"]);
        assert!(text.contains("--lagtime") && !text.contains('\n'), "{text}");
    }
}
