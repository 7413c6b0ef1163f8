//! `client bench`: what a load test sends, what its report says, and how it ends.

use std::io::{Read, Write};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::certificates::Authority;
use crate::client::{Client, command, misused};
use crate::fake::{Fake, PONG, Peer, Port, drain, read_frame};
use crate::real_server::{RealServer, logged};
use crate::secure::Secure;
use crate::stalls::patiently;
use crate::terminal::{CTRL_C, Terminal};

/// A duration that no test waits for.
const ENDLESS: &str = "1000s";

/// A client that measures the server at `url`, as JSON.
fn start(url: &str, args: &[&str]) -> Client {
    let mut command = command(&[("CLIENT_NAME", "Client-300")]);
    Client::spawn(command.args(["bench", url, "--json"]).args(args))
}

/// The figures at the end, the exit status, and the lines on stderr.
fn figures(client: &mut Client) -> (Value, Option<i32>, Vec<String>) {
    let told = client.stderr.rest();
    let lines = client.stdout.rest();
    let [json] = lines.as_slice() else { panic!("not one line: {lines:?} {told:?}") };
    let figures: Value = serde_json::from_str(json).unwrap();
    let pings = &figures["pings"];
    let number = |name: &str| pings[name].as_u64().unwrap();
    let fates = ["received", "refused", "timed_out", "lost", "abandoned"].map(number);
    assert_eq!(number("sent"), fates.iter().sum::<u64>(), "{figures}");
    let connections = &figures["connections"];
    let number = |name: &str| connections[name].as_u64().unwrap();
    assert_eq!(number("asked"), number("made") + number("failed"), "{figures}");
    (figures, client.wait().code(), told)
}

/// Answers each ping until the client closes the connection in good order; returns how many.
fn pong_until_closed<S: Read + Write>(mut peer: Peer<S>) -> u64 {
    for answered in 0.. {
        match peer.next() {
            Message::Text(_) => peer.say("Pong!"),
            Message::Close(Some(frame)) => {
                assert_eq!(frame.code, CloseCode::Normal);
                peer.finish();
                return answered;
            }
            message => panic!("{message:?}"),
        }
    }
    unreachable!()
}

#[test]
fn each_ping_that_is_counted_is_in_the_log() {
    let mut server = RealServer::start(&[]);
    let args = ["--connections", "20", "--in-flight", "3", "--duration", "50ms", "--threads", "2"];
    let (figures, status, told) = figures(&mut start(&server.url(), &args));
    server.stop();
    assert_eq!((status, told), (Some(0), vec![]), "{figures}");
    assert_eq!(figures["connections"]["made"], 20);
    assert_eq!(figures["pings"]["sent"], figures["pings"]["received"]);
    assert_eq!(figures["pings"]["received"], logged(&server));
    let round_trip = &figures["round_trip_us"];
    let names = ["min", "p50", "p90", "p99", "p99.9", "max"];
    let times = names.map(|name| round_trip[name].as_f64().unwrap());
    assert!(times.is_sorted() && times[0] > 0.0, "{round_trip}");
}

#[test]
fn a_rate_is_kept() {
    patiently(|| {
        let server = RealServer::start(&[]);
        let args =
            ["--connections", "7", "--in-flight", "100", "--rate", "333", "--duration", "1s"];
        let (figures, status, _) = figures(&mut start(&server.url(), &args));
        assert_eq!(status, Some(0), "{figures}");
        // On a machine that is too busy just before the end, the last pings stay unsent and are
        // reported.
        let count = |name| figures["pings"][name].as_u64().unwrap();
        assert_eq!((count("received"), count("lost")), (count("sent"), 0), "{figures}");
        assert_eq!(count("received") + count("unsent"), 333, "{figures}");
        assert!(count("received") > 150, "{figures}");
        assert_eq!(figures["corrected_for_coordinated_omission"], true);
    });
}

#[test]
fn the_text_tells_the_same() {
    patiently(|| {
        let server = RealServer::start(&[]);
        let args = ["--connections", "2", "--rate", "50", "--duration", "200ms"];
        let output = command(&[]).args(["bench", &server.url()]).args(args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], format!("--- {} bench ---", server.url()));
        assert_eq!(lines[1], "connections: 2 asked, 2 made, 0 failed, 0 lost");
        assert!(lines[2].starts_with("connect time min/avg/p50/p99/max = "), "{text}");
        assert!(lines[3].starts_with("pings: 10 sent, 10 received in 0."), "{text}");
        assert!(lines[4].starts_with("round trip min/avg/p50/p90/p99/p99.9/max = "), "{text}");
        assert!(lines[5].starts_with("at 50 pings a second; each round trip counts from when"));
        assert_eq!((output.stderr, output.status.code()), (vec![], Some(0)));
    });
}

