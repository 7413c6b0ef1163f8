//! Settings by environment and flag, and the errors about wrong ones.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;

use crate::support::{
    Builder, RawClient, TestClient, TestServer, UPGRADE, not_unicode, own_address, settings,
    wait_until,
};

/// Settings, wrong values for them, and a part of the error that says what is allowed.
const WRONG: &[(&str, &[&str], &str)] = &[
    ("LISTEN", &["8765", "localhost", "0.0.0.0", "0.0.0.0:99999", "a..b:1"], "localhost:8765"),
    ("LOG_SYNC", &["sometimes", "ALWAYS", "1"], "always, everysec, no"),
    ("LOG_MAX_BYTES", &["0", "-1", "1.5M", "ten", "1MB", "99999999999G"], "from 1"),
    ("LOG_KEEP", &["0", "-1", "all", "4294967296"], "from 1 to 4294967295"),
    ("WORKERS", &["0", "-1", "two", "1.5", "1025"], "from 1 to 1024"),
    ("MAX_CONNECTIONS", &["0", "many", "18446744073709551616"], "from 1 to 18446744073709551615"),
    ("MAX_CONNECTIONS", &["18446744073709551615", "1000000000"], "at most"),
    ("MAX_MESSAGE", &["0", "-1", "64KB", "2G", "x"], "from 1 to 1G"),
    ("TRUSTED_PROXIES", &["nginx", "10.0.0.0/33", "10.0.0.1:80", "private;::1"], "172.16.0.0/12"),
    ("REPLY_DELAY", &["-1", "1s", "nan", "inf", "1e300", "soon"], "number of seconds"),
    ("DRAIN_TIMEOUT", &["-0.5", "5s", "never"], "number of seconds"),
    (
        "RUST_LOG",
        &["info,server=loud", "server=info=debug", "wran", ","],
        "error, warn, info, debug, trace",
    ),
    ("TLS_LISTEN", &["10443", "localhost", "::1:10443"], "localhost:8765"),
    ("DEFAULT_SERVICE", &["echo", "/echo/x", "/metrics"], "/, /echo, /ws"),
    ("LOG_MESSAGES", &["yes", "2"], "on or off"),
    ("COMPRESSION", &["deflate", "9"], "on or off"),
    ("PROBE", &["yes", "2"], "on or off"),
    ("MAX_PER_ADDRESS", &["0", "many", "18446744073709551616"], "from 1 to 18446744073709551615"),
    ("MAX_UNFINISHED", &["0", "-1", "1.5M", "much"], "from 1"),
    ("MAX_UNFINISHED", &["65535"], "at least"),
];

fn flag(name: &str) -> String {
    format!("--{}", name.to_lowercase().replace('_', "-"))
}

/// Fails unless the server ends with status 2 and one line that contains each of `parts`.
#[track_caller]
fn assert_wrong(builder: Builder, parts: &[&str]) {
    let reported = builder.fails(2);
    for part in parts {
        assert!(reported.contains(part), "{part:?} is not in {reported}");
    }
    assert!(!reported.contains('\u{1b}'), "{reported:?}");
}

/// Settings without a row in [`WRONG`]: other tests cover them, or all of their values are allowed.
const ELSEWHERE: [&str; 6] =
    ["LOG_FILE", "ALLOWED_ORIGINS", "TLS_DIR", "TLS_NAMES", "TZ", "NO_COLOR"];

#[test]
fn each_setting_is_tested_with_wrong_values() {
    for name in settings().iter().map(String::as_str).filter(|name| !ELSEWHERE.contains(name)) {
        assert!(WRONG.iter().any(|(other, ..)| name == *other), "{name}");
    }
}

#[test]
fn a_wrong_setting_stops_the_start_with_one_line_that_names_it_its_value_and_what_is_allowed() {
    // With a port in use, a server that gets as far as to bind would report the port instead.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for &(name, values, allowed) in WRONG {
        for &value in values {
            let parts = [name, value, allowed];
            let builder = || TestServer::builder().env("LISTEN", &taken);
            assert_wrong(builder().env(name, value), &parts);
            assert_wrong(builder().arg(format!("{}={value}", flag(name))), &parts);
            assert_wrong(builder().arg(flag(name)).arg(value), &parts);
        }
    }
}

#[test]
fn a_value_that_is_not_utf_8_is_reported_like_any_wrong_one() {
    for name in ["WORKERS", "LOG_SYNC", "REPLY_DELAY", "LISTEN"] {
        assert_wrong(TestServer::builder().env(name, not_unicode()), &[name, "allowed"]);
    }
}

#[test]
fn a_value_with_control_characters_is_reported_in_one_escaped_line() {
    assert_wrong(TestServer::builder().env("WORKERS", "1\n\u{1b}[2J"), &["WORKERS", "allowed"]);
    assert_wrong(TestServer::builder().env("LOG_SYNC", "a\nb\u{1b}[2J"), &["LOG_SYNC", "always"]);
}

