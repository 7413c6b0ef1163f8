//! Settings from the environment and from flags, and wrong ones.

use std::process::{Command, Output};
use std::time::Duration;

use crate::client::command;
use crate::fake::Fake;

#[test]
fn a_wrong_setting_is_one_line_and_no_connection() {
    let no_scheme = "the scheme is missing: write ws://localhost:8765, or wss:// for TLS";
    let no_host = "the host is missing: allowed is ws://HOST[:PORT][/PATH], or wss:// for TLS, such as ws://localhost:8765";
    let seconds = "allowed is a number of seconds from 0 to a year, such as 2 or 0.5";
    let some_seconds = "allowed is a number of seconds above 0, up to a year, such as 10 or 0.5";
    let filter =
        "allowed is error, warn, info, debug, trace or off, also by module: info,client::net=debug";
    for (variable, flag, value, allowed) in [
        ("SERVER_URL", "--server-url", "localhost:8765", no_scheme),
        ("SERVER_URL", "--server-url", "ws://:8765", no_host),
        ("LAG_TIME", "--lag-time", "soon", seconds),
        ("LAG_TIME", "--lag-time", "-1", seconds),
        ("PONG_TIMEOUT", "--pong-timeout", "0", some_seconds),
        ("PONG_TIMEOUT", "--pong-timeout", "-0.5", some_seconds),
        ("RUST_LOG", "--rust-log", "client=loud", filter),
    ] {
        let (server, server_url) = Fake::start();
        let expected = format!("error: {variable} ({flag}) is {value:?}, but {allowed}\n");
        let variables = [("SERVER_URL", server_url.as_str()), (variable, value)];
        let by_variable = command(&variables).output();
        let by_flag = command(&variables[..1]).args([flag, value]).output();
        let by_one_word = command(&variables[..1]).arg(format!("{flag}={value}")).output();
        for output in [by_variable.unwrap(), by_flag.unwrap(), by_one_word.unwrap()] {
            assert_eq!(misused(&output), expected);
        }
        assert!(!server.is_called(Duration::ZERO));
    }
}

