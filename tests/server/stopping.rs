//! The stop of the server, and the replies that are outstanding at that time.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::stalls::patiently;
use crate::support::{
    Builder, Load, RawClient, TestClient, TestServer, UPGRADE, close, eventually, first, frame,
    own_address, ping_frame, wait_until,
};

/// Time limit for a stop: below `DRAIN_TIMEOUT`, and far above the 0.1 s that a stop takes, since
/// the machine may be busy.
const SOON: Duration = Duration::from_secs(30);

/// A server that may take far longer than [`SOON`] to stop.
fn patient() -> Builder {
    TestServer::builder().env("DRAIN_TIMEOUT", "3600")
}

#[test]
fn sigterm_and_sigint_end_the_server_with_status_0_long_before_drain_timeout() {
    for signal in [Signal::TERM, Signal::INT] {
        // No other test listens at this address afterwards.
        let mut server = patient().at(own_address()).start();
        let mut clients = [(); 5].map(|()| server.connect());
        assert_eq!(clients[0].ping("Client-100", "Ping!"), "Pong!");
        let start = Instant::now();
        server.signal(signal);
        clients.iter_mut().for_each(|client| assert_eq!(client.close_code(), Some(1001)));
        drop(clients);
        assert_eq!(server.wait().code(), Some(0));
        assert!(start.elapsed() < SOON, "{signal:?}: {:?}", start.elapsed());
        assert_eq!(server.log().lines().len(), 1);
        assert!(TestClient::try_connect(server.address()).is_err());
    }
}

#[test]
fn a_stop_under_load_answers_all_pings_that_were_read_and_closes_every_connection_with_1001() {
    for sync in ["everysec", "always"] {
        let mut server = patient().env("LOG_SYNC", sync).start();
        let load = Load::start(server.address(), "Load", 100, 4);
        load.wait_for(1000);
        let (status, time) = server.stop();
        assert_eq!(status, Some(0), "{sync}");
        assert!(time < SOON, "{sync}: {time:?}");
        let tallies = load.ended();
        for tally in &tallies {
            assert_eq!(tally.close_code, Some(1001), "{sync}: {}", tally.name);
        }
        let log = server.log();
        log.assert_holds_all_of(&tallies);
        // And every line has an acknowledged ping.
        let acknowledged: usize = tallies.iter().map(|tally| tally.acknowledged.len()).sum();
        assert_eq!(log.lines().len(), acknowledged, "{sync}");
        server.assert_stdout_shows(&server.log_path());
    }
}

#[test]
fn a_client_that_never_answers_the_close_does_not_delay_the_end() {
    let mut server = patient().start();
    let mut client = server.raw();
    server.assert_stops_within(SOON);
    assert_eq!(client.close_code(), Some(1001));
}

#[test]
fn unfinished_handshakes_do_not_delay_the_end() {
    let mut server = patient().start();
    let _silent = RawClient::connect(server.address());
    let mut half = RawClient::connect(server.address());
    half.send(&UPGRADE.as_bytes()[..UPGRADE.len() / 2]);
    // Connections are accepted in order, so the two before this one are accepted by now.
    server.assert_serves();
    server.assert_stops_within(SOON);
}

#[test]
fn an_unfinished_message_does_not_delay_the_end() {
    let mut server = patient().start();
    let mut client = server.raw();
    let ping = ping_frame("Client-100", "Ping!");
    client.send(&[&ping[..], &ping[..10]].concat());
    assert_eq!(client.frame().text(), "Pong!");
    server.assert_stops_within(SOON);
    assert_eq!(client.close_code(), Some(1001));
}

/// A client that reads nothing, and sends messages with long replies until the server reads no
/// more.
fn client_that_does_not_read(server: &TestServer) -> RawClient {
    let mut client = server.raw();
    client.stream().set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let block = frame(first::TEXT, b"no ping").repeat(1000);
    while client.try_send(&block).is_ok() {}
    client
}

#[test]
fn a_client_that_does_not_read_delays_the_end_no_longer_than_drain_timeout() {
    patiently(|| {
        let mut server = TestServer::builder().env("DRAIN_TIMEOUT", "0.5").start();
        let _not_reading = client_that_does_not_read(&server);
        // After 5 s, the server gives the client up in any case.
        server.assert_stops_within(Duration::from_secs(4));
    });
}

#[test]
fn further_signals_do_not_cut_the_stop_short() {
    let mut server = TestServer::builder().env("DRAIN_TIMEOUT", "0.8").start();
    let _not_reading = client_that_does_not_read(&server);
    let start = Instant::now();
    server.signal(Signal::TERM);
    server.event("SIGTERM received");
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        server.signal(signal);
    }
    assert_eq!(server.wait().code(), Some(0));
    // A quarter of DRAIN_TIMEOUT is reserved for the last sync of the log.
    assert!(start.elapsed() >= Duration::from_millis(600), "{:?}", start.elapsed());
}