#[test]
fn an_unknown_flag_or_command_is_reported_in_one_line() {
    assert_wrong(TestServer::builder().arg("--log-fil=x"), &["--log-fil"]);
    assert_wrong(TestServer::builder().arg("serve"), &["serve"]);
    assert_wrong(TestServer::builder().arg("--workers"), &["--workers"]);
}

#[test]
fn an_empty_log_file_is_reported() {
    let reported = "LOG_FILE (--log-file) is \"\", but allowed is a PATH that is not empty";
    assert_wrong(TestServer::builder().arg("--log-file="), &[reported]);
    assert_wrong(TestServer::builder().arg("--log-file").arg(""), &[reported]);
}

#[test]
fn a_wrong_setting_leaves_no_file_behind() {
    let server = TestServer::start();
    let wrong = server.again().env("MAX_CONNECTIONS", "1000000000").env("LOG_FILE", "other.txt");
    assert_wrong(wrong, &["MAX_CONNECTIONS"]);
    assert!(!fs::exists(server.dir().join("other.txt")).unwrap());
}

#[test]
fn more_connections_than_the_descriptor_limit_allows_is_a_wrong_setting() {
    let limited = || TestServer::builder().under(["sh", "-c", "ulimit -n 100; exec \"$0\""]);
    assert_wrong(
        limited().env("MAX_CONNECTIONS", "90"),
        &["MAX_CONNECTIONS", "90", "at most", "ulimit -n"],
    );
    limited().env("MAX_CONNECTIONS", "10").env("WORKERS", "1").start().assert_serves();
}

#[test]
fn more_workers_than_the_descriptor_limit_allows_is_a_wrong_setting() {
    let limited = TestServer::builder().under(["sh", "-c", "ulimit -n 64; exec \"$0\""]);
    assert_wrong(limited.env("WORKERS", "30"), &["WORKERS", "30", "ulimit -n"]);
}

#[test]
fn under_a_low_descriptor_limit_the_server_accepts_as_many_clients_as_fit() {
    let limited = TestServer::builder().under(["sh", "-c", "ulimit -n 100; exec \"$0\""]);
    let server = limited.env("WORKERS", "1").start();
    let reported = server.event("listening");
    let (_, number) = reported.split_once("MAX_CONNECTIONS ").unwrap();
    let most: usize = number.split(')').next().unwrap().parse().unwrap();
    assert!((10..100).contains(&most), "{reported}");
    let mut clients: Vec<_> = (0..most).map(|_| server.connect()).collect();
    for _ in 0..10 {
        assert_eq!(RawClient::ask(server.address(), UPGRADE).status, 503);
    }
    for client in &mut clients {
        assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
    }
    assert_eq!(server.events("cannot accept"), [""; 0]);
}

#[test]
fn a_flag_wins_over_the_environment() {
    let server = TestServer::builder()
        .env("LOG_FILE", "environment.txt")
        .env("WORKERS", "none")
        .arg("--log-file")
        .arg("flag.txt")
        .arg("--workers=1")
        .start();
    server.assert_serves();
    assert_eq!(fs::read_to_string(server.dir().join("flag.txt")).unwrap().lines().count(), 1);
    assert!(!fs::exists(server.dir().join("environment.txt")).unwrap());
    assert!(server.event("listening").contains("WORKERS 1,"));
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let names = settings();
    let builder = names.iter().fold(TestServer::builder(), |builder, name| builder.env(name, ""));
    let server = builder.arg("--listen=127.0.0.1:0").start();
    server.assert_serves();
    assert_eq!(server.log().lines().len(), 1);
}

#[test]
fn settings_may_have_units_and_fractions() {
    let server = TestServer::builder()
        .env("LOG_MAX_BYTES", "10m")
        .env("LOG_KEEP", "3")
        .env("MAX_MESSAGE", "1K")
        .env("REPLY_DELAY", "0.01")
        .env("DRAIN_TIMEOUT", "1.5")
        .env("LOG_SYNC", "no")
        .start();
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
    client.send(&"x".repeat(1025));
    assert_eq!(client.close_code(), Some(1009));
}

#[test]
fn a_port_in_use_is_reported_with_status_1() {
    let server = TestServer::start();
    let address = server.address().to_string();
    let builder = TestServer::builder().env("LISTEN", &address);
    let log = builder.dir().join("server_logs.txt");
    let reported = builder.fails(1);
    assert!(!fs::exists(log).unwrap(), "no log for a server that does not serve");
    assert!(reported.contains("LISTEN") && reported.contains(&address), "{reported}");
}

#[test]
fn a_server_can_listen_on_its_port_again_right_after_its_end() {
    let address = own_address();
    let mut server = TestServer::builder().at(address).start();
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
    assert_eq!(server.stop().0, Some(0));
    server.again().at(address).start().assert_serves();
}

