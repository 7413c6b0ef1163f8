//! A balancer: TCP connections that are passed on to one of several servers.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How a balancer chooses among its servers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Policy {
    /// Each in turn.
    InTurn,
    /// Four of five connections go to the first, and one to the second.
    FourToOne,
    /// All go to the first that can be reached.
    First,
    /// The address of the client decides.
    Address,
    /// A cookie that the balancer sets decides, `SRV=NUMBER`; clients without it go in turn.
    Cookie,
    /// By a hash of the cookie `sid`, which the balancer sets to another value for each client, as an
    /// application would; clients without the cookie go to the first server.
    HashedCookie,
}

/// A balancer that runs. Its connections are cut when it is dropped.
pub(crate) struct Balancer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    policy: Policy,
    servers: Vec<SocketAddr>,
    /// Age at which a connection is cut.
    lifetime: Option<Duration>,
    /// Adds `X-Served-By: NUMBER` to answers.
    names: bool,
    turn: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
}

impl Balancer {
    pub(crate) fn start(policy: Policy, servers: &[SocketAddr]) -> Self {
        Self::start_with(policy, servers, None, false)
    }

    /// A balancer that names the server in a header of its answer.
    pub(crate) fn naming(policy: Policy, servers: &[SocketAddr]) -> Self {
        Self::start_with(policy, servers, None, true)
    }

    /// A balancer that cuts each connection at this age.
    pub(crate) fn limiting(servers: &[SocketAddr], lifetime: Duration) -> Self {
        Self::start_with(Policy::InTurn, servers, Some(lifetime), false)
    }

    fn start_with(
        policy: Policy,
        servers: &[SocketAddr],
        lifetime: Option<Duration>,
        names: bool,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            policy,
            servers: servers.to_vec(),
            lifetime,
            names,
            turn: AtomicUsize::new(0),
            open: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&of_thread);
                if shared.is_over.load(Ordering::Relaxed) {
                    return;
                }
                // A client that has left already is not served.
                thread::spawn(move || shared.serve(stream?));
            }
        });
        Self { address, shared }
    }

    /// The URL of a path behind the balancer.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// Cuts all connections, as a reload does.
    pub(crate) fn cut(&self) {
        let open = std::mem::take(&mut *self.shared.open.lock().unwrap());
        open.iter().for_each(|stream| _ = stream.shutdown(Shutdown::Both));
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        self.cut();
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let begun = Instant::now();
        let head = read_head(&mut client)?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = self.choose(turn, client.peer_addr()?.ip(), &head);
        // A server that is away is replaced by the next one.
        let tries = (0..self.servers.len()).map(|further| (first + further) % self.servers.len());
        let mut reached = tries
            .filter_map(|number| Some((number, TcpStream::connect(self.servers[number]).ok()?)));
        let Some((number, mut server)) = reached.next() else {
            return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        };
        server.set_nodelay(true)?;
        server.write_all(head.as_bytes())?;
        let mut answer = read_head(&mut server)?;
        let added = self.added(turn, number);
        answer.insert_str(answer.len() - 2, &added);
        client.write_all(answer.as_bytes())?;
        self.pass(client, server, begun)
    }

    fn choose(&self, turn: usize, client: IpAddr, head: &str) -> usize {
        let cookie = |name: &str| {
            let (_, rest) = head.split_once(&format!("{name}="))?;
            rest.split(['\r', ';']).next()?.parse::<usize>().ok()
        };
        match self.policy {
            Policy::InTurn => turn % self.servers.len(),
            Policy::FourToOne => usize::from(turn % 5 == 4),
            Policy::First => 0,
            Policy::Address => match client {
                // Like nginx's ip_hash, which leaves the last byte out.
                IpAddr::V4(address) => usize::from(address.octets()[2]) % self.servers.len(),
                IpAddr::V6(_) => 0,
            },
            Policy::Cookie => cookie("SRV").unwrap_or(turn) % self.servers.len(),
            Policy::HashedCookie => cookie("sid").unwrap_or(0) % self.servers.len(),
        }
    }

    /// Headers to add to an answer.
    fn added(&self, turn: usize, number: usize) -> String {
        let cookie = match self.policy {
            Policy::Cookie => format!("Set-Cookie: SRV={number}; Path=/\r\n"),
            Policy::HashedCookie => format!("Set-Cookie: sid={turn}; Path=/; HttpOnly\r\n"),
            _ => String::new(),
        };
        if self.names { format!("{cookie}X-Served-By: web-{number}\r\n") } else { cookie }
    }

    /// Passes bytes on in both directions, up to the end of either.
    fn pass(&self, client: TcpStream, server: TcpStream, begun: Instant) -> io::Result<()> {
        self.open.lock().unwrap().extend([client.try_clone()?, server.try_clone()?]);
        let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
        let (near, far) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        if let Some(lifetime) = self.lifetime {
            thread::spawn(move || {
                thread::sleep(lifetime.saturating_sub(begun.elapsed()));
                let _ = near.shutdown(Shutdown::Both);
                let _ = far.shutdown(Shutdown::Both);
            });
        }
        let (mut from, mut to) = (server, client);
        let _ = io::copy(&mut from, &mut to);
        to.shutdown(Shutdown::Both)
    }
}

/// A request or an answer up to its empty line.
fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    String::from_utf8(head).map_err(io::Error::other)
}
