//! Settings from the environment and from flags, and wrong ones.

use std::io::{Read, Write, pipe};
use std::process::Command;
use std::time::Duration;
use std::{fs, iter, thread};

use rustix::fs::{OFlags, fcntl_setfl};

use crate::client::{Client, KillOnDrop, command, misused};
use crate::fake::Fake;
use crate::stalls::patiently;

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
        let expected = format!("{variable} ({flag}) is {value:?}, but {allowed}");
        let variables = [("SERVER_URL", server_url.as_str()), (variable, value)];
        assert_eq!(misused(&[], &variables), expected);
        assert_eq!(misused(&[flag, value], &variables[..1]), expected);
        assert_eq!(misused(&[&format!("{flag}={value}")], &variables[..1]), expected);
        assert!(!server.is_called(Duration::ZERO));
    }
}

#[test]
fn a_wrong_url_is_told_by_the_name_of_its_argument() {
    for (args, name) in [
        (&["talk", "nonsense"][..], "URL"),
        (&["bench", "nonsense"], "URL"),
        (&["--interactive", "nonsense"], "--interactive"),
    ] {
        let cause = "the scheme is missing: write ws://nonsense, or wss:// for TLS";
        assert_eq!(misused(args, &[]), format!("{name} is \"nonsense\", but {cause}"));
    }
}

#[test]
fn a_descriptor_limit_without_room_for_a_connection_is_told_with_the_limit_to_set() {
    for mode in ["bench", "hold", "spread"] {
        let told = Command::new("sh")
            .args(["-c", "ulimit -n 20; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_client")])
            .args([mode, "ws://127.0.0.1:1", "--connections", "5"])
            .output()
            .unwrap();
        let status = told.status.code();
        let told = String::from_utf8(told.stderr).unwrap();
        let expected = "error: the descriptor limit of this process, 20, is too low for any connection: raise that (ulimit -n) to ";
        assert!(status == Some(2) && told.starts_with(expected), "{mode}: {told}");
    }
}

/// Another program may have made the pipe of stderr non-blocking for all its users.
#[test]
fn an_error_is_printed_once_a_full_stderr_pipe_has_room() {
    // The client waits for a second.
    patiently(|| {
        let (mut reader, mut stderr) = pipe().unwrap();
        fcntl_setfl(&stderr, OFlags::WRONLY | OFlags::NONBLOCK).unwrap();
        let filled: usize = iter::from_fn(|| stderr.write(&[b' '; 4096]).ok()).sum();
        let child = command(&[]).args(["talk", "nonsense"]).stderr(stderr).spawn().unwrap();
        let mut child = KillOnDrop(child);
        // The line waits in a thread of its own.
        let threads = format!("/proc/{}/task", child.0.id());
        while child.0.try_wait().unwrap().is_none()
            && fs::read_dir(&threads).map_or(0, Iterator::count) < 2
        {
            thread::yield_now();
        }
        let mut told = String::new();
        reader.read_to_string(&mut told).unwrap();
        assert!(told[filled..].starts_with("error: URL is \"nonsense\""), "{:?}", &told[filled..]);
        assert_eq!(child.0.wait().unwrap().code(), Some(2));
    });
}

#[test]
fn a_misspelt_command_is_told_with_the_commands() {
    let commands = "talk, bench, why, idle, spread, hold, check, completions, man";
    let told = misused(&["wyh"], &[]);
    assert!(told.ends_with(&format!("or wss:// for TLS; commands are {commands}")), "{told}");
    let told = misused(&["wyh", "ws://host"], &[]);
    let expected = format!("or the one before is no command ({commands})");
    assert!(told.contains(&expected), "{told}");
    // A host is no misspelt command.
    let told = misused(&["localhost:8765"], &[]);
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
        let line = misused(&[url], &[]);
        assert!(line.starts_with(told), "{line}");
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
        let line = misused(args, &[]);
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
        assert_eq!(misused(args, &[]), told);
    }
}

#[test]
fn the_server_may_be_the_argument() {
    let (server, url) = Fake::start();
    let _client = Client::spawn(command(&[("SERVER_URL", "ws://127.0.0.1:1")]).arg(&url));
    server.accept().ping();
}

#[test]
fn an_unknown_time_zone_is_a_wrong_setting() {
    let told = misused(&[], &[("TZ", "Europe/Berln")]);
    assert!(told.starts_with("TZ is \"Europe/Berln\", but allowed is"), "{told}");
}

/// The client opens the file of the time zone while it reads its settings. The file is a named pipe
/// here, so that the shell can open its other end at that moment, and not before.
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
    let mut command = command(&[("SERVER_URL", "ws://127.0.0.1:1"), ("CLIENT_NAME", "variable")]);
    let args = ["--server-url", &url, "--client-name", "flag"];
    let _client = Client::spawn(command.args(args));
    assert!(server.accept().ping().contains(r#""client_name": "flag""#));
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
