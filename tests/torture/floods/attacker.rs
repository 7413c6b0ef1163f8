//! An attacker: connections from several addresses, which are held open or flooded.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use rustix::net::sockopt::{Timeout, set_socket_linger, set_socket_reuseaddr, set_socket_timeout};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::support::UPGRADE;

/// The longest that an attacker waits for a server before it checks whether the flood is over.
const WAIT: Duration = Duration::from_secs(1);

/// The longest that the listening socket of a server that is gone may stay open.
const LISTENER_CLOSES: Duration = Duration::from_secs(10);

/// An attacker.
#[derive(Debug)]
pub(crate) struct Attacker {
    pub(super) server: SocketAddr,
    /// Where the server speaks TLS; the same as `server` if nowhere.
    pub(super) secure: SocketAddr,
    pub(super) rng: StdRng,
    pub(super) is_over: Arc<AtomicBool>,
    /// How much was done: connections, requests or frames.
    pub(super) done: usize,
    held: VecDeque<TcpStream>,
}

impl Attacker {
    pub(super) fn new(
        server: SocketAddr,
        secure: SocketAddr,
        rng: StdRng,
        is_over: Arc<AtomicBool>,
    ) -> Self {
        Self { server, secure, rng, is_over, done: 0, held: VecDeque::new() }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Whether the server was killed, or stops. Linux may close the connections of a killed process
    /// before its listening socket, so this waits a little for the latter.
    pub(super) fn server_is_gone(&self) -> bool {
        let deadline = Instant::now() + LISTENER_CLOSES;
        while Instant::now() < deadline {
            if TcpStream::connect(self.server).is_err() {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// A connection from one of eight addresses, which are not those of the bystanders.
    pub(super) fn connect(&mut self, to: SocketAddr) -> Option<TcpStream> {
        let from = Ipv4Addr::new(127, 0, 0, self.rng.random_range(2..10));
        let stream = connect_from(from, to, WAIT).ok()?;
        // Closed with a reset, the connection leaves no port in TIME_WAIT.
        set_socket_linger(&stream, Some(Duration::ZERO)).ok()?;
        Some(stream)
    }

    /// A connection that is upgraded at a path.
    pub(super) fn upgraded(&mut self, path: &str) -> Option<TcpStream> {
        let mut stream = self.connect(self.server)?;
        let request = UPGRADE.replace("GET / ", &format!("GET {path} "));
        stream.write_all(request.as_bytes()).ok()?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        Some(stream)
    }

    /// Keeps a connection, and closes the oldest one of more than `most`.
    pub(super) fn hold(&mut self, stream: TcpStream, most: usize) {
        self.held.push_back(stream);
        if self.held.len() > most {
            self.held.pop_front();
        }
    }

    /// Writes the same block again and again until the server hangs up or the flood is over, and
    /// reads nothing. Each block counts as `count`.
    pub(super) fn pour(&mut self, mut stream: &TcpStream, block: &[u8], count: usize) {
        while !self.is_over() && write_patiently(&mut stream, block, &self.is_over).is_ok() {
            self.done += count;
        }
    }
}

/// Writes all of a block, however long the peer takes, until the flood is over.
fn write_patiently(stream: &mut &TcpStream, block: &[u8], is_over: &AtomicBool) -> io::Result<()> {
    let mut rest = block;
    while !rest.is_empty() && !is_over.load(Ordering::Relaxed) {
        match stream.write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A connection from an address of this host, whose calls wait no longer than `wait`.
pub(crate) fn connect_from(
    from: Ipv4Addr,
    to: SocketAddr,
    wait: Duration,
) -> io::Result<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    // Ports of connections that are over may be taken again at once.
    set_socket_reuseaddr(&socket, true)?;
    for direction in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&socket, direction, Some(wait))?;
    }
    bind(&socket, &SocketAddrV4::new(from, 0))?;
    connect(&socket, &to)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}
