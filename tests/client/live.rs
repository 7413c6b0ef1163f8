//! The output of pinging on a terminal.

use std::thread;

use crate::fake::Fake;
use crate::terminal::{CTRL_C, Terminal};

/// The text of an event, behind its time and in any color.
fn is_event(line: &str, event: &str) -> bool {
    line.ends_with(event) && line.contains("INFO")
}

#[test]
fn the_connection_stands_before_the_first_reply_and_the_live_line_below_all() {
    let (server, url) = Fake::start();
    let mut terminal = Terminal::start(&[&url, "--lag-time", "3600"]);
    let mut peer = server.accept();
    peer.pong();
    terminal.shows_lines(|lines| {
        let [connected, reply, live] = lines else { return false };
        is_event(connected, &format!("connected to {url}"))
            && reply.contains("Received from server: Pong! seq=1 time=")
            && live.starts_with("█  1 ping, 0 lost, p50 ")
            && live.contains(" ms, up ")
    });
    peer.say("by the way");
    terminal.shows_lines(|lines| {
        lines.len() == 4 && lines[2].ends_with("by the way") && lines[3].starts_with("█  1 ping")
    });
    let closed = thread::spawn(move || peer.closed());
    terminal.keys(CTRL_C);
    assert_eq!(terminal.wait().code(), Some(0));
    closed.join().unwrap();
    let lines = terminal.lines();
    assert!(!lines.iter().any(|line| line.contains('█')), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("1 sent, 1 received, ")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("round trip min/avg/max/p50/p99 = ")));
}

#[test]
fn the_live_line_tells_an_outage_and_its_reason() {
    let (server, url) = Fake::start();
    let terminal = Terminal::start(&[&url, "--lag-time", "0.01", "-q"]);
    let mut peer = server.accept();
    peer.pong();
    peer.close(1012, "restart");
    drop(server);
    terminal.shows_lines(|lines| {
        let live = lines.last().unwrap();
        live.contains(", down ") && live.ends_with(": closed by the server (1012: restart)")
    });
}

#[test]
fn replies_and_events_keep_their_order() {
    for _ in 0..5 {
        let (server, url) = Fake::start();
        let mut terminal = Terminal::start(&[&url, "--lag-time", "0", "-c", "3"]);
        let serving = thread::spawn(move || {
            let mut peer = server.accept();
            (0..3).for_each(|_| peer.pong());
            peer.closed();
        });
        assert_eq!(terminal.wait().code(), Some(0));
        serving.join().unwrap();
        let lines = terminal.lines();
        assert!(is_event(&lines[0], &format!("connected to {url}")), "{lines:?}");
        for number in 1..=3 {
            assert!(lines[number].contains(&format!("Pong! seq={number} time=")), "{lines:?}");
        }
    }
}
