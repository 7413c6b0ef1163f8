//! `client check`: which rules of RFC 6455 a server breaks.

mod faulty;
mod others;

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use vt100::Color;

use crate::client::{Client, command};
use crate::fake::{Fake, Port, join, switching};
use crate::real_server::RealServer;
use crate::stalls::patiently;
use crate::terminal::{Terminal, leader};

/// How many servers with a fault are checked at once.
const AT_ONCE: usize = 12;

/// Long enough for an answer on a busy machine.
const PATIENCE: &str = "10";

pub(super) fn check(url: &str, args: &[&str]) -> Output {
    command(&[("RUST_LOG", "warn")]).args(["check", url]).args(args).output().unwrap()
}

fn lines(output: &Output) -> Vec<&str> {
    str::from_utf8(&output.stdout).unwrap().lines().collect()
}

/// The verdict of a check with `--json`.
pub(super) fn verdict(url: &str, args: &[&str]) -> Value {
    let output = check(url, &[&["--json"], args].concat());
    let last = *lines(&output).last().unwrap_or_else(|| panic!("no verdict: {output:?}"));
    serde_json::from_str(last).unwrap()
}

/// The checks that were not passed, with their outcomes.
pub(super) fn not_passed(verdict: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = verdict["checks"].as_array().unwrap().iter();
    checks
        .map(|check| (text(&check["id"]), text(&check["outcome"])))
        .filter(|(_, outcome)| outcome != "passed")
        .collect()
}

fn names(verdict: &Value) -> Vec<String> {
    let checks = verdict["checks"].as_array().unwrap().iter();
    checks.map(|check| check["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_service_of_the_server_passes_all() {
    let server = RealServer::start(&[]);
    for path in ["", "/echo", "/ws", "/mirror", "/total", "/status", "/probe"] {
        let output = check(&format!("{}{path}", server.url()), &["-W", PATIENCE]);
        let lines = lines(&output);
        let (sum, checks) = lines.split_last().unwrap();
        assert!(checks.iter().all(|line| line.starts_with("passed  ")), "{path}: {lines:#?}");
        assert_eq!(*sum, format!("{} passed, 0 warned, 0 failed", checks.len()));
        assert!(checks.contains(&"passed  5.5.2  ping: the Pong repeats the payload"));
        assert_eq!(output.status.code(), Some(0));
    }
    let well_formed = verdict(&server.url(), &["--well-formed", "-W", PATIENCE]);
    let all = verdict(&server.url(), &["-W", PATIENCE]);
    assert_eq!((not_passed(&well_formed), not_passed(&all)), (vec![], vec![]));
    let (some, all) = (names(&well_formed), names(&all));
    assert!(all.starts_with(&some) && some.len() < all.len() - 30, "{some:?}");
    assert!(some.contains(&"close-end".into()) && !some.contains(&"no-key".into()), "{some:?}");
}

/// The outcome of a check whose rule is broken, where the RFC leaves it to the server.
fn outcome(check: &str) -> &'static str {
    match check {
        "length-16-long" | "length-64-long" | "close-2999" | "close-utf8" | "limit-frame"
        | "limit-message" => "warned",
        _ => "failed",
    }
}

#[test]
fn a_server_that_breaks_a_rule_fails_that_check_alone() {
    let good = verdict(&faulty::start("none"), &["-W", PATIENCE]);
    assert_eq!((not_passed(&good), &good["ok"]), (vec![], &true.into()));
    let waiting = Mutex::new(names(&good));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(fault) = waiting.lock().unwrap().pop() else { return };
                    let fault: &'static str = fault.leak();
                    let url = faulty::start(fault);
                    let mut verdict = verdict(&url, &["-W", PATIENCE]);
                    // If the server comes to read only when all the pieces have arrived, it reads
                    // them in one.
                    while fault == "request-in-pieces" && not_passed(&verdict).is_empty() {
                        verdict = self::verdict(&url, &["-W", PATIENCE]);
                    }
                    let wanted = vec![(fault.to_owned(), outcome(fault).to_owned())];
                    assert_eq!(not_passed(&verdict), wanted, "{verdict:#}");
                    assert_eq!(verdict["ok"], outcome(fault) == "warned", "{fault}");
                }
            });
        }
    });
}

#[test]
fn a_server_with_room_for_few_connections_is_asked_again() {
    let verdict = verdict(&faulty::start("small"), &["-W", "60"]);
    assert_eq!(not_passed(&verdict), []);
}

