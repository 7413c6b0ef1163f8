//! The same outages, as the client reports them and as a packet capture shows them.

use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use crate::client::{KillOnDrop, Lines, json, next, seconds};
use crate::fake::{Fake, PONG, read_frame};
use crate::stalls::patiently;

/// How much the times of client and capture may differ on a busy machine, in seconds.
const APART: f64 = 0.3;

/// How long a server lets the first ping of a connection wait.
const SLOW: Duration = Duration::from_secs(1);

/// tcpdump on a port of the loopback interface.
struct Capture {
    lines: Lines,
    port: u16,
    _process: KillOnDrop,
}

/// A TCP segment.
#[derive(Debug)]
struct Segment {
    /// Seconds since 1970.
    at: f64,
    is_from_server: bool,
    /// The port of the client, which differs from connection to connection.
    client: u16,
    flags: String,
    /// Length of the payload.
    length: usize,
}

/// What a capture shows of an outage between two connections.
#[derive(Debug)]
struct Shown {
    seen: &'static str,
    begun: f64,
    ended: f64,
}

impl Capture {
    fn start(port: u16) -> Self {
        let mut command = Command::new("tcpdump");
        command.args(["-i", "lo", "-n", "-tt", "-l", "--immediate-mode"]);
        command.arg(format!("tcp port {port}")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("tcpdump is there; .ci/setup installs it");
        let told = Lines::of("stderr", child.stderr.take().unwrap());
        while !told.next().contains("listening on lo") {}
        let lines = Lines::of("stdout", child.stdout.take().unwrap());
        Self { lines, port, _process: KillOnDrop(child) }
    }

    /// Waits for the reply over the connection with this number, counted from 1, and ends the
    /// capture. Returns the segments of each connection.
    fn end(self, last: usize) -> Vec<Vec<Segment>> {
        let mut connections: Vec<Vec<Segment>> = Vec::new();
        while connections.len() < last || reply(&connections[last - 1]).is_none() {
            let line = self.lines.next();
            if !line.contains(" Flags [") {
                continue;
            }
            let segment = self.segment(&line);
            let is_of = |segments: &&mut Vec<Segment>| segments[0].client == segment.client;
            match connections.iter_mut().find(is_of) {
                Some(segments) => segments.push(segment),
                None => connections.push(vec![segment]),
            }
        }
        connections
    }

    /// Reads `TIME IP 127.0.0.1.PORT > 127.0.0.1.PORT: Flags [P.], …, length 7`.
    fn segment(&self, line: &str) -> Segment {
        let mut words = line.split(' ');
        let at = words.next().unwrap().parse().unwrap();
        let mut port = || {
            words.next();
            let end = words.next().unwrap().trim_end_matches(':');
            end.rsplit('.').next().unwrap().parse::<u16>().unwrap()
        };
        let [from, to] = [port(), port()];
        let is_from_server = from == self.port;
        let (_, flags) = line.split_once("Flags [").unwrap();
        let (_, length) = line.rsplit_once("length ").unwrap();
        Segment {
            at,
            is_from_server,
            client: if is_from_server { to } else { from },
            flags: flags.split(']').next().unwrap().into(),
            length: length.split(':').next().unwrap().parse().unwrap(),
        }
    }
}

/// The first reply, which comes behind the answer to the handshake.
fn reply(segments: &[Segment]) -> Option<&Segment> {
    segments.iter().filter(|segment| segment.is_from_server && segment.length > 0).nth(1)
}

/// What the segments show of the outage between two connections.
fn outage(before: &[Segment], after: &[Segment]) -> Shown {
    // The client closes too; what the server does before that counts.
    let is_end = |segment: &&Segment| segment.flags.contains(['F', 'R']);
    let end = before.iter().find(is_end).filter(|segment| segment.is_from_server);
    let last_sign = before.iter().rfind(|segment| segment.is_from_server && segment.length > 0);
    let (seen, begun) = match end {
        Some(end) if end.flags.contains('R') => ("rst", end.at),
        Some(end) => ("fin", end.at),
        None => ("silence", last_sign.unwrap().at),
    };
    Shown { seen, begun, ended: reply(after).unwrap().at }
}

/// Answers the first ping of the next connection, late if the server is slow.
fn answer(server: &Fake, is_slow: bool) -> TcpStream {
    let (mut stream, _) = server.accept_raw();
    read_frame(&mut stream);
    if is_slow {
        thread::sleep(SLOW);
    }
    stream.write_all(PONG).unwrap();
    stream
}

#[test]
#[ignore = "needs tcpdump and root"]
fn a_packet_capture_shows_the_same_outages() {
    patiently(|| {
        let (server, url) = Fake::start();
        let capture = Capture::start(server.address().port());
        let client = json(&url, &["-i", "0.2", "-W", "8"]);
        let ended = answer(&server, false);
        drop(ended);
        let reset = answer(&server, true);
        set_socket_linger(reset.as_fd(), Some(Duration::ZERO)).unwrap();
        drop(reset);
        let _silent = answer(&server, true);
        let _last = answer(&server, true);
        let told = [(); 3].map(|()| next(&client, "outage"));
        let connections = capture.end(4);
        for ((pair, told), seen) in connections.windows(2).zip(&told).zip(["fin", "rst", "silence"])
        {
            let shown = outage(&pair[0], &pair[1]);
            assert_eq!((shown.seen, told["seen"].as_str()), (seen, Some(seen)), "{shown:?} {told}");
            let begun = seconds(told, "at") - shown.begun;
            let length = seconds(told, "length") - (shown.ended - shown.begun);
            assert!(begun.abs() < APART && length.abs() < APART, "{shown:?} {told}");
            assert!(seconds(told, "length") >= 1.0, "{told}");
        }
    });
}
