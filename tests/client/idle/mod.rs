//! `client idle` against networks with known faults.

mod behind;
mod relay;

use std::fmt;
use std::io::Write;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use crate::DEADLINE;
use crate::client::{Client, command, misused};
use crate::fake::{Fake, Peer, Port};
use crate::real_server::RealServer;
use crate::records;
use crate::stalls::patiently;
use crate::terminal::{CTRL_C, Terminal};
use relay::{Cut, Relay, Rules};

/// An idle timeout that is short for a test, and long for a busy machine.
const IDLE: Duration = Duration::from_secs(2);

/// The longest timeout that is looked for.
const MAX: &str = "8s";

/// The output of a run.
struct Said {
    verdict: Value,
    /// An object for each connection.
    lanes: Vec<Value>,
    status: Option<i32>,
}

impl Said {
    fn of(output: &Output) -> Self {
        let objects = records::checked(&output.stdout);
        let verdict = objects.last().unwrap().clone();
        let lanes = objects.into_iter().filter(|object| object["type"] == "lane").collect();
        Self { verdict, lanes, status: output.status.code() }
    }

    fn text(&self) -> &str {
        self.verdict["text"].as_str().unwrap()
    }

    /// Checks the verdict and the exit status; `None` is a run that cannot tell.
    #[track_caller]
    fn assert_ok(&self, ok: Option<bool>) {
        let status = ok.map_or(3, |ok| i32::from(!ok));
        assert_eq!((&self.verdict["ok"], self.status), (&json!(ok), Some(status)), "{self}");
    }

    /// Checks that the verdict is on an idle timeout of about this length.
    #[track_caller]
    fn assert_idle(&self, idle: Duration, seen: &str) {
        self.assert_ok(Some(false));
        let found = self.verdict["idle_timeout"].as_f64().unwrap_or_else(|| panic!("{self}"));
        // A busy machine measures too much.
        let range = idle.as_secs_f64() - 0.5..idle.as_secs_f64() + 1.0;
        assert!(range.contains(&found), "{self}");
        assert_eq!(self.verdict["cut_by"], seen, "{self}");
    }

    #[track_caller]
    fn assert_kept_by(&self, kinds: &[&str]) {
        assert_eq!(self.verdict["kept_by"], json!(kinds), "{self}");
        assert_eq!(self.verdict["not_kept_by"], json!(["silent", "tcp-keepalive"]), "{self}");
    }

    #[track_caller]
    fn assert_begins(&self, start: &str) {
        assert!(self.text().starts_with(start), "{self}");
    }

