//! Pings, and the output for their replies.

use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, TimeDelta, Utc};
use rustix::process::Signal;
use tokio_tungstenite::tungstenite::Message;

use crate::client::Client;
use crate::fake::{Fake, read_frame};

#[test]
fn the_ping_on_the_wire() {
    let (server, url) = Fake::start();
    let _client = Client::start(&format!("{url}/some/path?x=y"), &[("CLIENT_NAME", "Client-100")]);
    let (mut stream, request) = server.accept_raw();
    assert!(request.starts_with("GET /some/path?x=y HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("Host: {}\r\n", &url["ws://".len()..])), "{request}");
    let (first, payload) = read_frame(&mut stream);
    // A whole message in one text frame.
    assert_eq!(first, 0x81);
    assert_eq!(payload, br#"{"client_name": "Client-100", "message": "Ping!"}"#);
}

#[test]
fn the_line_on_stdout_in_local_time() {
    let (server, _, client) = Fake::with_client(&[("TZ", "XYZ-5:30")]);
    let mut peer = server.accept();
    peer.pong();
    let line = client.stdout.next();
    let (stamp, text) = line.split_at("[19-12-2023 12:43:12]".len());
    assert_eq!(text, " Received from server: Pong!");
    let shown = NaiveDateTime::parse_from_str(stamp, "[%d-%m-%Y %H:%M:%S]").unwrap();
    let age = Utc::now().naive_utc() + TimeDelta::minutes(330) - shown;
    assert!((0..60).contains(&age.num_seconds()), "{line}");
}

#[test]
fn the_name_is_as_set_or_that_of_the_host() {
    let host = rustix::system::uname().nodename().to_str().unwrap().to_owned();
    for (set, name) in [
        (Some("Client-300"), "Client-300"),
        (Some("\"Client-300\""), "Client-300"),
        (Some("a \\ \"b\""), r#"a \\ \"b\""#),
        (Some(""), &host),
        (Some("\"\""), &host),
        (None, &host),
    ] {
        let (server, url) = Fake::start();
        let settings: Vec<_> = set.map(|name| ("CLIENT_NAME", name)).into_iter().collect();
        let _client = Client::start(&url, &settings);
        let expected = format!(r#"{{"client_name": "{name}", "message": "Ping!"}}"#);
        assert_eq!(server.accept().ping(), expected);
    }
}

#[test]
fn the_lag_is_kept() {
    let (server, url) = Fake::start();
    let _client = Client::start(&url, &[("LAG_TIME", "0.3")]);
    let mut peer = server.accept();
    for _ in 0..3 {
        peer.ping();
        let replied = Instant::now();
        peer.say("Pong!");
        peer.ping();
        assert!(replied.elapsed() >= Duration::from_millis(300));
        peer.say("Pong!");
    }
}

#[test]
fn without_a_lag_the_next_ping_follows_at_once() {
    let (server, _, client) = Fake::with_client(&[]);
    let mut peer = server.accept();
    (0..500).for_each(|_| peer.pong());
    (0..500).for_each(|_| assert_eq!(client.stdout.next_reply(), "Pong!"));
}

#[test]
fn protocol_pings_are_answered_between_two_pings() {
    let (server, url) = Fake::start();
    let _client = Client::start(&url, &[("LAG_TIME", "3600")]);
    let mut peer = server.accept();
    peer.pong();
    peer.send(Message::Ping("alive?".into()));
    assert_eq!(peer.next(), Message::Pong("alive?".into()));
}

#[test]
fn an_error_is_shown_and_counts_as_lost() {
    let (server, url, mut client) = Fake::with_client(&[("LAG_TIME", "0.01")]);
    let mut peer = server.accept();
    peer.ping();
    peer.say("Error: the disk is full");
    assert_eq!(client.stdout.next_reply(), "Error: the disk is full");
    peer.pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");
    peer.ping();
    client.signal(Signal::TERM);
    assert_eq!(u16::from(peer.closed().code), 1000);
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {url}"));
    let statistics = client.stopped();
    assert!(
        statistics[1].starts_with("3 sent, 1 received, 2 lost (66.7%), 1 error, 0 reconnects, ")
    );
}

#[test]
fn unsolicited_texts_are_shown_and_not_counted() {
    let (server, url, mut client) = Fake::with_client(&[("LAG_TIME", "3600")]);
    let mut peer = server.accept();
    peer.pong();
    peer.say("by the way");
    assert_eq!(client.stdout.next_reply(), "Pong!");
    assert_eq!(client.stdout.next_reply(), "by the way");
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {url}"));
    client.signal(Signal::TERM);
    peer.closed();
    assert!(client.stopped()[1].starts_with("1 sent, 1 received, 0 lost (0%), 0 reconnects, "));
}

#[test]
fn a_hostile_reply_stays_one_harmless_line() {
    let (server, _, client) = Fake::with_client(&[]);
    let mut peer = server.accept();
    peer.ping();
    peer.say("\u{1b}[2J\r\nfake\u{9b}31m\u{2028}\0 \"é\"");
    peer.say("Pong!");
    assert_eq!(client.stdout.next_reply(), r#"\u001b[2J\r\nfake\u009b31m\u2028\u0000 "é""#);
    assert_eq!(client.stdout.next_reply(), "Pong!");
}
