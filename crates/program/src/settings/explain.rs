//! The errors of clap in one line each, without passwords.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

use super::is_called;
use crate::redacted;

/// Longest part of a value that an error shows, in characters.
const MAX_SHOWN: usize = 200;

/// The error in one line. `command` is the whole command of the program.
pub(super) fn explain(error: &Error, command: &Command) -> String {
    let arg = text(error, ContextKind::InvalidArg);
    let told = match error.kind() {
        ErrorKind::UnknownArgument => {
            arg.map(|arg| unknown_argument(&shown(arg), suggestion(error), command))
        }
        ErrorKind::InvalidSubcommand => text(error, ContextKind::InvalidSubcommand)
            .map(|typed| unknown_subcommand(&shown(typed), command)),
        _ => arg.and_then(|arg| wrong_value(error, arg, command)),
    };
    told.unwrap_or_else(|| one_line(&error.to_string()))
}

/// `LAG_TIME (--lag-time)`, or the flag alone where there is no variable.
pub(super) fn name(arg: &Arg) -> Option<String> {
    let flag = match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => return None,
    };
    Some(match arg.get_env() {
        Some(variable) => format!("{} ({flag})", variable.display()),
        None => flag,
    })
}

fn text(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// A value as an error shows it: without passwords, at most [`MAX_SHOWN`] characters.
fn shown(value: &str) -> String {
    let value = redacted(value);
    match value.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value,
    }
}

fn suggestion(error: &Error) -> Option<&str> {
    match error.get(ContextKind::SuggestedArg)? {
        ContextValue::String(flag) => Some(flag),
        ContextValue::Strings(flags) => flags.first().map(String::as_str),
        _ => None,
    }
}

fn unknown_argument(typed: &str, suggestion: Option<&str>, command: &Command) -> String {
    let has = |command: &Command| command.get_arguments().any(|arg| is_called(arg, typed));
    if has(command) {
        return format!("{typed} does not go with this command; see --help");
    }
    if let Some(owner) = command.get_subcommands().find(|command| has(command)) {
        return format!(
            "{typed} is an option of the command {0}: {1} {0} {typed}",
            owner.get_name(),
            command.get_name()
        );
    }
    match suggestion {
        Some(flag) => format!("there is no option {typed:?}; did you mean {flag}?"),
        None if typed.starts_with('-') => format!("there is no option {typed:?}; see --help"),
        None if command.has_subcommands() => {
            let names = subcommand_names(command);
            format!(
                "{typed:?} is one argument too many, or the one before is no command ({names}); see --help"
            )
        }
        None => format!("{typed:?} is one argument too many; see --help"),
    }
}

fn unknown_subcommand(typed: &str, command: &Command) -> String {
    let names = subcommand_names(command);
    format!("{typed:?} is no command ({names}); a setting is given with its flag, see --help")
}

/// The names of the subcommands, separated by commas.
pub(crate) fn subcommand_names(command: &Command) -> String {
    command.get_subcommands().map(Command::get_name).collect::<Vec<_>>().join(", ")
}

/// What is wrong with a value. `arg` is the argument as clap shows it, with the name of the value:
/// `--lag-time <SECONDS>`.
fn wrong_value(error: &Error, arg: &str, command: &Command) -> Option<String> {
    let value = shown(text(error, ContextKind::InvalidValue)?);
    let flag = arg.split_whitespace().next().unwrap_or(arg).trim_matches(['[', ']']);
    let name = command.get_arguments().find(|arg| is_called(arg, flag)).and_then(name);
    let name = name.as_deref().unwrap_or(flag);
    if let Some(allowed) = std::error::Error::source(error) {
        return Some(format!("{name} is {value:?}, but {allowed}"));
    }
    match error.get(ContextKind::ValidValue)? {
        ContextValue::Strings(values) if !values.is_empty() => {
            Some(format!("{name} is {value:?}, but allowed is one of: {}", values.join(", ")))
        }
        _ => {
            let kind =
                arg.split_once('<').map_or("value", |(_, kind)| kind.trim_matches(['<', '>', ']']));
            Some(format!("{name} is {value:?}, but allowed is a {kind} that is not empty"))
        }
    }
}