#[test]
fn help_lists_every_setting_and_version_prints_the_version() {
    let help = TestServer::builder().arg("--help").run();
    assert_eq!((help.status, help.stderr.as_str()), (Some(0), ""));
    for name in settings().iter().filter(|name| *name != "NO_COLOR") {
        assert!(help.stdout.contains(name.as_str()), "{name} is not in {}", help.stdout);
        let is_listed = help.stdout.contains(&flag(name)) || name == "TZ";
        assert!(is_listed, "{} is not in {}", flag(name), help.stdout);
    }
    assert!(help.stdout.contains("healthcheck"), "{}", help.stdout);
    let version = TestServer::builder().arg("--version").run();
    assert_eq!(version.status, Some(0));
    assert!(version.stdout.starts_with("server "), "{version:?}");
}

#[test]
fn rust_log_filters_stderr() {
    let levels_on_stderr = |level: &str| {
        let mut server = TestServer::builder().at(own_address()).env("RUST_LOG", level).start();
        let mut client = TestClient::connect(server.address());
        assert!(client.ask("no ping").starts_with("Error: "));
        assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
        // Bytes that are not HTTP cause an event at the level DEBUG.
        let mut other = RawClient::connect(server.address());
        other.send(b"hello\r\n\r\n");
        other.skip_to_the_end();
        if level == "debug" {
            server.event("DEBUG");
        }
        client.close();
        assert_eq!(server.stop().0, Some(0));
        assert_eq!(server.log().lines().len(), 1);
        assert_eq!(server.events("").is_empty(), level == "off");
        let levels = ["WARN", "INFO", "DEBUG"];
        levels.map(|level| !server.events(level).is_empty())
    };
    assert_eq!(levels_on_stderr("off"), [false, false, false]);
    assert_eq!(levels_on_stderr("warn"), [true, false, false]);
    assert_eq!(levels_on_stderr("info"), [true, true, false]);
    assert_eq!(levels_on_stderr("debug"), [true, true, true]);
}

#[test]
fn a_stray_comma_or_blank_in_rust_log_changes_nothing() {
    for filter in ["info,", "info "] {
        TestServer::builder().env("RUST_LOG", filter).start().event("INFO listening");
    }
}

#[test]
fn the_mode_of_syncing_is_shown_as_it_is_set() {
    for mode in ["always", "everysec", "no"] {
        let server = TestServer::builder().env("LOG_SYNC", mode).start();
        server.event(&format!("(LOG_SYNC {mode},"));
    }
}

#[test]
fn a_setting_without_effect_causes_a_warning() {
    let server = TestServer::builder()
        .env("LOG_KEEP", "3")
        .env("TLS_LISTEN", "127.0.0.1:0")
        .env("TLS_NAMES", "example.com")
        .start();
    for name in ["LOG_KEEP", "TLS_LISTEN", "TLS_NAMES"] {
        server.event(&format!("WARN {name} does nothing without"));
    }
    let silent = TestServer::builder().env("LOG_KEEP", "3").env("LOG_MAX_BYTES", "1M").start();
    assert_eq!(silent.events("WARN"), [""; 0]);
}

#[test]
fn one_port_for_both_protocols_is_a_wrong_setting() {
    let both = TestServer::builder().env("LISTEN", "127.0.0.1:8765").env("TLS_DIR", "tls");
    assert_wrong(both.env("TLS_LISTEN", "127.0.0.1:8765"), &["TLS_LISTEN", "127.0.0.1:8765"]);
}

#[test]
fn a_server_may_listen_on_a_name() {
    let server = TestServer::builder().env("LISTEN", "localhost:0").start();
    assert!(server.address().ip().is_loopback());
    server.assert_serves();
}

#[test]
fn an_unknown_host_name_and_a_foreign_address_are_reported_with_status_1() {
    for (listen, advice) in [
        ("no-such-host.invalid:80", "name an address of this machine"),
        ("192.0.2.1:8765", "no network interface of this machine has this address"),
    ] {
        let reported = TestServer::builder().env("LISTEN", listen).fails(1);
        assert!(reported.contains(advice), "{reported}");
    }
}

#[test]
fn a_server_may_listen_on_ipv6() {
    let server = TestServer::builder().env("LISTEN", "[::1]:0").start();
    server.assert_serves();
    let check = TestServer::healthcheck(&format!("[::]:{}", server.address().port()));
    assert_eq!(check.status, Some(0), "{check:?}");
}

#[test]
fn a_log_file_may_have_a_name_that_is_not_utf_8() {
    let builder = TestServer::builder();
    let path = builder.dir().join(OsStr::new(not_unicode()));
    let server = builder.env("LOG_FILE", &path).start();
    server.assert_serves();
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 1);
    wait_until("stdout shows it too", || !server.stdout().is_empty());
}
