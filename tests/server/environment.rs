//! The environment of the server: time zone, limits on descriptors and threads, terminal, and
//! signals during the start.

use chrono::{TimeDelta, Utc};

use crate::support::{Builder, TestServer};

fn with_ulimit(limit: &str) -> Builder {
    TestServer::builder().under(["sh", "-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")])
}

#[test]
fn an_unknown_time_zone_is_a_wrong_setting() {
    for zone in ["Europe/Berln", "garbage", ":Nowhere", "/etc/passwd"] {
        let reported = TestServer::builder().env("TZ", zone).fails(2);
        assert!(
            reported.starts_with(&format!("error: TZ is {zone:?}, but allowed is")),
            "{reported}"
        );
    }
}

#[test]
fn a_time_zone_is_a_name_a_rule_or_a_file() {
    let file = "/usr/share/zoneinfo/Etc/GMT-3";
    for (zone, hours) in [
        ("UTC", 0),
        ("Asia/Tokyo", 9),
        ("<+03>-3", 3),
        ("Etc/GMT-3", 3),
        (":Etc/GMT-3", 3),
        (file, 3),
    ] {
        let server = TestServer::builder().env("TZ", zone).start();
        let before = Utc::now().timestamp();
        server.assert_serves();
        let utc = server.log().lines()[0].at - TimeDelta::hours(hours);
        let now = before..=Utc::now().timestamp();
        assert!(now.contains(&utc.and_utc().timestamp()), "{zone}: {utc}, not {now:?}");
    }
    for zone in ["", "EST5EDT", "CET-1CEST,M3.5.0,M10.5.0/3"] {
        TestServer::builder().env("TZ", zone).start().assert_serves();
    }
}

#[test]
fn too_few_descriptors_are_reported_without_naming_a_setting_that_is_not_set() {
    let cores = std::thread::available_parallelism().unwrap();
    let needed = 34 + 2 * cores.get();
    for limit in [7, 10, 20, 33] {
        let reported = with_ulimit(&format!("-n {limit}")).fails(1);
        let expected = format!(
            "error: the limit of {limit} file descriptors is too low, {needed} are needed: raise it (ulimit -n)\n"
        );
        assert_eq!(reported, expected);
    }
    // A check takes fewer: eight beside those that it inherits.
    let reported = with_ulimit("-n 10").arg("healthcheck").fails(1);
    let (_, rest) = reported.split_once("of 10 file descriptors is too low, ").expect(&reported);
    let (number, _) = rest.split_once(" are needed: raise it (ulimit -n)\n").expect(&reported);
    assert!((11..=18).contains(&number.parse().unwrap()), "{reported}");
}

#[test]
#[ignore = "needs strace"]
fn a_failure_to_start_a_thread_is_reported() {
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=clone,clone3"];
    // The threads of stderr, stdout, the sync, the keeper, and of two workers.
    for thread in 1..=6 {
        let fault = format!("inject=clone,clone3:error=EAGAIN:when={thread}+");
        let builder = TestServer::builder().env("WORKERS", "2").under(strace);
        let reported = builder.under(["-e", &fault]).fails(1);
        let expected = "error: cannot start a thread: Resource temporarily unavailable";
        assert!(reported.starts_with(expected), "{thread}: {reported}");
        let is_worker = reported.ends_with(", or set WORKERS to fewer than 2\n");
        assert!(
            reported.contains("ulimit -u") && is_worker == (thread > 4),
            "{thread}: {reported}"
        );
    }
}

#[test]
fn a_terminal_has_colors_unless_it_or_the_user_wants_none() {
    let taken = TestServer::start();
    let output = |environment: [(&str, &str); 2]| {
        // `script` runs the server in a terminal. The server warns of a setting without effect, and
        // ends because its port is in use.
        let terminal = ["sh", "-c", "script -qec \"$0\" /dev/null"];
        let builder = TestServer::builder().under(terminal);
        let builder = environment
            .into_iter()
            .fold(builder, |builder, (name, value)| builder.env(name, value));
        let finished =
            builder.env("LISTEN", taken.address().to_string()).env("LOG_KEEP", "1").run();
        assert!(finished.stdout.contains("LOG_KEEP does nothing"), "{finished:?}");
        finished.stdout
    };
    assert!(output([("TERM", "xterm"), ("NO_COLOR", "")]).contains('\u{1b}'));
    assert!(!output([("TERM", "xterm"), ("NO_COLOR", "1")]).contains('\u{1b}'));
    assert!(!output([("TERM", "dumb"), ("NO_COLOR", "")]).contains('\u{1b}'));
}

/// Sends the signal while the server reads its settings: TZ is a pipe, which the server opens then,
/// and the shell waits for that.
const SIGNAL_AT_THE_START: &str = r#"
    mkfifo zone
    TZ="$PWD/zone" "$0" &
    exec 3>zone
    kill -TERM $!
    wait $!
"#;

#[test]
fn a_signal_while_the_settings_are_read_ends_the_server() {
    let finished = TestServer::builder().under(["sh", "-c", SIGNAL_AT_THE_START]).run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
}

/// Sends the signal while the start blocks: the server asks a `git` that does not answer until the
/// shell has ended, and the shell waits until `git` is asked.
const SIGNAL_WHILE_THE_START_BLOCKS: &str = r#"
    mkdir .git tls bin && mkfifo hold
    printf '#!/bin/sh\nexec cat "%s/hold"\n' "$PWD" >bin/git && chmod +x bin/git
    PATH="$PWD/bin:$PATH" "$0" &
    exec 3>hold
    kill -"$SIGNAL" $!
    wait $!
"#;

#[test]
fn a_signal_while_the_start_blocks_ends_the_server() {
    for signal in ["TERM", "INT"] {
        let shell = ["sh", "-c", SIGNAL_WHILE_THE_START_BLOCKS];
        let builder = TestServer::builder().secure().env("SIGNAL", signal);
        let finished = builder.under(shell).run();
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""), "{signal}");
    }
}
