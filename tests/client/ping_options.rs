//! The options that `ping` has, and the exit status.

use std::io;
use std::process::Output;
use std::thread;

use rustix::process::Signal;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, command, misused};
use crate::fake::{Fake, Peer, Port};

/// Runs the client to its end, against a server that is played by a function; returns its URL too.
pub(crate) fn run(args: &[&str], serve: impl FnOnce(Fake) + Send + 'static) -> (Output, String) {
    let (server, url) = Fake::start();
    let serving = thread::spawn(move || serve(server));
    let output = command(&[("LAG_TIME", "0")]).arg(&url).args(args).output().unwrap();
    serving.join().unwrap();
    (output, url)
}

/// The lines on stdout, with their times and round trips replaced.
fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(settled).collect()
}

/// A line without what differs from run to run: a stamp at its beginning, numbers with a fraction.
fn settled(line: &str) -> String {
    let line = line.split_once("] ").map_or(line, |(_, rest)| rest);
    let is_figure = |c: char| c.is_ascii_digit() || c == '.';
    let mut settled = String::new();
    for part in line.split_inclusive(|c: char| !is_figure(c)) {
        let figure = part.trim_end_matches(|c: char| !is_figure(c));
        let is_fraction = figure.contains('.') && figure.parse::<f64>().is_ok();
        settled += if is_fraction { "N" } else { figure };
        settled += &part[figure.len()..];
    }
    settled
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Answers so many pings, after which the client has to close.
fn pongs(server: &Fake, count: u32) {
    let mut peer = server.accept();
    (0..count).for_each(|_| peer.pong());
    assert_eq!(u16::from(peer.closed().code), 1000);
}

#[test]
fn a_count_ends_the_run_with_numbered_replies_and_statistics() {
    let (output, url) = run(&["-c", "3"], |server| pongs(&server, 3));
    assert_eq!(output.status.code(), Some(0));
    let reply = |number| format!("Received from server: Pong! seq={number} time=N ms");
    assert_eq!(
        lines(&output),
        [
            reply(1),
            reply(2),
            reply(3),
            String::new(),
            format!("--- {url} ping statistics ---"),
            "3 sent, 3 received, 0 lost (0%), 0 reconnects, N s".into(),
            "round trip min/avg/max/p50/p99 = N/N/N/N/N ms".into(),
        ]
    );
}

#[test]
fn each_option_of_ping_numbers_the_replies_and_none_leaves_the_usual_line() {
    for (args, is_numbered) in [
        (&["-i", "0"][..], true),
        (&["-W", "9"], true),
        (&["-w", "99"], true),
        (&["--lag-time", "0"], false),
        (&["--pong-timeout", "9"], false),
        (&["--fail-if", "loss>0%"], false),
        (&[], false),
    ] {
        let (server, url) = Fake::start();
        let client = Client::spawn(command(&[("LAG_TIME", "0")]).arg(&url).args(args));
        server.accept().pong();
        let reply = client.stdout.next_reply();
        assert_eq!(reply.starts_with("Pong! seq=1 time="), is_numbered, "{args:?}: {reply}");
        assert_eq!(reply == "Pong!", !is_numbered, "{args:?}: {reply}");
    }
}

#[test]
fn a_quiet_run_prints_the_statistics_alone() {
    let (output, _) = run(&["-qc2"], |server| pongs(&server, 2));
    assert_eq!(output.status.code(), Some(0));
    let lines = lines(&output);
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[2].starts_with("2 sent, 2 received, "), "{lines:?}");
}

/// Answers Ping frames, and nothing else, until the client closes.
fn answer_frames(mut peer: Peer) {
    loop {
        // tungstenite answers a Ping frame with the next read.
        match peer.next() {
            Message::Ping(_) | Message::Text(_) => {}
            Message::Close(_) => return peer.finish(),
            message => panic!("{message:?}"),
        }
    }
}

#[test]
fn ping_frames_measure_any_server() {
    let (output, _) = run(&["-p", "-c", "2"], |server| {
        let mut peer = server.accept();
        assert!(peer.next().is_ping());
        answer_frames(peer);
    });
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let lines = lines(&output);
    assert_eq!(lines[1], "Received from server: Pong frame seq=2 time=N ms");
    assert!(lines[4].starts_with("2 sent, 2 received, 0 lost (0%), "), "{lines:?}");
}

#[test]
fn an_echo_is_told_and_never_counted_as_a_pong() {
    let (output, url) = run(&["-c", "2"], |server| {
        let mut peer = server.accept();
        let ping = peer.ping();
        peer.say(&ping);
        answer_frames(peer);
    });
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let lines = lines(&output);
    let first = &lines[0];
    assert!(first.contains("\"message\": \"Ping!\"}") && !first.contains("seq="), "{lines:?}");
    assert_eq!(lines[1], "Received from server: Pong frame seq=1 time=N ms");
    let told = told(&output);
    let expected = format!(
        "WARN {url} returns what it gets, which is no Pong; measuring with Ping frames from now on, as --protocol-ping does"
    );
    assert_eq!(told.matches(&expected).count(), 1, "{told}");
}

#[test]
fn a_server_that_answers_nothing_is_told_as_such() {
    let (output, url) = run(&["-c", "1", "-W", "8"], |server| {
        let mut peer = server.accept();
        peer.ping();
        answer_frames(peer);
    });
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let expected =
        format!("WARN {url} answers Ping frames, but nothing to the message \"Ping!\"; ");
    assert!(told(&output).contains(&expected), "{output:?}");
}

