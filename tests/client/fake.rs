//! Servers that the tests play themselves.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes, WebSocket, accept};

use crate::DEADLINE;
use crate::client::Client;

/// A port of this host that is kept from everyone else, whether a server listens or not.
pub(crate) struct Port {
    address: SocketAddr,
    _held: TcpSocket,
}

impl Port {
    pub(crate) fn reserve() -> Self {
        let held = TcpSocket::new_v4().unwrap();
        held.set_reuseaddr(true).unwrap();
        held.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self { address: held.local_addr().unwrap(), _held: held }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub(crate) fn listen(&self) -> Fake {
        let start = Instant::now();
        loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => return Fake(listener),
                // A process that another test has just forked holds a copy of every socket until
                // it runs its program.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    assert!(start.elapsed() < DEADLINE, "{error}");
                    thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A server that listens, until it is dropped.
pub(crate) struct Fake(TcpListener);

impl Fake {
    /// A server on a port of its own, and its URL.
    pub(crate) fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        (Self(listener), url)
    }

    /// A server, its URL, and a client that pings it ([`Client::start`]).
    pub(crate) fn with_client(settings: &[(&str, &str)]) -> (Self, String, Client) {
        let (server, url) = Self::start();
        let client = Client::start(&url, settings);
        (server, url, client)
    }

    /// Two servers at two addresses of this host and the same port.
    pub(crate) fn pair() -> [Self; 2] {
        loop {
            let first = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = first.local_addr().unwrap().port();
            // Another test may have the port there.
            if let Ok(second) = TcpListener::bind(("127.0.0.2", port)) {
                return [Self(first), Self(second)];
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Whether a client connects within `time`.
    pub(crate) fn is_called(&self, time: Duration) -> bool {
        let time = Timespec::try_from(time).unwrap();
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&time)).unwrap() > 0
    }

    /// The next connection, without an upgrade.
    pub(crate) fn accept_tcp(&self) -> TcpStream {
        assert!(self.is_called(DEADLINE), "no connection");
        let (stream, _) = self.0.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// The next connection.
    pub(crate) fn accept(&self) -> Peer {
        Peer(accept(self.accept_tcp()).unwrap())
    }

    /// The next connection, upgraded, for frames that no library would send. Returns the
    /// client's request as well.
    pub(crate) fn accept_raw(&self) -> (TcpStream, String) {
        self.accept_with("")
    }

    /// [`Self::accept_raw`] with these headers in the answer, each ended with CR LF.
    pub(crate) fn accept_with(&self, headers: &str) -> (TcpStream, String) {
        let (mut stream, head) = self.accept_head();
        stream.write_all(switching(&head, headers).as_bytes()).unwrap();
        (stream, head)
    }

    /// The next connection, and its request.
    pub(crate) fn accept_head(&self) -> (TcpStream, String) {
        let mut stream = self.accept_tcp();
        let head = read_head(&mut stream);
        (stream, head)
    }

    /// The next connection, answered with a plain HTTP response.
    pub(crate) fn refuse(&self, status: &str, body: &str) {
        self.refuse_with(status, "Content-Type: text/plain\r\n", body);
    }

    /// The next connection, answered with a plain HTTP response that has these headers. Returns the
    /// request.
    pub(crate) fn refuse_with(&self, status: &str, headers: &str, body: &str) -> String {
        let (mut stream, request) = self.accept_head();
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
        stream.write_all([head.as_str(), body].concat().as_bytes()).unwrap();
        drain(stream);
        request
    }

    /// Handles each request in turn, in a thread that ends with the tests.
    pub(crate) fn answer_each(self, answer: impl Fn(&mut TcpStream, String) + Send + 'static) {
        thread::spawn(move || {
            loop {
                let mut stream = self.accept_tcp();
                let head = read_head(&mut stream);
                answer(&mut stream, head);
                drain(stream);
            }
        });
    }
}

/// A reply to a ping, as a text frame.
pub(crate) const PONG: &[u8] = b"\x81\x05Pong!";

/// What an answer begins with that agrees to the upgrade.
pub(crate) const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";

/// The `Sec-WebSocket-Accept` that answers a request. Like many a server made by hand, this one
/// wants the key's name as RFC 6455 spells it.
pub(crate) fn accept_key(head: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    derive_accept_key(key.as_bytes())
}

/// An answer that agrees to the upgrade that a request asks for, with these headers.
pub(crate) fn switching(head: &str, headers: &str) -> String {
    format!("{SWITCH}{headers}Sec-WebSocket-Accept: {}\r\n\r\n", accept_key(head))
}

/// A request up to its empty line.
pub(crate) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Ends a connection, and reads up to its end: a close with bytes unread would reset it.
pub(crate) fn drain(mut stream: TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = io::copy(&mut stream, &mut io::sink());
}

/// Passes bytes on in both directions, and the end of each side.
pub(crate) fn join<A, B>(near: A, far: B)
where
    A: AsFd + Send + Sync + 'static,
    B: AsFd + Send + Sync + 'static,
    for<'a> &'a A: Read + Write,
    for<'a> &'a B: Read + Write,
{
    thread::spawn(move || {
        thread::scope(|scope| {
            scope.spawn(|| pass(&near, &far));
            pass(&far, &near);
        });
    });
}

fn pass(mut from: impl Read, mut to: impl Write + AsFd) {
    let _ = io::copy(&mut from, &mut to);
    let _ = rustix::net::shutdown(to, rustix::net::Shutdown::Write);
}

/// The first byte of a short frame from a client, and its payload, unmasked.
pub(crate) fn read_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut header = [0; 6];
    stream.read_exact(&mut header).unwrap();
    let [first, length, mask @ ..] = header;
    assert!((0x80..0xfe).contains(&length), "not masked, or not short: {header:?}");
    let mut payload = vec![0; usize::from(length & 0x7f)];
    stream.read_exact(&mut payload).unwrap();
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    (first, payload)
}

/// Answers the next ping of a connection whose frames the test writes itself.
#[track_caller]
pub(crate) fn pong(stream: &mut TcpStream) {
    assert_eq!(read_frame(stream).0, 0x81);
    stream.write_all(PONG).unwrap();
}

/// A client at the other end of a connection.
pub(crate) struct Peer<S = TcpStream>(WebSocket<S>);

impl<S: Read + Write> Peer<S> {
    /// The client behind a stream that asks for an upgrade.
    pub(crate) fn over(stream: S) -> io::Result<Self>
    where
        S: Send + Sync + 'static,
    {
        accept(stream).map(Self).map_err(io::Error::other)
    }

    /// The next message, control frames included.
    pub(crate) fn next(&mut self) -> Message {
        self.0.read().unwrap()
    }

    /// The next message, unless the connection ends.
    pub(crate) fn try_next(&mut self) -> Result<Message, tokio_tungstenite::tungstenite::Error> {
        self.0.read()
    }

    /// The text of the next ping.
    pub(crate) fn ping(&mut self) -> Utf8Bytes {
        match self.next() {
            Message::Text(text) => text,
            message => panic!("not a ping: {message:?}"),
        }
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.send(Message::text(text));
    }

    pub(crate) fn send(&mut self, message: Message) {
        self.0.send(message).unwrap();
    }

    /// Answers the next ping.
    pub(crate) fn pong(&mut self) {
        self.ping();
        self.say("Pong!");
    }

    /// The Close frame that the client sends next; it is answered, and the connection ends.
    pub(crate) fn closed(mut self) -> CloseFrame {
        let Message::Close(Some(frame)) = self.next() else { panic!("no Close frame") };
        self.finish();
        frame
    }

    /// Answers Ping frames, and ignores messages, until the client closes; answers the Close frame.
    pub(crate) fn read_to_close(mut self) {
        while !self.next().is_close() {}
        self.finish();
    }

    /// Answers the Close frame that came, which ends the connection.
    pub(crate) fn finish(mut self) {
        self.0.flush().unwrap_err();
    }

    /// Closes the connection.
    pub(crate) fn close(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::from_static(reason) };
        self.0.close(Some(frame)).unwrap();
        while self.0.read().is_ok() {}
    }
}
