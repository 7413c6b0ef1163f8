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