/// The text of clap on one line, without the usage.
fn one_line(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let lines = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    // clap lists missing arguments on lines of their own, behind a colon.
    lines.replace(":; ", ": ")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::time::Duration;

    use clap::{CommandFactory, Parser, Subcommand};

    use super::super::with_joined_negatives;
    use super::*;
    use crate::values::seconds;

    #[derive(Debug, Parser)]
    #[command(name = "example")]
    struct Example {
        #[arg(long, env, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
        lag_time: Duration,

        #[arg(long, value_name = "SECONDS", value_parser = seconds, num_args = 0..=1)]
        pause: Option<Option<Duration>>,

        #[arg(short = 'i', value_name = "SECONDS", value_parser = seconds)]
        interval: Option<Duration>,

        #[arg(long)]
        insecure: bool,

        #[arg(short = '4', long)]
        ipv4: bool,

        #[arg(long, value_name = "PATH")]
        file: Option<std::path::PathBuf>,

        #[command(subcommand)]
        command: Option<Bench>,
    }

    #[derive(Debug, Subcommand)]
    enum Bench {
        Bench {
            #[arg(long)]
            rate: Option<u32>,
        },
    }

    fn parsed(args: &[&str]) -> Result<Example, Error> {
        let args = ["example"].iter().chain(args).map(OsString::from).collect();
        Example::try_parse_from(with_joined_negatives(args, &Example::command()))
    }

    fn explained(args: &[&str]) -> String {
        explain(&parsed(args).unwrap_err(), &Example::command())
    }

    fn told_of_lag_time(value: &str) -> String {
        format!("LAG_TIME (--lag-time) is \"{value}\", {SECONDS}")
    }

    const SECONDS: &str = "but allowed is a number of seconds from 0 to a year, such as 2 or 0.5";

    #[test]
    fn an_error_names_setting_value_and_what_is_allowed() {
        assert_eq!(explained(&["--lag-time", "soon"]), told_of_lag_time("soon"));
        assert_eq!(explained(&["--pause", "soon"]), format!("--pause is \"soon\", {SECONDS}"));
    }

    #[test]
    fn a_negative_number_is_a_wrong_value_and_no_flag() {
        for value in ["-1", "-1s", "-.5", "-0x1"] {
            assert_eq!(explained(&["--lag-time", value]), told_of_lag_time(value));
        }
        assert_eq!(explained(&["-i", "-1"]), format!("-i is \"-1\", {SECONDS}"));
        assert_eq!(explained(&["--insecure", "-1"]), "there is no option \"-1\"; see --help");
        assert!(explained(&["bench", "--rate", "-1"]).starts_with("--rate is \"-1\", but "));
    }

    #[test]
    fn a_flag_that_looks_like_a_number_is_a_flag_where_no_value_is_needed() {
        let example = parsed(&["--pause", "-4"]).unwrap();
        assert!(example.ipv4 && example.pause == Some(None));
        assert!(!parsed(&["--pause", "1"]).unwrap().ipv4);
        assert_eq!(explained(&["--lag-time", "-4"]), told_of_lag_time("-4"));
    }

    #[test]
    fn an_empty_value_or_none_is_told() {
        for args in [&["--file", ""][..], &["--file="], &["--file"]] {
            assert_eq!(explained(args), "--file is \"\", but allowed is a PATH that is not empty");
        }
    }

    #[test]
    fn an_unknown_argument_is_told_with_its_place_or_what_it_may_have_meant() {
        for (args, expected) in [
            (&["bench", "--pause"][..], "--pause does not go with this command; see --help"),
            (&["--rate", "1"], "--rate is an option of the command bench: example bench --rate"),
            (&["--lagtime", "1"], "there is no option \"--lagtime\"; did you mean --lag-time?"),
            (&["--zzz\u{1b}\n"], "there is no option \"--zzz\\u{1b}\\n\"; see --help"),
            (
                &["bench", "more"],
                "\"more\" is one argument too many, or the one before is no command (bench); see --help",
            ),
            (
                &["bench", "ws://user:secret@host"],
                "\"ws://***@host\" is one argument too many, or the one before is no command (bench); see --help",
            ),
            (
                &["ws://user:se/cret@host"],
                "\"ws://***@host\" is no command (bench); a setting is given with its flag, see --help",
            ),
            (&["--lag-time", "user:secret@host"], &told_of_lag_time("***@host")),
            (
                &["ws://server"],
                "\"ws://server\" is no command (bench); a setting is given with its flag, see --help",
            ),
        ] {
            assert_eq!(explained(args), expected);
        }
    }

    #[test]
    fn a_value_that_is_very_long_is_shown_in_part() {
        let told = explained(&["--lag-time", &"ä".repeat(70_000)]);
        assert_eq!(told, told_of_lag_time(&format!("{}...", "ä".repeat(MAX_SHOWN))));
    }

    #[test]
    fn every_other_error_is_one_line() {
        assert_eq!(
            explained(&["--file", "a", "--file", "b"]),
            "the argument '--file <PATH>' cannot be used multiple times"
        );
        assert_eq!(
            one_line("error: these arguments were not provided:\n  <SHELL>\n\nUsage: x <SHELL>"),
            "these arguments were not provided: <SHELL>"
        );
    }
}
