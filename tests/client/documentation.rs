//! Completions and manual pages that the program prints.

use std::process::Command;

/// What the client prints with these arguments.
#[track_caller]
fn printed(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_client")).args(args).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn completions_know_the_modes_and_their_options() {
    for shell in ["bash", "zsh", "fish"] {
        let text = printed(&["completions", shell]);
        for word in ["talk", "bench", "pong-timeout", "in-flight"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn the_program_and_each_mode_have_a_manual_page() {
    let page = printed(&["man"]);
    for part in [".TH client 1", "CLIENT_NAME", "client\\-bench(1)"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let page = printed(&["man", "bench"]);
    for part in [".TH client-bench 1", "\\-\\-in\\-flight"] {
        assert!(page.contains(part), "{part} in {page}");
    }
}

#[test]
fn each_flag_for_the_way_to_the_server_is_in_the_readme() {
    let readme = include_str!("../../crates/client/README.md");
    let (_, section) = readme.split_once("\n## The way to the server\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let help = printed(&["--help"]);
    let (_, flags) = help.split_once("The way to the server").unwrap();
    let flags: Vec<_> = flags
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'))
        .flat_map(|line| line.split([' ', ',']).filter(|word| word.starts_with('-')))
        .collect();
    assert!(flags.len() > 15, "{flags:?}");
    for flag in flags {
        assert!(section.contains(&format!("`{flag}")), "{flag}");
    }
}

#[test]
fn help_is_a_command_as_well() {
    assert_eq!(printed(&["help"]), printed(&["--help"]));
    assert_eq!(printed(&["help", "why"]), printed(&["why", "--help"]));
    assert!(printed(&["-h"]).contains("help "));
    let refused =
        Command::new(env!("CARGO_BIN_EXE_client")).args(["help", "whi"]).output().unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("\"whi\" is no command (talk, bench, why, "), "{told}");
}
