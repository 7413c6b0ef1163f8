//! Stopping in every state, and the output at the end.

use std::fs::File;
use std::io::{Read, Write, pipe};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::client::{Client, command};
use crate::fake::{Fake, Port, read_frame};

const BOTH: [Signal; 2] = [Signal::TERM, Signal::INT];

/// Checks the end of a client that was told to stop and sent nothing.
#[track_caller]
fn assert_nothing_sent(client: Client, url: &str) {
    assert_counts(client, url, "0 sent, 0 received, 0 lost, 0 reconnects, ");
}

/// Checks the end of a client that was told to stop, and whose only ping has no answer.
#[track_caller]
fn assert_one_lost(client: Client, url: &str) {
    assert_counts(client, url, "1 sent, 0 received, 1 lost (100%), 0 reconnects, ");
}

#[track_caller]
fn assert_counts(mut client: Client, url: &str, counts: &str) {
    let statistics = client.stopped_with(1);
    assert_eq!(statistics.len(), 2, "{statistics:?}");
    assert_eq!(statistics[0], format!("--- {url} ping statistics ---"));
    assert!(statistics[1].starts_with(counts) && statistics[1].ends_with(" s"), "{statistics:?}");
}

/// The client waits for its headers, which come through a named pipe.
#[test]
fn before_the_settings_are_known() {
    for signal in BOTH {
        let folder = tempfile::tempdir().unwrap();
        let headers = folder.path().join("headers");
        mknodat(CWD, &headers, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let mut command = command(&[]);
        command.args(["why", "ws://localhost", "-H", &format!("@{}", headers.display())]);
        let mut client = Client::spawn(&mut command);
        // To open a named pipe waits until the client opens the other end.
        let _pipe = File::create(&headers).unwrap();
        client.signal(signal);
        assert_eq!(client.wait().code(), Some(3), "{signal:?}");
    }
}

/// One connection is held, and the other one is open, but its first ping is not answered yet.
#[test]
fn hold_before_all_connections_are_made() {
    let (server, url) = Fake::start();
    let mut client = Client::spawn(command(&[]).args(["hold", &url, "-n", "2"]));
    let mut held = server.accept();
    let (mut unanswered, _) = server.accept_raw();
    read_frame(&mut unanswered);
    // The second ping comes after the reply to the first one.
    (0..2).for_each(|_| assert!(held.next().is_ping()));
    client.signal(Signal::INT);
    let told = client.stderr.rest().join("\n");
    assert!(told.contains("That is before all 2 were opened"), "{told}");
    assert_eq!(client.wait().code(), Some(3));
}

/// Three servers have answered and named themselves; the other handshakes are not answered.
#[test]
fn spread_before_all_connections_are_made() {
    const IN_FLIGHT: usize = 8;
    let (server, url) = Fake::start();
    let args = ["spread", &format!("{url}/ws"), "-n", "20", "--expect", "1"];
    let mut client = Client::spawn(command(&[]).args(args));
    let _open = [(); 3].map(|()| {
        let (mut stream, _) = server.accept_raw();
        stream.write_all(b"\x81\x0e[box] hello :)").unwrap();
        stream
    });
    // Each connection that is made lets the client try a further one.
    let _tried = [(); IN_FLIGHT].map(|()| server.accept_tcp());
    client.signal(Signal::INT);
    let told = client.stdout.rest().join("\n");
    assert!(told.contains("one only: box answered all 3 connections"), "{told}");
    assert!(told.contains("That is after 3 of 20"), "{told}");
    assert_eq!(client.wait().code(), Some(0));
}

#[test]
fn during_the_lag() {
    for signal in BOTH {
        let (server, url, mut client) = Fake::with_client(&[("LAG_TIME", "3600")]);
        let mut peer = server.accept();
        peer.pong();
        assert_eq!(client.stdout.next_reply(), "Pong!");
        assert_eq!(client.stderr.next_event(), format!("INFO connected to {url}"));
        client.signal(signal);
        assert_eq!(peer.closed().code, CloseCode::Normal);
        let statistics = client.stopped();
        assert_eq!(statistics.len(), 3);
        assert_eq!(statistics[0], format!("--- {url} ping statistics ---"));
        assert!(statistics[1].starts_with("1 sent, 1 received, 0 lost (0%), 0 reconnects, "));
        let figures = statistics[2].strip_prefix("round trip min/avg/max/p99 = ").unwrap();
        let figures: Vec<f64> =
            figures.strip_suffix(" ms").unwrap().split('/').map(|f| f.parse().unwrap()).collect();
        assert!(figures.len() == 4 && figures.iter().all(|figure| *figure == figures[0]));
    }
}

#[test]
fn while_a_pong_is_awaited() {
    for signal in BOTH {
        let (server, url, client) = Fake::with_client(&[]);
        let mut peer = server.accept();
        peer.ping();
        client.signal(signal);
        assert_eq!(peer.closed().code, CloseCode::Normal);
        assert_one_lost(client, &url);
    }
}

#[test]
fn while_a_server_does_not_answer_the_close_frame() {
    let (server, url, client) = Fake::with_client(&[]);
    let (mut stream, _) = server.accept_raw();
    read_frame(&mut stream);
    client.signal(Signal::TERM);
    assert_eq!(read_frame(&mut stream).0, 0x88);
    // A supervisor that passes signals on may send the same one twice.
    client.signal(Signal::TERM);
    assert_one_lost(client, &url);
}

#[test]
fn while_connecting() {
    for signal in BOTH {
        let (server, url, mut client) = Fake::with_client(&[]);
        let (_stream, _) = server.accept_head();
        client.signal(signal);
        let statistics = client.stopped_with(1);
        assert_eq!(statistics.len(), 3, "{statistics:?}");
        assert_eq!(statistics[0], format!("--- {url} ping statistics ---"));
        assert!(statistics[1].starts_with("0 sent, 0 received, 0 lost, 0 reconnects, "));
        let told = statistics[2].strip_prefix("1 try to connect was under way for ").unwrap();
        let why = " s: no answer to the request for the upgrade; run client why to find the cause";
        assert!(told.ends_with(why), "{told}");
    }
}

#[test]
fn between_two_tries() {
    for signal in BOTH {
        let port = Port::reserve();
        let client = Client::start(&port.url(), &[]);
        assert!(client.stderr.next_event().starts_with("WARN cannot connect to "));
        client.signal(signal);
        assert_nothing_sent(client, &port.url());
    }
}

#[test]
fn while_nobody_reads_stdout() {
    let (server, url) = Fake::start();
    let (_reader, stdout) = pipe().unwrap();
    let mut client = Client::start_with(&url, &[], stdout.into());
    let mut peer = server.accept();
    peer.pong();
    // More than the pipe and the queue of lines take.
    let long = "x".repeat(60_000);
    (0..70).for_each(|_| peer.say(&long));
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {url}"));
    client.signal(Signal::TERM);
    assert!(client.wait().success());
}

#[test]
fn a_closed_stdout_ends_the_client_quietly() {
    let (server, url) = Fake::start();
    let (mut reader, stdout) = pipe().unwrap();
    let mut client = Client::start_with(&url, &[], stdout.into());
    let mut peer = server.accept();
    peer.pong();
    reader.read_exact(&mut [0]).unwrap();
    drop(reader);
    peer.pong();
    while !peer.next().is_close() {
        peer.say("Pong!");
    }
    peer.finish();
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {url}"));
    assert_eq!(client.stderr.rest(), [""; 0]);
    assert_eq!(client.wait().code(), Some(0));
}

#[test]
fn a_full_disk_below_stdout_is_told() {
    let (server, url) = Fake::start();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut client = Client::start_with(&url, &[("LAG_TIME", "3600")], full.into());
    let mut peer = server.accept();
    peer.pong();
    assert_eq!(peer.closed().code, CloseCode::Normal);
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {url}"));
    let told = "error: cannot write to stdout: No space left on device (os error 28)";
    assert_eq!(client.stderr.next(), told);
    assert_eq!(client.wait().code(), Some(3));
}