#[test]
fn a_server_that_is_no_probe_at_that_path_is_told_with_what_was_sent() {
    let (server, url) = Fake::start();
    let url = url + "/probe";
    let client = Client::start(&url, &[]);
    let mut peer = server.accept();
    assert!(peer.ping().starts_with("{\"ping\":"));
    peer.say("Pong!");
    thread::spawn(move || while peer.try_next().is_ok() {});
    let expected = format!(
        "WARN {url} answers {{\"ping\": N}} with something else than the {{\"pong\": N, \"arrived\": TIME, \"left\": TIME}} of /probe; "
    );
    let told = client.stderr.next_event();
    assert!(told.starts_with(&expected), "{told}");
}

#[test]
fn tries_that_fail_use_the_count_up() {
    let port = Port::reserve();
    let output = command(&[]).args([&port.url(), "-c", "2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    let expected = "2 tries to connect failed; run client why to find the cause";
    assert!(lines.iter().any(|line| line == expected), "{lines:?}");
    assert!(told(&output).ends_with(": Connection refused (os error 111); trying again\n"));
    // The event announces no further try.
    let output = command(&[]).args([&port.url(), "-c", "1"]).output().unwrap();
    assert!(told(&output).ends_with(": Connection refused (os error 111)\n"), "{output:?}");
}

#[test]
fn a_try_that_is_under_way_at_the_end_is_an_outage_and_told() {
    for (scheme, step) in [("ws", "the request for the upgrade"), ("wss", "the TLS handshake")] {
        let (server, url) = Fake::start();
        let serving = thread::spawn(move || {
            let mut stream = server.accept_tcp();
            // Until the client ends.
            io::copy(&mut stream, &mut io::sink()).unwrap();
        });
        let url = url.replace("ws", scheme);
        let args = [&url, "-w", "3", "--fail-if", "outage>1s"];
        let output = command(&[]).args(args).output().unwrap();
        serving.join().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(
            lines(&output).last().unwrap(),
            &format!(
                "1 try to connect was under way for N s: no answer to {step}; run client why to find the cause"
            )
        );
        let told = settled(&told(&output));
        assert_eq!(told, "error: --fail-if: outage is N s (outage>1s)\n");
    }
}

#[test]
fn a_try_under_way_after_others_that_failed_is_told_with_them() {
    let (output, _) = run(&["-w", "3"], |server| {
        server.refuse("503 Service Unavailable", "");
        let (mut stream, _) = server.accept_head();
        io::copy(&mut stream, &mut io::sink()).unwrap();
    });
    assert_eq!(
        lines(&output).last().unwrap(),
        "1 try to connect failed; 1 was under way for N s: no answer to the request for the upgrade; run client why to find the cause"
    );
}

#[test]
fn the_deadline_ends_the_run_and_a_ping_without_a_reply_is_lost() {
    let serve = |server: Fake| {
        let mut peer = server.accept();
        peer.pong();
        peer.ping();
        assert!(peer.next().is_close());
        peer.finish();
    };
    let (output, _) = run(&["-w", "4"], serve);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = lines(&output).join("\n");
    assert!(shown.contains("\n2 sent, 1 received, 1 lost (50%), "), "{shown}");
    // As in ping(8), too few replies by the deadline are a failure.
    let (output, _) = run(&["-w", "4", "-c", "9"], serve);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(told(&output).ends_with("error: 1 of 9 pings answered in time\n"), "{output:?}");
}

#[test]
fn a_condition_that_is_met_is_a_failure_and_told() {
    for (condition, status) in [("loss>10%", 1), ("loss>60%,cuts>0,p99>9s", 0)] {
        let (output, _) = run(&["-c", "2", "--fail-if", condition], |server| {
            let mut peer = server.accept();
            peer.ping();
            peer.say("Error: the disk is full");
            peer.pong();
            peer.closed();
        });
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let line = "error: --fail-if: loss is 50.00% (loss>10%)\n";
        assert_eq!(told(&output).ends_with(line), status == 1, "{output:?}");
    }
}

#[test]
fn wrong_options_are_told() {
    for (args, line) in [
        (&["-c", "0"][..], "--count is \"0\", but allowed is a whole number from 1, such as 5"),
        (
            &["-i", "-1"],
            "-i is \"-1\", but allowed is a number of seconds from 0 to a year, such as 2 or 0.5",
        ),
        (
            &["-w", "0"],
            "--deadline is \"0\", but allowed is a number of seconds above 0, up to a year, such as 10 or 0.5",
        ),
        (
            &["--fail-if", "lost>1%"],
            "--fail-if is \"lost>1%\", but \"lost\" is no figure: allowed are loss, availability, min, avg, p50, p90, p99, max, outage, outages, cuts",
        ),
        (
            &["--metrics-listen", "9101"],
            "METRICS_LISTEN (--metrics-listen) is \"9101\", but allowed is an address with its port, such as 127.0.0.1:9101",
        ),
        (
            &["-c", "5", "bench"],
            "--count is an option of pinging, and bench does not ping: leave one of them out",
        ),
        (
            &["-q", "--interactive"],
            "--quiet is an option of pinging, and --interactive does not ping: leave one of them out",
        ),
    ] {
        assert_eq!(misused(args, &[]), line, "{args:?}");
    }
}

#[test]
fn a_limited_run_that_is_stopped_before_anything_happened_cannot_tell() {
    let (server, url) = Fake::start();
    let mut client = Client::spawn(command(&[]).args([&url, "-c", "5"]));
    let _stream = server.accept_tcp();
    client.signal(Signal::INT);
    assert_eq!(client.stderr.next(), "error: stopped before any ping could be answered");
    assert_eq!(client.wait().code(), Some(3));
}