    #[track_caller]
    fn assert_says(&self, part: &str) {
        assert!(self.text().contains(part), "{part:?} in {self}");
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// All kinds of traffic that keep a connection open at `/probe`, and at other paths.
const AT_PROBE: [&str; 5] =
    ["protocol-ping", "message", "unasked-pong", "server-ping", "server-message"];
const ELSEWHERE: [&str; 3] = ["protocol-ping", "message", "unasked-pong"];

fn idle(url: &str, args: &[&str]) -> Said {
    let mut command = command(&[("PONG_TIMEOUT", "3")]);
    Said::of(&command.args(["idle", url, "--json", "--max", MAX]).args(args).output().unwrap())
}

/// The verdict on a relay with these rules.
fn through(rules: Rules, path: &str) -> Said {
    let server = RealServer::start(&[]);
    let relay = Relay::start(server.address(), rules);
    idle(&relay.url(path), &[])
}

#[test]
fn a_cut_with_fin_is_an_idle_timeout_of_what_stands_between() {
    patiently(|| {
        let said = through(Rules { idle: Some(IDLE), ..Rules::default() }, "/probe");
        said.assert_idle(IDLE, "fin");
        said.assert_kept_by(&AT_PROBE);
        said.assert_begins("cut after 2.");
        said.assert_says(
            "The server saw a FIN from 127.0.0.1 and sent no Close: something between cut the connection.",
        );
        assert_eq!(said.verdict["server_saw"], "fin");
        assert!(said.verdict["suggest_ping"].as_f64().is_some_and(|ping| ping <= 1.0));
        let cut =
            said.lanes.iter().filter(|lane| lane["lane"] == "silent" && lane["seen"] == "fin");
        assert!(cut.count() >= 2, "{:?}", said.lanes);
    });
}

#[test]
fn a_reset_is_told_as_one() {
    patiently(|| {
        let rules = Rules { idle: Some(IDLE), cut: Cut::Rst, ..Rules::default() };
        let said = through(rules, "/mirror");
        said.assert_idle(IDLE, "rst");
        said.assert_kept_by(&ELSEWHERE);
        said.assert_says("(RST, no Close; ");
    });
}

#[test]
fn a_close_of_silent_connections_alone_is_an_idle_timeout() {
    patiently(|| {
        let rules = Rules { idle: Some(IDLE), cut: Cut::Close, ..Rules::default() };
        let said = through(rules, "/mirror");
        said.assert_idle(IDLE, "close-1001");
        said.assert_kept_by(&ELSEWHERE);
        said.assert_says("A Close comes from the server or from a proxy that speaks WebSocket");
    });
}

#[test]
fn silent_drops_are_found_by_pinging() {
    patiently(|| {
        for (cut, seen) in [(Cut::Blackhole, "silence"), (Cut::BlackholeRst, "rst")] {
            let said = through(Rules { idle: Some(IDLE), cut, ..Rules::default() }, "/probe");
            said.assert_idle(IDLE, seen);
            said.assert_kept_by(&AT_PROBE);
            said.assert_begins("dropped without a word after ");
            assert_eq!(said.verdict["server_saw"], "open");
            said.assert_says(
                "For the server the connection is still open: something between dropped it silently.",
            );
        }
    });
}

#[test]
fn a_cap_on_the_lifetime_is_no_idle_timeout() {
    patiently(|| {
        for cut in [Cut::Fin, Cut::Blackhole] {
            let rules = Rules { lifetime: Some(Duration::from_secs(4)), cut, ..Rules::default() };
            let said = through(rules, "/probe");
            said.assert_ok(Some(false));
            assert_eq!(said.verdict["idle_timeout"], Value::Null, "{said}");
            let lifetime = said.verdict["lifetime"].as_f64();
            assert!(lifetime > Some(3.0) && lifetime < Some(5.5), "{said}");
            said.assert_says("busy or silent");
        }
    });
}

#[test]
fn one_connection_lost_by_chance_is_no_verdict() {
    patiently(|| {
        // The first connection finds out what the server can do; the second one is silent.
        let loses = Some((1, Duration::from_secs(1)));
        let said = through(Rules { loses, ..Rules::default() }, "/mirror");
        said.assert_ok(Some(true));
        said.assert_begins("no timeout up to 8 s");
        assert_eq!(said.verdict["lost"], 1, "{said}");
        said.assert_says("1 further connection ended without a pattern");
    });
}

#[test]
fn ends_at_one_instant_are_a_reload() {
    patiently(|| {
        let instant = Some(Duration::from_secs(5));
        let said = through(Rules { instant, cut: Cut::Close, ..Rules::default() }, "/mirror");
        said.assert_ok(None);
        said.assert_says("ended at the same instant");
        assert_eq!(said.verdict["idle_timeout"], Value::Null);
    });
}

#[test]
fn a_server_that_pings_by_itself_hides_longer_timeouts() {
    patiently(|| {
        let pings = Some(Duration::from_secs(2));
        let rules = Rules { pings, idle: Some(Duration::from_secs(5)), ..Rules::default() };
        let said = through(rules, "/mirror");
        said.assert_ok(None);
        said.assert_begins("cannot tell: the server itself pings every 2.");
        said.assert_says("/probe");
        let every = said.verdict["server_pings"].as_f64().unwrap();
        assert!((1.9..3.5).contains(&every), "{every}");
    });
}

#[test]
fn a_single_ping_of_the_server_hides_no_timeout() {
    for (after, cut) in [(0, false), (500, true)] {
        patiently(|| {
            let (server, url) = Fake::start();
            thread::spawn(move || {
                while server.is_called(Duration::from_secs(20)) {
                    let (mut stream, _) = server.accept_raw();
                    stream.set_read_timeout(Some(if cut { IDLE } else { DEADLINE })).unwrap();
                    thread::spawn(move || {
                        thread::sleep(Duration::from_millis(after));
                        stream.write_all(b"\x89\x02hi").unwrap();
                        let mut peer = WebSocket::from_raw_socket(stream, Role::Server, None);
                        while peer.read().is_ok() {}
                    });
                }
            });
            let said = idle(&url, &[]);
            match cut {
                true => said.assert_idle(IDLE, "fin"),
                false => said.assert_ok(Some(true)),
            }
            assert!(!said.text().contains("the server itself"), "{said}");
            assert_eq!(said.verdict["server_pings"], json!(null), "{said}");
        });
    }
}

#[test]
fn connections_that_nothing_cuts_show_no_timeout() {
    patiently(|| {
        let begun = Instant::now();
        let said = through(Rules::default(), "/probe");
        said.assert_ok(Some(true));
        said.assert_begins("no timeout up to 8 s: ");
        assert!(said.verdict["held"].as_f64() >= Some(7.9), "{}", said.verdict);
        assert!(begun.elapsed() < Duration::from_secs(60));
    });
}

/// Serves each connection in a thread, until the client makes no more.
fn serve(server: Fake, answer: impl Fn(&mut Peer) -> bool + Copy + Send + 'static) {
    thread::spawn(move || {
        while server.is_called(Duration::from_secs(20)) {
            let mut peer = server.accept();
            thread::spawn(move || while answer(&mut peer) {});
        }
    });
}

#[test]
fn a_server_that_ends_a_connection_over_a_message_spoils_nothing() {
    let (server, url) = Fake::start();
    serve(server, |peer| match peer.try_next() {
        Ok(Message::Text(_)) => {
            peer.send(Message::Close(None));
            false
        }
        received => received.is_ok(),
    });
    let said = idle(&url, &[]);
    assert_eq!(said.verdict["ok"], true, "{said}");
    said.assert_says("Messages were not tried");
    assert!(said.lanes.iter().all(|lane| lane["lane"] != "message"));
}

/// The server takes no answers to its Ping frames, so that nothing more can be sent to it.
#[test]
fn a_server_that_pings_and_never_reads_holds_nothing_up() {
    let (server, url) = Fake::start();
    thread::spawn(move || {
        while server.is_called(Duration::from_secs(20)) {
            let (mut stream, _) = server.accept_raw();
            thread::spawn(move || while stream.write_all(&b"\x89\x04ping".repeat(1000)).is_ok() {});
        }
    });
    let mut command = command(&[("PONG_TIMEOUT", "1")]);
    let client = Client::spawn(command.args(["idle", &url, "--json", "--max", "2s"]));
    let objects = records::checked(client.stdout.rest().join("\n").as_bytes());
    assert_eq!(objects.last().unwrap()["type"], "verdict");
}

#[test]
fn a_server_that_cannot_be_reached_leaves_the_question_open() {
    let said = idle(&Port::reserve().url(), &[]);
    said.assert_ok(None);
    said.assert_begins("cannot connect to ");
    said.assert_says("; run client why to find the cause");
}

#[test]
fn a_signal_ends_the_probe_with_a_verdict() {
    let server = RealServer::start(&[]);
    let url = server.url() + "/probe";
    let mut client = Client::spawn(command(&[]).args(["idle", &url, "--json"]));
    // The second line is of the first connection that asks whether it is still there.
    let mut lines = vec![client.stdout.next(), client.stdout.next()];
    client.signal(Signal::INT);
    lines.extend(client.stdout.rest());
    assert_eq!(client.wait().code(), Some(3));
    let objects = records::checked(lines.join("\n").as_bytes());
    let verdict = objects.last().unwrap();
    assert_eq!(verdict["ok"], Value::Null);
    assert!(verdict["text"].as_str().unwrap().starts_with("stopped: "), "{verdict}");
}

#[test]
fn a_person_sees_a_live_line_and_a_table_and_a_verdict() {
    let server = RealServer::start(&[]);
    let url = server.url() + "/probe";
    let mut terminal = Terminal::start(&["idle", &url, "--max", "60s"]);
    terminal.shows_lines(|lines| {
        let [beginning, .., live] = lines else { return false };
        beginning.ends_with("looking for timeouts up to 60.0 s")
            && live.starts_with("silent for ")
            && live.contains(" of 34 connections open; ")
            && live.ends_with(" left")
    });
    terminal.keys(CTRL_C);
    assert_eq!(terminal.wait().code(), Some(3));
    let lines = terminal.lines();
    for part in ["  protocol-ping   2 held for ", "stopped: no connection was cut so far, "] {
        assert!(lines.iter().any(|line| line.contains(part)), "{part:?} in {lines:?}");
    }
}

#[test]
fn a_wrong_time_is_refused() {
    let told = misused(&["idle", "ws://localhost", "--max", "3h"], &[]);
    assert!(told.contains("allowed is a time from 1s to 120m, such as 20s or 6m"), "{told}");
}

#[test]
fn a_server_with_room_for_few_connections_tells_no_timeout() {
    let server = RealServer::start(&["--max-per-address", "2"]);
    let mut command = command(&[("PONG_TIMEOUT", "3")]);
    let args = ["idle", &(server.url() + "/probe"), "--json", "--max", "2s"];
    let said = Said::of(&command.args(args).output().unwrap());
    said.assert_ok(None);
    said.assert_begins("cannot tell: ");
    said.assert_says(" connections could not be opened (the server answered 503 ");
}