/// The error of a client that was set wrongly: exit status 2, and nothing on stdout.
#[track_caller]
fn misused(output: &Output) -> String {
    assert_eq!(output.stdout, b"");
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_wrong_url_is_told_where_it_stands() {
    for (args, name) in [
        (&["talk", "nonsense"][..], "URL"),
        (&["bench", "nonsense"], "URL"),
        (&["--interactive", "nonsense"], "--interactive"),
    ] {
        let cause = "the scheme is missing: write ws://nonsense, or wss:// for TLS";
        let told = misused(&command(&[]).args(args).output().unwrap());
        assert_eq!(told, format!("error: {name} is \"nonsense\", but {cause}\n"));
    }
}

#[test]
fn who_misspells_a_command_is_told_the_commands() {
    let commands = "talk, bench, why, idle, spread, hold, check, completions, man";
    let told = misused(&command(&[]).arg("wyh").output().unwrap());
    assert!(told.ends_with(&format!("or wss:// for TLS; commands are {commands}\n")), "{told}");
    let told = misused(&command(&[]).args(["wyh", "ws://host"]).output().unwrap());
    assert!(told.contains(&format!("(commands: {commands})")), "{told}");
    // This is a host.
    let told = misused(&command(&[]).arg("localhost:8765").output().unwrap());
    assert!(!told.contains("commands"), "{told}");
}

#[test]
fn each_fault_of_a_url_is_told_without_its_password() {
    for (url, told) in [
        (
            "ws://user:secret@host:99999",
            "URL is \"ws://***@host:99999\", but the port *** is not allowed",
        ),
        ("ws://user:secret@höst", "URL is \"ws://***@höst\", but a host is written in ASCII"),
        (
            "ws://bücher.example",
            "URL is \"ws://bücher.example\", but a host is written in ASCII: xn--bcher-kva.example in place of bücher.example",
        ),
        ("ws://host:99999", "URL is \"ws://host:99999\", but the port 99999 is not allowed"),
        ("ws://host/#x", "URL is \"ws://host/#x\", but the fragment #x has no meaning"),
    ] {
        let line = misused(&command(&[]).arg(url).output().unwrap());
        assert!(line.starts_with(&format!("error: {told}")), "{line}");
        assert!(!line.contains("secret"), "{line}");
    }
}

#[test]
fn an_argument_too_many_and_a_password_with_a_slash_show_no_password() {
    for args in [
        &["ws://host", "ws://user:secret@host"][..],
        &["talk", "ws://host", "ws://user:secret@host"],
        &["bench", "ws://host", "ws://user:se/cret@host"],
        &["--lag-time", "ws://user:secret@host"],
        &["ws://user:12/secret@host"],
        &["--server-url", "ws://user:12/secret@host"],
    ] {
        let line = misused(&command(&[]).args(args).output().unwrap());
        assert!(line.contains("ws://***@host"), "{args:?}: {line}");
        assert!(!["secret", "cret", "user:"].iter().any(|part| line.contains(part)), "{line}");
    }
}

#[test]
fn two_modes_or_two_servers_are_one_too_many() {
    for (args, told) in [
        (
            &["bench", "--interactive"][..],
            "--interactive and bench are two modes, but allowed is one: leave one of them out",
        ),
        (
            &["ws://one", "talk", "ws://two"],
            "two URLs are given, but allowed is one: leave one of them out",
        ),
    ] {
        let line = misused(&command(&[]).args(args).output().unwrap());
        assert_eq!(line, format!("error: {told}\n"));
    }
}

#[test]
fn the_server_may_be_the_argument() {
    let (server, url) = Fake::start();
    let mut child = command(&[("SERVER_URL", "ws://127.0.0.1:1")]).arg(&url).spawn().unwrap();
    server.accept().ping();
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_unknown_time_zone_is_a_wrong_setting() {
    let output = command(&[("TZ", "Europe/Berln")]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("error: TZ is \"Europe/Berln\", but allowed is"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn an_option_of_another_mode_is_told_without_advice_that_misleads() {
    let output = command(&[]).args(["bench", "--interactive"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        told,
        "error: --interactive and bench are two modes, but allowed is one: leave one of them out\n"
    );
}

/// The client opens the time zone while it reads its settings, and the shell then has the other
/// end of the pipe.
const SIGNAL_AT_THE_START: &str = r#"
    mkfifo zone
    TZ="$PWD/zone" "$0" &
    exec 3>zone
    kill -TERM $!
    wait $!
"#;

#[test]
fn a_signal_while_the_settings_are_read_ends_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", SIGNAL_AT_THE_START, env!("CARGO_BIN_EXE_client")])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(3), &b""[..]));
}

#[test]
fn too_few_descriptors_are_told() {
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 7; exec \"$0\"", env!("CARGO_BIN_EXE_client")])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), told.lines().count()), (Some(3), 1), "{told}");
    assert!(told.contains("file descriptors") && told.contains("ulimit -n"), "{told}");
}

#[test]
fn a_flag_wins_over_its_variable() {
    let (server, url) = Fake::start();
    let mut child = command(&[("SERVER_URL", "ws://127.0.0.1:1"), ("CLIENT_NAME", "variable")])
        .args(["--server-url", &url, "--client-name", "flag"])
        .spawn()
        .unwrap();
    assert!(server.accept().ping().contains(r#""client_name": "flag""#));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn help_names_every_setting() {
    let output = command(&[]).arg("--help").output().unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for name in [
        "CLIENT_NAME",
        "LAG_TIME",
        "SERVER_URL",
        "PONG_TIMEOUT",
        "TLS_CA",
        "RUST_LOG",
        "--interactive",
        "--insecure",
        "bench",
        "talk",
    ] {
        assert!(help.contains(name), "{name} is missing in\n{help}");
    }
}
