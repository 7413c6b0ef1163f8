//! Completions of shells and manual pages, made from the definition of the settings.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Command, CommandFactory, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::exit;
use crate::settings::subcommand_names;
use crate::standard_streams::standard_output;

/// Subcommands by which a program prints its own documentation.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Documentation {
    /// Print the completions for a shell
    Completions {
        /// Shell that reads them
        shell: Shell,
    },
    /// Print the manual page, for `man -l -`
    Man {
        /// Command that the page is about [default: the program]
        command: Option<String>,
    },
}

impl Documentation {
    /// Prints completions or page on stdout, for the program with the settings `S`; returns the exit
    /// status.
    #[must_use]
    pub fn print<S: CommandFactory>(&self) -> ExitCode {
        let text = match self.text(S::command()) {
            Ok(text) => text,
            Err(cause) => return exit::misused(cause),
        };
        match standard_output().write_all(&text) {
            // A broken pipe is no failure: the reader has read enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                exit::failed(format!("cannot write to stdout: {error}"))
            }
            _ => ExitCode::SUCCESS,
        }
    }

    fn text(&self, mut program: Command) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        match self {
            Self::Completions { shell } => {
                let name = program.get_name().to_owned();
                clap_complete::generate(*shell, &mut program, name, &mut text);
            }
            Self::Man { command } => {
                let page = Man::new(page_of(program, command.as_deref())?);
                page.render(&mut text).map_err(|error| error.to_string())?;
            }
        }
        Ok(text)
    }
}

/// The command that a page is about, under its whole name (`server-healthcheck`).
fn page_of(mut program: Command, name: Option<&str>) -> Result<Command, String> {
    // Gives each command its whole name, and the global options.
    program.build();
    let Some(name) = name else { return Ok(program) };
    let found = program.find_subcommand(name).cloned();
    let names = || subcommand_names(&program);
    found.ok_or_else(|| format!("{name:?} is not one of the commands: {}", names()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// A program for these tests.
    #[derive(Parser)]
    #[command(name = "tool", version = "1.2.3")]
    struct Settings {
        /// Seconds to wait
        #[arg(long, env)]
        wait_time: Option<u32>,
        #[command(subcommand)]
        command: Option<Command>,
    }

    #[derive(Subcommand)]
    enum Command {
        #[command(flatten)]
        Documentation(Documentation),
    }

    fn printed(args: &[&str]) -> Result<String, String> {
        let settings = Settings::parse_from([&["tool"], args].concat());
        assert_eq!(settings.wait_time, None);
        let Some(Command::Documentation(documentation)) = settings.command else { panic!() };
        documentation.text(Settings::command()).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn each_shell_gets_completions_with_all_options() {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let text = printed(&["completions", shell]).unwrap();
            assert!(text.contains("wait-time") && text.contains("completions"), "{shell}: {text}");
        }
    }

    #[test]
    fn the_manual_page_tells_options_variables_and_commands() {
        let page = printed(&["man"]).unwrap();
        assert!(page.contains(".TH tool 1") && page.contains("Seconds to wait"), "{page}");
        for part in ["\\-\\-wait\\-time", "WAIT_TIME", "tool\\-completions(1)", "1.2.3"] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn each_command_has_a_page_of_its_own() {
        let page = printed(&["man", "completions"]).unwrap();
        assert!(page.contains("tool\\-completions") && page.contains("Shell that reads"), "{page}");
        let refused = printed(&["man", "nothing"]).unwrap_err();
        assert!(refused.starts_with("\"nothing\" is not one of the commands: completions"));
    }
}
