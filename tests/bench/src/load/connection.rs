//! One connection of a load.

use std::net::TcpStream;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::frames::{self, Replies};
use super::stream::Stream;
use super::{Protocol, Target};

/// The example key of RFC 6455, section 1.3, and what has to come back for it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Longest answer to an upgrade, in bytes.
const MAX_HEAD: usize = 8 * 1024;

/// Pings that are sent at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Burst {
    bytes: Vec<u8>,
    count: u64,
}

impl Burst {
    pub(super) fn new(count: u32) -> Self {
        let bytes = frames::ping().repeat(count as usize);
        Self { bytes, count: count.into() }
    }
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Upgrading,
    Open,
}

/// How replies are found in what arrives.
#[derive(Debug)]
enum Reader {
    /// The bytes that were sent come back; the number of those that did so far.
    Echo(usize),
    Replies(Replies),
}

impl Reader {
    /// Counts the replies to a burst. Answers to the program's Ping frames are appended to
    /// `answers`.
    fn count(&mut self, bytes: &mut [u8], burst: &Burst, answers: &mut Vec<u8>) -> Result<u64> {
        match self {
            Self::Echo(returned) => {
                let expected = burst.bytes.get(*returned..*returned + bytes.len());
                if expected != Some(&*bytes) {
                    bail!("what came back is not what was sent");
                }
                *returned += bytes.len();
                let is_whole = *returned == burst.bytes.len();
                if is_whole {
                    *returned = 0;
                }
                Ok(if is_whole { burst.count } else { 0 })
            }
            Self::Replies(replies) => replies.count(bytes, answers),
        }
    }
}

/// A connection that never blocks.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    state: State,
    /// The part of the answer to the upgrade that has arrived.
    head: Vec<u8>,
    reader: Reader,
    unanswered: u64,
    /// Whether a reply ever came.
    is_answered: bool,
}

impl Connection {
    /// Begins to connect. The socket becomes writable when that is done.
    pub(super) fn begin(target: &Target) -> Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).context(
            "cannot make a socket; is the limit of descriptors (ulimit -n) high enough?",
        )?;
        match connect(&socket, &target.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error).context("cannot connect"),
        }
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true)?;
        let stream = match &target.protocol {
            Protocol::SecureWebSocket(config) => {
                Stream::secure(socket, target.address.ip(), config)?
            }
            Protocol::Tcp | Protocol::WebSocket => Stream::plain(socket),
        };
        let reader = match target.protocol {
            Protocol::Tcp => Reader::Echo(0),
            _ => Reader::Replies(Replies::default()),
        };
        Ok(Self {
            stream,
            state: State::Connecting,
            head: Vec::new(),
            reader,
            unanswered: 0,
            is_answered: false,
        })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        self.stream.socket()
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// Continues the handshake as far as possible.
    pub(super) fn advance(&mut self, buffer: &mut [u8]) -> Result<()> {
        match self.state {
            State::Connecting => self.connected(),
            State::Upgrading => self.upgraded(buffer),
            State::Open => self.receive(buffer, &Burst::default()).map(drop),
        }
    }

    fn connected(&mut self) -> Result<()> {
        if let Some(error) = self.socket().take_error()? {
            return Err(error).context("cannot connect");
        }
        if matches!(self.reader, Reader::Echo(_)) {
            self.state = State::Open;
            return Ok(());
        }
        let address = self.socket().peer_addr()?;
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        self.state = State::Upgrading;
        self.stream.write(request.as_bytes())
    }

    fn upgraded(&mut self, buffer: &mut [u8]) -> Result<()> {
        let Some(length) = self.stream.read(buffer)? else { return Ok(()) };
        self.head.extend_from_slice(&buffer[..length]);
        if self.head.ends_with(b"\r\n\r\n") {
            let head = std::mem::take(&mut self.head);
            check_upgrade(&String::from_utf8_lossy(&head))?;
            self.state = State::Open;
        } else if self.head.len() > MAX_HEAD {
            bail!("the answer to the upgrade is longer than {MAX_HEAD} bytes");
        }
        Ok(())
    }

    /// Sends a burst.
    pub(super) fn send(&mut self, burst: &Burst) -> Result<()> {
        self.unanswered = burst.count;
        self.stream.write(&burst.bytes)
    }

    /// Reads what has arrived. When a whole burst is answered, the next one is sent. Returns the number
    /// of replies.
    pub(super) fn receive(&mut self, buffer: &mut [u8], burst: &Burst) -> Result<u64> {
        let Some(length) = self.stream.read(buffer)? else { return Ok(0) };
        let mut answers = Vec::new();
        let replies = self.reader.count(&mut buffer[..length], burst, &mut answers)?;
        if !answers.is_empty() {
            self.stream.write(&answers)?;
        }
        if replies > 0 {
            let Some(unanswered) = self.unanswered.checked_sub(replies) else {
                bail!("there were more replies than pings");
            };
            self.unanswered = unanswered;
            self.is_answered = true;
            if unanswered == 0 {
                self.send(burst)?;
            }
        }
        Ok(replies)
    }
}

fn check_upgrade(head: &str) -> Result<()> {
    let status = head.lines().next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101") {
        bail!("the upgrade was refused: {status}");
    }
    if !head.contains(ACCEPT) {
        bail!("the upgrade was answered without the right Sec-WebSocket-Accept");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_compared_and_counts_when_it_is_whole() {
        let burst = Burst::new(2);
        let (mut reader, mut answers) = (Reader::Echo(0), Vec::new());
        for _ in 0..2 {
            let (first, second) = burst.bytes.split_at(7);
            assert_eq!(reader.count(&mut first.to_vec(), &burst, &mut answers).unwrap(), 0);
            assert_eq!(reader.count(&mut second.to_vec(), &burst, &mut answers).unwrap(), 2);
        }
        assert!(reader.count(&mut b"something else".to_vec(), &burst, &mut answers).is_err());
        let mut twice = burst.bytes.repeat(2);
        assert!(Reader::Echo(0).count(&mut twice, &burst, &mut answers).is_err());
    }

    #[test]
    fn an_upgrade_needs_its_status_and_its_proof() {
        let right =
            format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n");
        assert!(check_upgrade(&right).is_ok());
        let refused = check_upgrade("HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap_err();
        assert!(refused.to_string().contains("503 Service Unavailable"));
        assert!(check_upgrade("HTTP/1.1 101 Switching Protocols\r\n\r\n").is_err());
    }
}