#[test]
fn so_many_pings_are_in_flight_and_no_more() {
    let (server, url) = Fake::start();
    let mut client =
        start(&url, &["--connections", "1", "--in-flight", "3", "--duration", ENDLESS]);
    let mut peer = server.accept();
    for _ in 0..3 {
        let ping = r#"{"client_name": "Client-300", "message": "Ping!"}"#;
        assert_eq!(peer.ping().as_str(), ping);
    }
    // A fourth ping would come before the answer to this one.
    peer.send(Message::Ping("alive?".into()));
    assert_eq!(peer.next(), Message::Pong("alive?".into()));
    peer.say("Pong!");
    peer.ping();
    client.signal(Signal::INT);
    (0..3).for_each(|_| peer.say("Pong!"));
    let more = pong_until_closed(peer);
    let (figures, status, told) = figures(&mut client);
    assert_eq!((status, told), (Some(0), vec![]));
    assert_eq!(figures["pings"]["sent"], 4 + more);
    assert_eq!(figures["pings"]["received"], 4 + more);
}

#[test]
fn frames_may_come_in_any_shape() {
    let (server, url) = Fake::start();
    let mut client = start(&url, &["--connections", "1", "--duration", ENDLESS]);
    let (mut stream, _) = server.accept_raw();
    for reply in [
        vec![PONG],
        vec![b"\x81", b"\x05Pon", b"g!"],
        vec![b"\x01\x02Po", b"\x00\x00", b"\x80\x03ng!"],
    ] {
        assert_eq!(read_frame(&mut stream).0, 0x81);
        for piece in reply {
            stream.write_all(piece).unwrap();
        }
    }
    assert_eq!(read_frame(&mut stream).0, 0x81);
    client.signal(Signal::TERM);
    assert_eq!(read_frame(&mut stream), (0x88, vec![3, 232]));
    drop(stream);
    let (figures, status, _) = figures(&mut client);
    assert_eq!((&figures["pings"]["received"], status), (&3.into(), Some(0)));
    assert_eq!(figures["pings"]["abandoned"], 1);
}

