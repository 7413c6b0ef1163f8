//! Settings from the environment and from flags, and wrong ones.

use std::process::Command;
use std::time::Duration;

use crate::client::command;
use crate::fake::Fake;

#[test]
fn a_wrong_setting_is_one_line_and_no_connection() {
    let url = "allowed is ws://HOST[:PORT][/PATH], or wss:// for TLS, such as ws://localhost:8765";
    let seconds = "allowed is a number of seconds from 0 to a year, such as 2 or 0.5";
    let some_seconds = "allowed is a number of seconds above 0, up to a year, such as 10 or 0.5";
    let filter = "allowed is error, warn, info, debug, trace or off, also by module: info,client::connect=debug";
    for (variable, flag, value, allowed) in [
        ("SERVER_URL", "--server-url", "wss://local..host", url),
        ("SERVER_URL", "--server-url", "localhost:8765", url),
        ("SERVER_URL", "--server-url", "ws://:8765", url),
        ("LAG_TIME", "--lag-time", "soon", seconds),
        ("LAG_TIME", "--lag-time", "-1", seconds),
        ("PONG_TIMEOUT", "--pong-timeout", "0", some_seconds),
        ("RUST_LOG", "--rust-log", "client=loud", filter),
    ] {
        let (server, server_url) = Fake::start();
        let expected = format!("error: {variable} ({flag}) is {value:?}, but {allowed}\n");
        let by_variable = command(&[("SERVER_URL", &server_url), (variable, value)]).output();
        let by_flag =
            command(&[("SERVER_URL", &server_url)]).arg(format!("{flag}={value}")).output();
        let by_two = command(&[("SERVER_URL", &server_url)]).args([flag, value]).output();
        for output in [by_variable.unwrap(), by_flag.unwrap(), by_two.unwrap()] {
            assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
            assert_eq!(output.stdout, b"");
            assert_eq!(output.status.code(), Some(2));
        }
        assert!(!server.is_called(Duration::ZERO));
    }
    let output = command(&[]).args(["--interactive", "localhost"]).output().unwrap();
    let expected = format!("error: --interactive is \"localhost\", but {url}\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert_eq!(output.status.code(), Some(2));
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
    assert_eq!(told, "error: --interactive does not go with this command; see --help\n");
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
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn too_few_descriptors_are_told() {
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 7; exec \"$0\"", env!("CARGO_BIN_EXE_client")])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), told.lines().count()), (Some(1), 1), "{told}");
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
    ] {
        assert!(help.contains(name), "{name} is missing in\n{help}");
    }
}