#[test]
fn a_rule_is_not_judged_by_the_answer_of_a_server_without_room() {
    for (fault, ok) in [("few-none", None), ("few-upgrade", Some(false))] {
        let verdict = verdict(&faulty::start(fault), &["-W", "4"]);
        assert_eq!(verdict["ok"].as_bool(), ok, "{verdict:#}");
        let checks = verdict["checks"].as_array().unwrap();
        // The first connection is no check.
        let left = checks.len() + 1 - faulty::FEW;
        assert_eq!(verdict["skipped"], left, "{verdict:#}");
        assert!(verdict["text"].as_str().unwrap().contains(&format!("{left} skipped: the server")));
        let skipped = checks.iter().filter(|check| check["outcome"] == "skipped");
        for check in skipped {
            assert_eq!(check["detail"], "not checked: the server has no room (HTTP 503)");
        }
        assert_eq!(verdict["failed"], usize::from(ok.is_some()), "{verdict:#}");
    }
    let output = check(&faulty::start("few-none"), &["-W", "4"]);
    assert_eq!(output.status.code(), Some(3));
    let skipped = lines(&output).iter().filter(|line| line.starts_with("skipped ")).count();
    assert!(skipped > 0, "{output:?}");
}

#[test]
fn too_few_descriptors_fail_no_rule() {
    let server = RealServer::start(&[]);
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 30; exec \"$0\" check \"$1\"", env!("CARGO_BIN_EXE_client")])
        .arg(server.url())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), &b""[..]), "{told}");
    assert!(told.contains("file descriptors") && told.contains("ulimit -n"), "{told}");
}

/// The server stops listening once it has shown that it is there.
#[test]
fn a_rule_without_a_connection_is_not_checked() {
    let (server, url) = Fake::start();
    thread::spawn(move || {
        let (mut stream, head) = server.accept_head();
        // Nothing listens any more when the client goes on.
        drop(server);
        stream.write_all(switching(&head, "").as_bytes()).unwrap();
    });
    let verdict = verdict(&url, &["-W", PATIENCE]);
    let checks = verdict["checks"].as_array().unwrap();
    assert_eq!((&verdict["ok"], &verdict["failed"]), (&Value::Null, &0.into()), "{verdict:#}");
    assert_eq!(verdict["skipped"], checks.len(), "{verdict:#}");
    assert!(verdict["text"].as_str().unwrap().contains("no connection"), "{verdict:#}");
}