#[test]
fn a_server_that_breaks_the_protocol_is_told() {
    for (frame, expected) in [
        (b"\x83\x00".as_slice(), 1002_u16),
        (b"\x81\x80", 1002),
        (b"\x81\x7e\x00\x05", 1002),
        (b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x01", 1009),
        (b"\x81\x01\xff", 1007),
        (b"\x82\x00", 1003),
    ] {
        let (server, url) = Fake::start();
        let args = ["--connections", "1", "--duration", ENDLESS, "--no-reconnect"];
        let mut client = start(&url, &args);
        let (mut stream, _) = server.accept_raw();
        read_frame(&mut stream);
        stream.write_all(frame).unwrap();
        let (first, payload) = read_frame(&mut stream);
        assert_eq!((first, &payload[..2]), (0x88, &expected.to_be_bytes()[..]), "{frame:?}");
        drain(stream);
        let (figures, status, told) = figures(&mut client);
        assert_eq!((&figures["pings"]["lost"], status), (&1.into(), Some(1)));
        assert_eq!(told, ["error: 1 connection lost"]);
    }
}

#[test]
fn a_server_that_dies_in_the_middle_ends_a_measurement_that_makes_nothing_again() {
    let (server, url) = Fake::start();
    let args = ["--connections", "2", "--duration", ENDLESS, "--no-reconnect"];
    let mut client = start(&url, &args);
    let mut peers = [server.accept(), server.accept()];
    for peer in &mut peers {
        peer.pong();
        peer.ping();
    }
    let [first, second] = peers;
    drop(first);
    second.close(1001, "the server stops");
    let (figures, status, told) = figures(&mut client);
    assert_eq!(status, Some(1));
    assert_eq!(told, ["error: 2 connections lost"]);
    assert_eq!((&figures["pings"]["received"], &figures["pings"]["lost"]), (&2.into(), &2.into()));
    let causes = &figures["connections"]["lost_by_cause"];
    assert_eq!(causes["closed by the server (1001: the server stops)"], 1, "{causes}");
}

#[test]
fn connections_that_are_lost_are_made_again_and_what_was_lost_is_counted() {
    let port = Port::reserve();
    let url = port.url();
    let server = port.listen();
    let mut client = start(&url, &["--connections", "2", "--duration", ENDLESS]);
    let mut peers = [server.accept(), server.accept()];
    for peer in &mut peers {
        peer.pong();
        peer.ping();
    }
    let [first, second] = peers;
    drop(server);
    drop(first);
    second.close(1001, "the server stops");
    // No server listens during the gap.
    std::thread::sleep(Duration::from_secs(4));
    let server = port.listen();
    let peers = [server.accept(), server.accept()];
    let serving = peers.map(|mut peer| {
        peer.pong();
        std::thread::spawn(move || pong_until_closed(peer))
    });
    client.signal(Signal::INT);
    let answered: u64 = serving.into_iter().map(|peer| 1 + peer.join().unwrap()).sum();
    let (figures, status, told) = figures(&mut client);
    assert_eq!((status, told), (Some(1), vec!["error: 2 connections lost".into()]));
    let connections = &figures["connections"];
    assert_eq!((&connections["lost"], &connections["made_again"]), (&2.into(), &2.into()));
    assert!(connections["retries_failed"].as_u64() > Some(0), "{connections}");
    assert_eq!(figures["pings"]["lost"], 2);
    let received = figures["pings"]["received"].as_u64().unwrap();
    assert!((2..=answered + 2).contains(&received), "{figures}");
    assert!(figures["gap_us"]["min"].as_f64() > Some(100_000.0), "{figures}");
}

#[test]
fn a_schedule_goes_on_after_a_gap_and_counts_what_was_due_meanwhile() {
    let port = Port::reserve();
    let server = port.listen();
    let args = ["--connections", "1", "--rate", "20", "--duration", "15s", "--in-flight", "9"];
    let mut client = start(&port.url(), &args);
    let mut peer = server.accept();
    peer.pong();
    drop(server);
    drop(peer);
    // 20 pings become due during the gap.
    std::thread::sleep(Duration::from_secs(1));
    let server = port.listen();
    pong_until_closed(server.accept());
    let (figures, _, _) = figures(&mut client);
    let number = |name: &str| figures["pings"][name].as_u64().unwrap();
    assert_eq!(figures["connections"]["made_again"], 1, "{figures}");
    assert!(number("unsent") >= 10, "{figures}");
    assert_eq!(number("sent") + number("unsent"), 300, "{figures}");
    // Pings that became due in the gap are not sent in a burst afterwards.
    assert!(number("received") < 290, "{figures}");
}

#[test]
fn a_server_that_refuses_some_is_measured_with_the_others() {
    let server = RealServer::start(&["--max-connections", "3"]);
    let args = ["--connections", "5", "--rate", "100", "--duration", "2s"];
    let (figures, status, told) = figures(&mut start(&server.url(), &args));
    assert_eq!((status, told), (Some(1), vec!["error: 2 connections not made".to_owned()]));
    assert_eq!(figures["connections"]["made"], 3);
    let cause = "the server answered 503 Service Unavailable: All 3 connections of this server (MAX_CONNECTIONS) are taken; try again later.";
    assert_eq!(figures["connections"]["failed_by_cause"][cause], 2, "{figures}");
    assert!(figures["pings"]["received"].as_u64() > Some(0));
}

#[test]
fn without_a_server_there_is_a_report_at_once() {
    let port = Port::reserve();
    let args = ["--connections", "3", "--duration", ENDLESS];
    let (figures, status, _) = figures(&mut start(&port.url(), &args));
    assert_eq!(status, Some(1));
    let causes = &figures["connections"]["failed_by_cause"];
    assert_eq!(causes["Connection refused (os error 111)"], 3, "{causes}");
    assert_eq!(figures["round_trip_us"], Value::Null);
}

#[test]
fn errors_of_the_server_are_counted_by_what_they_say() {
    let (server, url) = Fake::start();
    let mut client = start(&url, &["--connections", "1", "--duration", ENDLESS]);
    let mut peer = server.accept();
    for reply in ["Error: disk full", "Pong!", "Error: disk full", "Error: \u{1b}[2J"] {
        peer.ping();
        peer.say(reply);
    }
    peer.ping();
    client.signal(Signal::INT);
    assert_eq!(peer.closed().code, CloseCode::Normal);
    let (figures, status, told) = figures(&mut client);
    assert_eq!(status, Some(1));
    assert_eq!(told, ["error: 3 pings refused"]);
    let causes = &figures["pings"]["refused_by_cause"];
    assert_eq!(causes["Error: disk full"], 2, "{causes}");
    assert_eq!(causes[r"Error: \u001b[2J"], 1, "{causes}");
    assert_eq!(figures["pings"]["abandoned"], 1);
}

#[test]
fn a_reply_that_takes_too_long_is_a_timeout() {
    let (server, url) = Fake::start();
    let args = ["--connections", "1", "--duration", ENDLESS, "--no-reconnect"];
    let mut client = start(&url, &[&args[..], &["--pong-timeout", "4"]].concat());
    let mut peer = server.accept();
    peer.pong();
    peer.ping();
    assert_eq!(peer.closed().code, CloseCode::Policy);
    let (figures, status, _) = figures(&mut client);
    assert_eq!((&figures["pings"]["timed_out"], status), (&1.into(), Some(1)));
    assert_eq!(figures["pings"]["received"], 1);
}

#[test]
fn secure_servers_are_measured_as_well() {
    let pair = Authority::new("bench").issue(&["localhost"]);
    let secure = Secure::start(&pair);
    let mut client =
        start(&secure.url, &["--connections", "1", "--duration", ENDLESS, "--insecure"]);
    let mut peer = secure.accept();
    (0..3).for_each(|_| peer.pong());
    peer.ping();
    client.signal(Signal::INT);
    peer.say("Pong!");
    let more = pong_until_closed(peer);
    let (figures, status, told) = figures(&mut client);
    assert_eq!(figures["pings"]["received"], 4 + more);
    assert_eq!(status, Some(0));
    assert!(told[0].contains("--insecure: the certificate of"), "{told:?}");
}

#[test]
fn connections_come_from_the_sources_that_were_given() {
    let (server, url) = Fake::start();
    let sources = "127.0.0.2,127.0.0.3";
    let args = ["--connections", "2", "--duration", ENDLESS, "--source", sources];
    let _client = start(&url, &args);
    let streams = [server.accept_raw().0, server.accept_raw().0];
    let mut peers = streams.each_ref().map(|stream| stream.peer_addr().unwrap().ip().to_string());
    peers.sort();
    assert_eq!(peers, ["127.0.0.2", "127.0.0.3"]);
}

#[test]
fn a_terminal_shows_what_goes_on() {
    let (server, url) = Fake::start();
    let mut terminal =
        Terminal::start(&["bench", &url, "--connections", "1", "--duration", ENDLESS]);
    let mut peer = server.accept();
    peer.pong();
    peer.ping();
    // A busy machine makes the second longer, and the rate less.
    let first = |rate: u32| format!("1 of 1 connection, {rate} pings a second, 1 received");
    terminal.shows_lines(|lines| (0..=1).any(|rate| lines == [first(rate)]));
    terminal.keys(CTRL_C);
    assert_eq!(peer.closed().code, CloseCode::Normal);
    terminal.ends_with(0);
    // The histogram has the one round trip in one of its rows.
    let lines = terminal.lines();
    let rows: Vec<_> = lines.iter().filter(|line| line.contains(" ms ")).collect();
    let full = format!(" ms {} 1", "█".repeat(40));
    assert_eq!(rows.iter().filter(|row| row.ends_with(&full)).count(), 1, "{lines:?}");
}

#[test]
fn a_wrong_setting_is_one_line() {
    let number = "allowed is a whole number from 1, such as 1000";
    let in_flight = "allowed is a whole number from 1 to 65536";
    let time = "allowed is a time above 0, up to a year, such as 10s, 500ms or 2m";
    let rate = "allowed is a number of pings a second from 0.001 to 100000000, such as 5000";
    for (flag, value, allowed) in [
        ("--connections", "0", number),
        ("--connections", "many", number),
        ("--in-flight", "0", in_flight),
        ("--duration", "soon", time),
        ("--duration", "0s", time),
        ("--rate", "0", rate),
        ("--rate", "fast", rate),
    ] {
        let told = misused(&["bench", &format!("{flag}={value}")], &[]);
        assert_eq!(told, format!("{flag} is {value:?}, but {allowed}"));
    }
    let told = misused(&["bench", "--connections", "4000000000"], &[]);
    assert!(told.starts_with("--connections is \"4000000000\", but allowed is"), "{told}");
}

#[test]
fn the_usual_settings_hold_before_and_behind_the_word() {
    let (server, url) = Fake::start();
    let mut command = command(&[("CLIENT_NAME", "variable"), ("SERVER_URL", &url)]);
    let args = ["bench", "--connections", "1", "--client-name", "flag"];
    let _client = Client::spawn(command.args(args));
    assert!(server.accept().ping().contains(r#""client_name": "flag""#));
}
