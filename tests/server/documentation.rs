//! The completions and manual pages that the program prints.

use std::process::Command;

use crate::support::{Builder, TestServer};

/// The output of the server with these arguments.
#[track_caller]
fn printed(args: &[&str]) -> String {
    let finished = args.iter().fold(TestServer::builder(), Builder::arg).run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""), "{args:?}");
    finished.stdout
}

#[test]
fn bash_completes_options_commands_and_values() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.bash");
    std::fs::write(&path, printed(&["completions", "bash"])).unwrap();
    // As bash does when Tab is pressed after the last word.
    let complete = |words: &str| {
        let script = "source \"$0\"; COMP_WORDS=(server $1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1));
            _server server \"${COMP_WORDS[-1]}\" \"${COMP_WORDS[-2]}\"; echo \"${COMPREPLY[@]}\"";
        let output = Command::new("bash").args(["-c", script]).arg(&path).arg(words).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("--log-max"), "--log-max-bytes");
    assert_eq!(complete("--log-sync al"), "always");
    assert_eq!(complete("health"), "healthcheck");
}

#[test]
fn the_manual_pages_describe_settings_and_commands() {
    let page = printed(&["man"]);
    assert!(page.contains(".TH server 1"), "{page}");
    for part in ["LOG_SYNC", "\\-\\-drain\\-timeout", "server\\-healthcheck(1)"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(printed(&["man", "healthcheck"]).contains(".TH server-healthcheck 1"));
}

#[test]
fn an_unknown_command_or_shell_is_refused() {
    for (args, allowed) in [(["man", "nothing"], "healthcheck"), (["completions", "dos"], "bash")] {
        let reported = TestServer::builder().arg(args[0]).arg(args[1]).fails(2);
        assert!(reported.contains(allowed), "{reported}");
    }
}

#[test]
fn help_is_a_command_as_well() {
    assert_eq!(printed(&["help"]), printed(&["--help"]));
    assert_eq!(printed(&["help", "healthcheck"]), printed(&["healthcheck", "--help"]));
}
