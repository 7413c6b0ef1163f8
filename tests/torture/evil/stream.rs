//! The byte stream of a server that breaks the protocol.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::Seen;

/// The longest that a server waits before it checks whether it has to become good.
const WAIT: Duration = Duration::from_millis(200);

pub(super) fn prepare(stream: &TcpStream) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream.set_write_timeout(Some(WAIT)).unwrap();
}

/// Reads whatever comes next, as long as the server goes on.
pub(super) fn read(mut stream: &TcpStream, into: &mut [u8], seen: &Seen) -> io::Result<()> {
    let mut read = 0;
    while read < into.len() {
        match stream.read(&mut into[read..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => check(seen)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all bytes, as long as the server goes on.
pub(super) fn write(mut stream: &TcpStream, bytes: &[u8], seen: &Seen) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => check(seen)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// An error when the test is over.
fn check(seen: &Seen) -> io::Result<()> {
    let is_over = seen.is_over.load(std::sync::atomic::Ordering::Relaxed);
    if is_over { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
}

/// Writes the same bytes again and again until the client hangs up or the server becomes good.
pub(super) fn pour(stream: &TcpStream, bytes: &[u8], seen: &Seen) -> io::Result<()> {
    while seen.goes_on() {
        match (&*stream).write(bytes) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Reads a request, and returns the answer that agrees to the upgrade.
pub(super) fn answer(stream: &TcpStream, seen: &Seen) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        read(stream, &mut byte, seen)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let key = key.ok_or_else(|| io::Error::other("no key"))?;
    let accept = derive_accept_key(key.as_bytes());
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

/// Upgrades a connection.
pub(super) fn upgrade(stream: &TcpStream, seen: &Seen) -> io::Result<()> {
    write(stream, answer(stream, seen)?.as_bytes(), seen)
}

/// Reads the next frame, which is short as all frames of the client; `false` if no ping.
pub(super) fn read_ping(stream: &TcpStream, seen: &Seen) -> io::Result<bool> {
    let mut header = [0; 6];
    read(stream, &mut header, seen)?;
    let mut payload = vec![0; usize::from(header[1] & 0x7f)];
    read(stream, &mut payload, seen)?;
    Ok(header[0] == 0x81)
}
