//! Clients on this machine, which connect to a published port.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::client::{IntoClientRequest, client};
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::project::eventually;

/// How long a reply may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long a reply may take before a retrying client treats its server as lost.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// Time between a reply and the next ping.
const LAG_TIME: Duration = Duration::from_millis(20);

/// The greeting of `/ws`, after the name of its host.
const GREETING: &str = "] hello :) type a message and press ENTER";

/// A connected client.
pub(crate) struct Visitor(WebSocket<TcpStream>);

impl Visitor {
    pub(crate) fn connect(address: SocketAddr, path: &str) -> Result<Self, Error> {
        Self::connect_within(PATIENCE, address, path)
    }

    /// A client whose replies may take so long.
    fn connect_within(patience: Duration, address: SocketAddr, path: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        let request = format!("ws://{address}{path}").into_client_request()?;
        match client(request, stream) {
            Ok((socket, _)) => Self(socket).greeted(path),
            Err(HandshakeError::Failure(error)) => Err(error),
            Err(HandshakeError::Interrupted(_)) => {
                Err(io::Error::from(io::ErrorKind::TimedOut).into())
            }
        }
    }

    /// Reads the greeting, where the path has one.
    fn greeted(mut self, path: &str) -> Result<Self, Error> {
        if path == "/ws" {
            let greeting = self.text()?;
            assert!(greeting.ends_with(GREETING), "{greeting}");
        }
        Ok(self)
    }

    /// Sends a text, and returns the reply.
    pub(crate) fn ask(&mut self, text: &str) -> Result<String, Error> {
        self.0.send(Message::text(text))?;
        self.text()
    }

    /// The next text.
    pub(crate) fn text(&mut self) -> Result<String, Error> {
        loop {
            match self.0.read()? {
                Message::Text(text) => return Ok(text.as_str().to_owned()),
                Message::Close(_) => return Err(Error::ConnectionClosed),
                _ => {}
            }
        }
    }

    /// The name of the host at the other end of `/ws`.
    pub(crate) fn host(&mut self) -> Result<String, Error> {
        let reply = self.ask("who?")?;
        let name = reply.strip_prefix('[').and_then(|rest| rest.strip_suffix("] who?"));
        Ok(name.unwrap_or_else(|| panic!("no host in {reply:?}")).to_owned())
    }

    /// Answers the pings of the protocol, and returns when the server has sent `count`.
    #[track_caller]
    pub(crate) fn wait_for_protocol_pings(&mut self, count: usize) {
        self.0.get_ref().set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        for _ in 0..count {
            let message = self.0.read().expect("the connection is kept");
            assert!(matches!(message, Message::Ping(_)), "{message:?}");
            self.0.flush().expect("the connection is kept");
        }
        self.0.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    }
}

/// Waits until new connections reach `count` hosts and no other; returns their names.
#[track_caller]
pub(crate) fn wait_for_hosts(address: SocketAddr, count: usize) -> BTreeSet<String> {
    eventually(&format!("new connections reach {count} hosts"), || {
        // Held until all are there, since each goes to the host that has the fewest.
        let visitor = |_| Visitor::connect_within(LOST_AFTER, address, "/ws");
        let visitors: Result<Vec<_>, _> = (0..6 * count).map(visitor).collect();
        let hosts: Result<BTreeSet<_>, _> = visitors.ok()?.iter_mut().map(Visitor::host).collect();
        hosts.ok().filter(|hosts| hosts.len() == count)
    })
}

/// The reply of HTTP to a plain GET, its head included.
///
/// Docker accepts connections to a published port before the container listens, and resets them.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

/// Waits until the container behind a published port answers HTTP, and is healthy.
#[track_caller]
pub(crate) fn wait_until_healthy(address: SocketAddr) {
    eventually(&format!("{address} is healthy"), || {
        get(address, "/healthz").ok()?.starts_with("HTTP/1.1 200 ").then_some(())
    });
}

/// Clients that ping until they are stopped, each with a text of its own in every ping. They
/// connect again when they lose their server.
pub(crate) struct Visitors {
    stop: Arc<AtomicBool>,
    acknowledged: Vec<Arc<AtomicUsize>>,
    threads: Vec<JoinHandle<Visit>>,
}

/// The observations of a client.
#[derive(Default)]
pub(crate) struct Visit {
    /// The log lines of acknowledged pings, without their time stamps.
    pub(crate) acknowledged: Vec<String>,
    /// From each loss of a server to the first reply of the next one.
    pub(crate) away: Vec<Duration>,
}

impl Visitors {
    pub(crate) fn start(address: SocketAddr, count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged: Vec<_> = (0..count).map(|_| Arc::default()).collect();
        let threads = acknowledged.iter().enumerate().map(|(number, count)| {
            let (stop, count) = (Arc::clone(&stop), Arc::clone(count));
            thread::spawn(move || visit(address, &format!("visitor-{number}"), &stop, &count))
        });
        let threads = threads.collect();
        Self { stop, acknowledged, threads }
    }

    /// Waits until each has got a number of further replies.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, replies: usize) {
        let counts = || self.acknowledged.iter().map(|count| count.load(Ordering::Relaxed));
        let before: Vec<_> = counts().collect();
        eventually("every client gets replies", || {
            counts().zip(&before).all(|(now, before)| now >= before + replies).then_some(())
        });
    }

    #[track_caller]
    pub(crate) fn stop(self) -> Vec<Visit> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().expect("no client panics")).collect()
    }
}

fn visit(address: SocketAddr, name: &str, stop: &AtomicBool, count: &AtomicUsize) -> Visit {
    let mut visit = Visit::default();
    let mut visitor = None;
    let mut lost = None;
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("{{\"client_name\": \"{name}\", \"message\": \"{number}\"}}");
        match ping(&mut visitor, address, &text) {
            Ok(()) => {
                visit.acknowledged.push(format!("Recieved from client (\"{name}\"): {number}"));
                visit.away.extend(lost.take().map(|lost: Instant| lost.elapsed()));
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {
                visitor = None;
                lost = lost.or_else(|| Some(Instant::now()));
            }
        }
        thread::sleep(LAG_TIME);
    }
    visit
}

fn ping(visitor: &mut Option<Visitor>, address: SocketAddr, text: &str) -> Result<(), Error> {
    let visitor = match visitor {
        Some(visitor) => visitor,
        None => visitor.insert(Visitor::connect_within(LOST_AFTER, address, "/")?),
    };
    let reply = visitor.ask(text)?;
    assert_eq!(reply, "Pong!");
    Ok(())
}

/// Every acknowledged ping stands in one of the logs.
#[track_caller]
pub(crate) fn assert_recorded(visits: &[Visit], log: &str) {
    let recorded: HashSet<_> = log.lines().filter_map(|line| line.get(22..)).collect();
    for visit in visits {
        assert!(!visit.acknowledged.is_empty());
        for ping in &visit.acknowledged {
            assert!(recorded.contains(ping.as_str()), "acknowledged, but not in a log: {ping}");
        }
    }
}
