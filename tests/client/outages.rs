//! Outages: how each began and how long it was, and what cut the connections.

use std::io::Write;
use std::iter;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;
use rustix::process::Signal;
use serde_json::Value;

use crate::client::{json, next, seconds};
use crate::fake::{Fake, drain, pong, read_frame};
use crate::interop::PythonServer;

/// Answers one ping over the next connection.
fn answer(server: &Fake) -> TcpStream {
    let (mut stream, _) = server.accept_raw();
    pong(&mut stream);
    stream
}

#[test]
fn the_end_of_each_connection_is_told_as_it_was_seen() {
    let (server, url) = Fake::start();
    let client = json(&url, &["-i", "0.05", "-W", "5"]);
    // A FIN without a Close frame.
    let stream = answer(&server);
    stream.shutdown(Shutdown::Write).unwrap();
    // A reset.
    let reset = answer(&server);
    assert_eq!(next(&client, "outage")["seen"], "fin");
    set_socket_linger(reset.as_fd(), Some(Duration::ZERO)).unwrap();
    drop(reset);
    // Silence: nothing is answered any more.
    let silent = answer(&server);
    assert_eq!(next(&client, "outage")["seen"], "rst");
    let _last = answer(&server);
    let outage = next(&client, "outage");
    assert_eq!(outage["seen"], "silence");
    assert_eq!(outage["reason"], "no Pong within 5s");
    // The outage counts from the last frame received.
    assert!(seconds(&outage, "length") >= 5.0, "{outage}");
    assert!(seconds(&outage, "silent_received") >= 5.0, "{outage}");
    assert!(seconds(&outage, "age") >= seconds(&outage, "silent_received"), "{outage}");
    drop(silent);
}

#[test]
fn a_close_code_that_must_not_be_sent_is_a_violation_by_the_server() {
    let (server, url) = Fake::start();
    let client = json(&url, &["-i", "0.05"]);
    let mut stream = answer(&server);
    for (code, reason, told) in [
        (1006, "going", "closed with 1002: close code 1006 must not be sent"),
        (65535, "", "closed with 1002: close code 65535 must not be sent"),
        (1002, "Protocol violation", "closed by the server (1002: Protocol violation)"),
    ] {
        let code = u16::to_be_bytes(code);
        let length = [0x88, (code.len() + reason.len()) as u8];
        stream.write_all(&[&length[..], &code, reason.as_bytes()].concat()).unwrap();
        let mut frames = iter::repeat_with(|| read_frame(&mut stream));
        let (_, close) = frames.find(|(first, _)| *first == 0x88).unwrap();
        assert_eq!(close[..2], [0x03, 0xea], "{close:?}");
        drain(stream);
        stream = answer(&server);
        let outage = next(&client, "outage");
        assert_eq!((&outage["seen"], &outage["reason"]), (&"close-1002".into(), &told.into()));
    }
}

/// Cuts two connections at this age, each busy or silent after its first ping; keeps the third.
fn cut_two(server: Fake, after: Duration, is_busy: bool) {
    thread::spawn(move || {
        for _ in 0..2 {
            let mut stream = answer(&server);
            let begun = Instant::now();
            while is_busy && begun.elapsed() < after {
                pong(&mut stream);
            }
            thread::sleep(after.saturating_sub(begun.elapsed()));
        }
        let _last = answer(&server);
        thread::sleep(crate::DEADLINE);
    });
}

/// Checks that two such cuts have this cause. There are several tries, since a machine that stalls
/// for a quarter of a second makes the two times differ, and the verdict is then rightly `none`.
#[track_caller]
fn two_cuts_are(cause: &str, after: Duration, is_busy: bool, interval: &str) {
    let mut verdict = Value::Null;
    for _ in 0..5 {
        let (server, url) = Fake::start();
        cut_two(server, after, is_busy);
        let client = json(&url, &["-i", interval]);
        (0..2).for_each(|_| _ = next(&client, "outage"));
        client.signal(Signal::INT);
        verdict = next(&client, "verdict");
        assert_eq!(verdict["cuts"], 2, "{verdict}");
        if verdict["cause"] == cause {
            return;
        }
        assert_eq!(verdict["cause"], "none", "{verdict}");
    }
    panic!("not {cause}: {verdict}");
}

#[test]
fn the_same_silence_before_each_cut_is_an_idle_timeout() {
    two_cuts_are("idle", Duration::from_secs(1), false, "60");
}

#[test]
fn the_same_age_of_busy_connections_is_a_limit_of_their_lifetime() {
    two_cuts_are("lifetime", Duration::from_secs(2), true, "0.05");
}

#[test]
fn the_outage_of_a_first_try_begins_with_the_try() {
    let (server, url) = Fake::start();
    let client = json(&url, &["-i", "0.05"]);
    let (stream, _) = server.accept_head();
    let accepted = Instant::now();
    thread::sleep(Duration::from_secs(1));
    drop(stream);
    let held = accepted.elapsed().as_secs_f64();
    let _stream = answer(&server);
    let outage = next(&client, "outage");
    assert_eq!((&outage["seen"], &outage["over"]), (&"refused".into(), &true.into()));
    assert!(seconds(&outage, "length") >= held, "{outage}");
    assert!(client.stderr.next_event().starts_with("WARN cannot connect to "));
    let event = client.stderr.next_event();
    let after = event.strip_prefix(&format!("INFO connected to {url} after ")).expect(&event);
    let after: f64 = after.strip_suffix(" s").unwrap().parse().unwrap();
    assert!(after >= 1.0, "{event}");
}

#[test]
fn the_statistics_show_each_outage_and_the_availability() {
    let (server, _, mut client) = Fake::with_client(&[("LAG_TIME", "0.01")]);
    let mut peer = server.accept();
    peer.pong();
    peer.close(1001, "the server stops");
    let mut peer = server.accept();
    peer.pong();
    peer.ping();
    client.signal(Signal::TERM);
    peer.closed();
    let told = client.stderr.rest();
    assert_eq!(told.len(), 3, "{told:?}");
    let lines = client.stdout.rest();
    let at = lines.iter().position(|line| line.starts_with("outages: 1, ")).expect("no outages");
    assert!(lines[at].contains(" s in all, longest "), "{lines:?}");
    assert!(lines[at].contains(", availability ") && lines[at].ends_with('%'), "{lines:?}");
    let told = ": closed by the server (1001: the server stops) (close-1001); connected for ";
    assert!(lines[at + 1].contains(told), "{lines:?}");
    assert_eq!(client.wait().code(), Some(0));
}

#[test]
#[ignore = "needs Python with websockets"]
fn a_stopped_process_is_silence_and_its_return_ends_the_outage() {
    let server = PythonServer::start("0");
    let client = json(&server.url, &["-i", "0.1", "-W", "5"]);
    next(&client, "reply");
    server.process.signal(Signal::STOP);
    let stopped = Instant::now();
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {}", server.url));
    assert!(client.stderr.next_event().contains("no Pong within 5s"));
    server.process.signal(Signal::CONT);
    let outage = next(&client, "outage");
    assert_eq!((&outage["seen"], &outage["over"]), (&"silence".into(), &true.into()));
    let length = seconds(&outage, "length");
    assert!((5.0..=stopped.elapsed().as_secs_f64() + 0.2).contains(&length), "{outage}");
}
