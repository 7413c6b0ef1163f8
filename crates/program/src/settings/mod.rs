//! How the settings of a program are loaded, and how a wrong one is reported.
//!
//! Each setting is an environment variable and a flag of the same name (`LAG_TIME`,
//! `--lag-time`); the flag wins, and an empty variable counts as unset. A wrong value gives one
//! line that names the setting, the value and what is allowed, and exit status 2.

mod explain;

use std::ffi::OsString;
use std::io::Write;
use std::iter;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, Command, Error, Parser};

use crate::standard_streams::standard_output;
use crate::{exit, zone};
use explain::{explain, name};

pub(crate) use explain::subcommand_names;

/// Loads the settings of a program from its arguments and its environment, and checks `TZ`.
///
/// # Errors
/// The exit status, after the help, the version or the error was printed.
pub fn load<S: Parser>(args: impl IntoIterator<Item = OsString>) -> Result<S, ExitCode> {
    let command = S::command().mut_args(without_empty_variable);
    if let Some(cause) = command.get_arguments().find_map(not_text) {
        return Err(exit::misused(cause));
    }
    let args = with_joined_negatives(args.into_iter().collect(), &command);
    let mut matches = command.try_get_matches_from(args).map_err(|error| report::<S>(&error))?;
    let settings = S::from_arg_matches_mut(&mut matches).map_err(|error| report::<S>(&error))?;
    zone::check().map_err(exit::misused)?;
    Ok(settings)
}

/// Compose files pass a variable that is not set as an empty one (`${NAME:-}`).
fn without_empty_variable(arg: Arg) -> Arg {
    let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    if is_empty { arg.env(None::<&'static str>) } else { arg }
}

/// What is wrong with a variable that is not UTF-8; the error of clap would not name the variable. A
/// path need not be UTF-8.
fn not_text(arg: &Arg) -> Option<String> {
    let value = std::env::var_os(arg.get_env()?)?;
    let is_path =
        arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == "PATH"));
    if is_path || value.to_str().is_some() {
        return None;
    }
    Some(format!("{} is {value:?}, but allowed is text in UTF-8", name(arg)?))
}

/// Joins a flag and a value that begins like a negative number to one argument, `--lag-time=-1s`:
/// clap would take the value for an unknown flag.
fn with_joined_negatives(args: Vec<OsString>, command: &Command) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::with_capacity(args.len());
    for arg in args {
        match joined.last_mut() {
            Some(flag) if is_negative(&arg) && takes_value(flag, &arg, command) => {
                flag.push("=");
                flag.push(arg);
            }
            _ => joined.push(arg),
        }
    }
    joined
}

fn is_negative(value: &OsString) -> bool {
    matches!(value.as_encoded_bytes(), [b'-', b'0'..=b'9' | b'.', ..])
}

/// Whether `flag` is a flag of the command or of a subcommand, and takes `value`. A flag with an
/// optional value does not take a short flag, such as `-4`, as its value.
fn takes_value(flag: &OsString, value: &OsString, command: &Command) -> bool {
    let is_named =
        |arg: &Arg, text: &OsString| text.to_str().is_some_and(|text| is_called(arg, text));
    let is_value_a_flag = command.get_arguments().any(|arg| is_named(arg, value));
    let takes_value = |arg: &Arg| {
        is_named(arg, flag)
            && arg.get_action().takes_values()
            && !(is_value_a_flag
                && arg.get_num_args().is_some_and(|number| number.min_values() == 0))
    };
    iter::once(command)
        .chain(command.get_subcommands())
        .any(|command| command.get_arguments().any(takes_value))
}

/// Whether `flag` is the long or the short flag of `arg`, with its hyphens.
fn is_called(arg: &Arg, flag: &str) -> bool {
    match flag.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some_and(|short| flag == format!("-{short}")),
    }
}

fn report<S: Parser>(error: &Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // If the write fails, the reader of stdout is gone.
            let _ = write!(standard_output(), "{error}");
            ExitCode::SUCCESS
        }
        _ => exit::misused(explain(error, &S::command())),
    }
}