#[test]
#[ignore = "needs strace"]
fn a_client_that_does_not_read_leaves_time_for_the_last_sync() {
    // A quarter of so short a time may be over on a machine that stalls.
    patiently(|| {
        // Less than the second after which everysec syncs a line anyway.
        let builder = TestServer::builder().env("DRAIN_TIMEOUT", "0.9");
        let slow = "inject=fdatasync:delay_enter=50000";
        let strace =
            ["strace", "-D", "-f", "-q", "-o", "trace", "-e", "trace=fdatasync", "-e", slow];
        let mut server = builder.under(strace).start();
        let _not_reading = client_that_does_not_read(&server);
        assert_eq!(server.connect().ping("Client-100", "Ping!"), "Pong!");
        assert_eq!(server.stop().0, Some(0));
        let trace = eventually("the trace is complete", || {
            let trace = fs::read_to_string(server.dir().join("trace")).unwrap();
            trace.contains("exited with").then_some(trace)
        });
        let synced = |line: &str| line.contains("fdatasync") && line.contains(" = 0");
        assert!(trace.lines().any(synced), "{trace}");
    });
}

#[test]
fn reply_delay_delays_each_reply_and_nothing_else() {
    const DELAY: Duration = Duration::from_secs(6);
    let server = TestServer::builder().env("REPLY_DELAY", "6").env("WORKERS", "1").start();
    let ping = ping_frame("Client-100", "Ping!");
    let mut clients = [server.raw(), server.raw()];
    let start = Instant::now();
    for client in &mut clients {
        client.send(&[ping.repeat(10), frame(first::PING, b"at once")].concat());
    }
    for client in &mut clients {
        assert_eq!(client.frame().payload, b"at once");
    }
    assert!(start.elapsed() < DELAY, "{:?}", start.elapsed());
    wait_until("the pings are in the log", || server.log().lines().len() == 20);
    assert!(start.elapsed() < DELAY, "{:?}", start.elapsed());
    for client in &mut clients {
        for _ in 0..10 {
            assert_eq!(client.frame().text(), "Pong!");
            assert!(start.elapsed() >= DELAY, "{:?}", start.elapsed());
        }
    }
    // Delays one after the other would take ten and twenty times as long.
    assert!(start.elapsed() < DELAY * 4, "{:?}", start.elapsed());
}

#[test]
fn a_stop_sends_the_replies_that_are_delayed() {
    let mut server = patient().env("REPLY_DELAY", "3600").start();
    let mut client = server.raw();
    client.send(&ping_frame("Client-100", "Ping!").repeat(3));
    client.send(&frame(first::PING, b"read"));
    assert_eq!(client.frame().payload, b"read");
    server.assert_stops_within(SOON);
    client.assert_pongs_and_close(3, 1001);
    assert_eq!(server.log().lines().len(), 3);
}

#[test]
fn a_close_right_after_a_ping_is_answered_after_its_pong_with_reply_delay_too() {
    let server = TestServer::builder().env("REPLY_DELAY", "0.3").start();
    let mut client = server.raw();
    let ping = ping_frame("Client-200", "Ping!");
    client.send(&[ping, close(1000)].concat());
    client.assert_pongs_and_close(1, 1000);
}

#[test]
#[ignore = "needs strace"]
fn a_stop_waits_for_the_disk_and_answers_the_pings_that_wait_for_it() {
    let builder = patient().env("LOG_SYNC", "always");
    let slow = "inject=fdatasync:delay_enter=500000";
    let strace = ["strace", "-D", "-f", "-qq", "-o", "trace", "-e", "trace=fdatasync", "-e", slow];
    let mut server = builder.under(strace).start();
    let mut client = server.raw();
    client.send(&ping_frame("Client-100", "Ping!"));
    wait_until("the line is written", || !server.log_text().is_empty());
    server.assert_stops_within(SOON);
    client.assert_pongs_and_close(1, 1001);
}

#[test]
#[ignore = "needs root, to be process 1 of a namespace"]
fn process_1_handles_its_signals_too() {
    for signal in [Signal::TERM, Signal::INT] {
        let unshare = ["unshare", "--pid", "--fork", "--kill-child"];
        let mut server = patient().under(unshare).start();
        let mut client = server.connect();
        assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
        // Outside the namespace it is the child of `unshare`, which ends with its status.
        let process_1 = server.child();
        kill_process(process_1, Signal::HUP).unwrap();
        server.event("nothing to reopen");
        let start = Instant::now();
        kill_process(process_1, signal).unwrap();
        assert_eq!(client.close_code(), Some(1001));
        drop(client);
        assert_eq!(server.wait().code(), Some(0));
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    }
}

#[test]
fn the_begin_and_end_of_a_connection_are_logged_on_stderr() {
    let server = TestServer::start();
    let client = server.connect();
    let peer = server.event("connected");
    assert!(peer.contains("peer=127.0.0.1:"), "{peer}");
    client.close();
    server.event("closed by the client");
    drop(server.raw());
    server.event("lost");
    assert_eq!(server.events(" connected").len(), 2);
}