#[test]
fn a_rule_is_not_judged_where_the_usual_request_is_not_answered() {
    let url = faulty::start("none");
    let (balancer, address) = Fake::start();
    thread::spawn(move || {
        let mut held = Vec::new();
        loop {
            let server = TcpStream::connect(url.trim_start_matches("ws://")).unwrap();
            join(balancer.accept_tcp(), server);
            held.push(balancer.accept_tcp());
        }
    });
    let output = check(&address, &["-W", "3"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let lines = lines(&output);
    assert!(!lines.iter().any(|line| line.starts_with("failed  ")), "{lines:#?}");
    let told = "not checked: the usual request had no answer within 3.0 s";
    assert!(lines.iter().any(|line| line.trim_start() == told), "{lines:#?}");
    let sum = String::from_utf8_lossy(&output.stderr);
    assert!(sum.contains(" 0 failed, ") && sum.contains("client why"), "{sum}");
}

#[test]
fn a_changed_request_that_alone_is_not_answered_is_a_failure() {
    let url = faulty::start("none");
    let (balancer, address) = Fake::start();
    thread::spawn(move || {
        let mut held = Vec::new();
        loop {
            let (stream, head) = balancer.accept_head();
            if head.contains("Sec-WebSocket-Version: 99") {
                held.push(stream);
                continue;
            }
            let mut server = TcpStream::connect(url.trim_start_matches("ws://")).unwrap();
            server.write_all(head.as_bytes()).unwrap();
            join(stream, server);
        }
    });
    let verdict = verdict(&address, &["-W", "3"]);
    assert_eq!(not_passed(&verdict), [("version".into(), "failed".into())], "{verdict:#}");
}

#[test]
fn a_rule_that_is_broken_is_shown_with_what_was_sent_and_what_came() {
    for (fault, told) in [
        ("rsv1", "sent c1 \"rsv1\"; came a Pong to the next Ping: the connection goes on"),
        ("upgrade", "sent the usual request; came no Upgrade"),
        (
            "no-key",
            "sent a request without Sec-WebSocket-Key; came HTTP/1.1 101 Switching Protocols",
        ),
        ("fragments", "sent 01 \"in \", 00 \"three \", 80 \"parts\"; came the text \"in parts\""),
        (
            "close-1005",
            "sent 88 \"\\x03\\xed\"; came a frame that breaks the protocol itself: close code 1005 must not be sent",
        ),
    ] {
        let output = check(&faulty::start(fault), &["-W", PATIENCE]);
        let lines = lines(&output);
        let failed = lines.iter().position(|line| line.starts_with("failed  ")).unwrap();
        assert!(lines[failed].contains(&format!(" {fault}: ")), "{lines:#?}");
        assert_eq!(lines[failed + 1].trim_start(), told);
        assert!(lines.last().unwrap().ends_with(" passed, 0 warned, 1 failed"), "{lines:#?}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_server_that_is_silent_after_the_upgrade_takes_seconds_and_is_told() {
    let url = faulty::start("silent");
    patiently(|| {
        let begun = Instant::now();
        let verdict = verdict(&url, &["-W", "0.5"]);
        let time = begun.elapsed();
        assert!(time < Duration::from_secs(60), "{time:?}");
        let failed = not_passed(&verdict);
        assert!(failed.contains(&("ping".into(), "failed".into())), "{failed:?}");
        assert!(failed.contains(&("close".into(), "failed".into())), "{failed:?}");
        assert!(!failed.iter().any(|(id, _)| id == "accept"), "{failed:?}");
        let ping = verdict["checks"].as_array().unwrap().iter().find(|check| check["id"] == "ping");
        assert_eq!(ping.unwrap()["detail"], "sent 89 \"ping\"; came nothing within 0.5 s");
    });
}

#[test]
fn a_server_that_is_no_websocket_server_cannot_be_checked() {
    let port = Port::reserve();
    let output = check(&port.url(), &[]);
    assert_eq!((output.status.code(), lines(&output).len()), (Some(3), 0));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(&format!("cannot connect to {}: ", port.url())), "{told}");

    let (server, url) = Fake::start();
    let refusing = thread::spawn(move || {
        (0..2).for_each(|_| server.refuse("404 Not Found", "There is no such path."));
    });
    let verdict = verdict(&url, &["-W", PATIENCE]);
    refusing.join().unwrap();
    let cause = "the server answered 404 Not Found: There is no such path.";
    assert_eq!(
        verdict["text"],
        format!("cannot connect to {url}: {cause}; run client why to find the cause")
    );
    assert_eq!((&verdict["ok"], &verdict["failed"]), (&Value::Null, &0.into()));
}

#[test]
fn a_run_that_is_stopped_ends_with_what_is_known() {
    let (server, url) = Fake::start();
    let args = ["check", &url, "--json", "-W", "3600"];
    let mut client = Client::spawn(command(&[]).args(args));
    drop(server.accept_raw());
    // The first checks wait for an answer.
    let _streams: Vec<_> = (0..32).map(|_| server.accept_head()).collect();
    client.signal(Signal::INT);
    let verdict: Value = serde_json::from_str(client.stdout.rest().last().unwrap()).unwrap();
    assert_eq!((&verdict["ok"], &verdict["passed"]), (&Value::Null, &0.into()));
    let text = verdict["text"].as_str().unwrap();
    assert!(text.starts_with("stopped after 0 of "), "{text}");
    assert_eq!(client.wait().code(), Some(3));
}

#[test]
fn outcomes_have_colors_on_a_terminal_alone() {
    let url = faulty::start("pong-unasked");
    let args = ["check", &url, "--well-formed", "-W", PATIENCE];
    let colors = |environment: &[(&str, &str)]| {
        let mut command = leader(&args);
        command.envs(environment.iter().copied());
        let mut terminal = Terminal::run(command, |_| {});
        assert_eq!(terminal.wait().code(), Some(1));
        let lines = terminal.lines();
        let first = |word: &str| lines.iter().position(|line| line.starts_with(word)).unwrap();
        [first("passed  "), first("failed  ")].map(|line| terminal.color(line))
    };
    assert_eq!(colors(&[]), [Color::Idx(2), Color::Idx(1)]);
    assert_eq!(colors(&[("NO_COLOR", "1")]), [Color::Default; 2]);
    assert!(!check(&url, &args[2..]).stdout.contains(&b'\x1b'));
}
