//! A server that keeps RFC 6455 in all points but one. It reads and writes bits by itself, so
//! that it shares no error with the codec of the client.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::DEADLINE;

/// Longest message, in bytes.
const MAX_MESSAGE: u64 = 1 << 20;

/// Starts a server that returns each message, and breaks the rule of this name alone, or is
/// `silent` after the upgrade; returns its URL. It listens as long as the tests run.
pub(super) fn start(fault: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                // A client that leaves is no error.
                let _ = serve(stream, fault);
            });
        }
    });
    url
}

fn serve(mut stream: TcpStream, fault: &'static str) -> io::Result<()> {
    let Some(head) = read_head(&mut stream, fault)? else {
        return refuse(&mut stream, "400 Bad Request", "");
    };
    match answer(&head, fault) {
        Ok(answer) => stream.write_all(answer.as_bytes())?,
        Err((status, headers)) => return refuse(&mut stream, status, headers),
    }
    if fault == "silent" {
        return io::copy(&mut stream, &mut io::sink()).map(|_| ());
    }
    let (message, opcode, skips) = (Vec::new(), None, false);
    Connection { stream, fault, message, opcode, skips }.serve()
}

/// A request up to its empty line; `None` if it is refused as too slow.
fn read_head(stream: &mut TcpStream, fault: &str) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&bytes[..read]);
        if fault == "request-in-pieces" && !head.ends_with(b"\r\n\r\n") {
            return Ok(None);
        }
    }
    Ok(Some(String::from_utf8(head).unwrap()))
}

/// Refuses a request, and waits for the client to leave.
fn refuse(stream: &mut TcpStream, status: &str, headers: &str) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\n\r\n")?;
    finish(stream)
}

fn finish(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    io::copy(stream, &mut io::sink()).map(|_| ())
}

/// The answer to a request: 101, or the status and the headers of a refusal.
fn answer(head: &str, fault: &str) -> Result<String, (&'static str, &'static str)> {
    const BAD: (&str, &str) = ("400 Bad Request", "");
    let is = |name| fault == name;
    let (start, lines) = head.split_once("\r\n").unwrap();
    let value = |wanted: &str| {
        let mut lines = lines.split("\r\n").filter_map(|line| line.split_once(": "));
        let is_wanted = |name: &str| match is("spelling") {
            true => name == wanted,
            false => name.eq_ignore_ascii_case(wanted),
        };
        lines.find(|(name, _)| is_wanted(name)).map(|(_, value)| value)
    };
    let has = |name, token: &str| {
        value(name).is_some_and(|list| {
            list.split(',').any(|element| element.trim().eq_ignore_ascii_case(token))
        })
    };
    if !start.starts_with("GET ") && !is("post") {
        return Err(("405 Method Not Allowed", "Allow: GET\r\n"));
    }
    if !start.ends_with(" HTTP/1.1") && !is("http-1.0") || value("Host").is_none() && !is("no-host")
    {
        return Err(BAD);
    }
    if !has("Upgrade", "websocket") && !is("other-upgrade") {
        return Err(("200 OK", ""));
    }
    if !has("Connection", "upgrade") && !is("no-connection") {
        return Err(BAD);
    }
    match value("Sec-WebSocket-Version") {
        Some("13") => {}
        None if is("no-version") => {}
        Some(_) if is("version") => return Err(("426 Upgrade Required", "")),
        _ => return Err(("426 Upgrade Required", "Sec-WebSocket-Version: 13, 8\r\n")),
    }
    let key = value("Sec-WebSocket-Key").unwrap_or_default();
    let is_base64 =
        key.trim_end_matches('=').bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b));
    match key {
        "" => is("no-key"),
        _ if !is_base64 => is("key-not-base64"),
        _ if key.len() != 24 => is("key-short"),
        _ => true,
    }
    .then_some(())
    .ok_or(BAD)?;
    let line = |name, line: &str| if is(name) { String::new() } else { format!("{line}\r\n") };
    let broken = |name, line: &str| if is(name) { format!("{line}\r\n") } else { String::new() };
    let accept = derive_accept_key(if is("accept") { b"other" } else { key.as_bytes() });
    Ok([
        format!("HTTP/1.{} 101 Switching Protocols\r\n", if is("status") { 0 } else { 1 }),
        line("upgrade", "Upgrade: websocket"),
        line("connection", "Connection: Upgrade"),
        format!("Sec-WebSocket-Accept: {accept}\r\n"),
        broken("subprotocol", "Sec-WebSocket-Protocol: chat"),
        broken("extension", "Sec-WebSocket-Extensions: permessage-deflate"),
        "\r\n".into(),
    ]
    .concat())
}

struct Connection {
    stream: TcpStream,
    fault: &'static str,
    /// The unfinished message, and its kind.
    message: Vec<u8>,
    opcode: Option<u8>,
    /// Whether the next continuation is that of a control frame.
    skips: bool,
}

/// Why a connection fails.
struct Fail(u16);

impl Connection {
    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    fn serve(mut self) -> io::Result<()> {
        loop {
            let (first, length, mask) = match self.header()? {
                Ok(header) => header,
                Err(Fail(code)) => return self.fail(code, true),
            };
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload)?;
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            if first & 0x0f == 8 {
                return self.close(&payload);
            }
            if let Err(Fail(code)) = self.take(first, payload)? {
                return self.fail(code, true);
            }
        }
    }

    /// The first byte of the next frame, the length of its payload, and its masking key.
    fn header(&mut self) -> io::Result<Result<(u8, usize, [u8; 4]), Fail>> {
        let [first, second] = self.read()?;
        if let Some(code) = self.first_fault(first) {
            if self.is("fail-end") && first == 0xf3 {
                self.fail(code, false)?;
            }
            return Ok(Err(Fail(code)));
        }
        if second & 0x80 == 0 && !self.is("no-mask") {
            return Ok(Err(Fail(1002)));
        }
        let (mut length, least) = match second & 0x7f {
            126 => (u16::from_be_bytes(self.read()?).into(), 126),
            127 => (u64::from_be_bytes(self.read()?), 1 << 16),
            short => (u64::from(short), 0),
        };
        if length >> 63 != 0 {
            if !self.is("length-highest-bit") {
                return Ok(Err(Fail(1002)));
            }
            length &= u64::MAX >> 1;
        } else if length < least {
            let taken = if least == 126 { "length-16-long" } else { "length-64-long" };
            if !self.is(taken) {
                return Ok(Err(Fail(1002)));
            }
        } else if least == 126 && self.is("length-16") || length == 65_536 && self.is("length-64") {
            return Ok(Err(Fail(1002)));
        }
        if first & 8 != 0 && length > 125 && !self.is("control-long") {
            return Ok(Err(Fail(1002)));
        }
        if length > MAX_MESSAGE {
            let waits = if self.opcode.is_some() { "limit-message" } else { "limit-frame" };
            if !self.is(waits) {
                return Ok(Err(Fail(1009)));
            }
            finish(&mut self.stream)?;
        }
        let mask = if second & 0x80 == 0 { [0; 4] } else { self.read()? };
        Ok(Ok((first, usize::try_from(length).unwrap(), mask)))
    }

    /// What is wrong with the first byte of a frame.
    fn first_fault(&self, first: u8) -> Option<u16> {
        for (bit, name) in [(0x40, "rsv1"), (0x20, "rsv2"), (0x10, "rsv3")] {
            if first & bit != 0 && !self.is(name) {
                return Some(1002);
            }
        }
        let opcode = first & 0x0f;
        let is_reserved = matches!(opcode, 3..=7 | 0xb..=0xf);
        if is_reserved && !self.is(&format!("opcode-{opcode:x}")) {
            return Some(1002);
        }
        if opcode & 8 != 0 && first & 0x80 == 0 && !self.is("control-fragmented") {
            return Some(1002);
        }
        match opcode {
            0 if self.opcode.is_none() && !self.skips && !self.is("continuation-alone") => {
                Some(1002)
            }
            1 | 2 if self.opcode.is_some() && !self.is("message-within") => Some(1002),
            _ => None,
        }
    }

    /// Takes a frame that is no Close frame.
    fn take(&mut self, first: u8, payload: Vec<u8>) -> io::Result<Result<(), Fail>> {
        match first & 0x0f {
            9 if first & 0x80 == 0 => self.skips = true,
            9 => self.pong(&payload)?,
            10 if self.is("pong-unasked") => return Ok(Err(Fail(1002))),
            0 if self.opcode.is_none() => self.skips = false,
            opcode @ 0..=2 => return self.take_fragment(first, opcode, payload),
            _ => {}
        }
        Ok(Ok(()))
    }

    fn pong(&mut self, payload: &[u8]) -> io::Result<()> {
        match payload {
            b"ping" if self.is("ping") => self.send(0x8a, b"PING"),
            b"" if self.is("ping-empty") => self.send(0x8a, b"?"),
            b"pieces" if self.is("ping-in-pieces") => Ok(()),
            b"between" if self.is("ping-between") => Ok(()),
            b"mask" if self.is("unmasked") => self.stream.write_all(b"\x8a\x84\0\0\0\0mask"),
            _ if payload.len() == 125 && self.is("ping-longest") => {
                self.send(0x8a, &payload[..124])
            }
            _ => self.send(0x8a, payload),
        }
    }

    fn take_fragment(
        &mut self,
        first: u8,
        opcode: u8,
        payload: Vec<u8>,
    ) -> io::Result<Result<(), Fail>> {
        let is_last = first & 0x80 != 0;
        if payload.starts_with(b"a text") && self.is("text") {
            return Ok(Err(Fail(1002)));
        }
        if !is_last && payload.is_empty() && self.is("fragments-empty")
            || self.is("fragments-empty") && opcode == 0 && payload.is_empty()
        {
            return Ok(Err(Fail(1002)));
        }
        if self.is("utf8-between") && str::from_utf8(&payload).is_err() {
            return Ok(Err(Fail(1007)));
        }
        let is_dropped =
            self.is("fragments") && opcode == 0 && !is_last && !self.message.is_empty();
        if opcode != 0 {
            self.opcode = Some(opcode);
        }
        if !is_dropped {
            self.message.extend_from_slice(&payload);
        }
        if is_last {
            let message = std::mem::take(&mut self.message);
            let opcode = self.opcode.take().unwrap();
            if opcode == 1 && str::from_utf8(&message).is_err() {
                let names = [
                    (&b"byte"[..], "utf8"),
                    (b"overlong", "utf8-overlong"),
                    (b"surrogate", "utf8-surrogate"),
                    (b"cut", "utf8-cut"),
                    (b"first", "utf8-fragment"),
                ];
                let name = names.iter().find(|(word, _)| message.starts_with(word));
                if !name.is_some_and(|(_, name)| self.is(name)) {
                    return Ok(Err(Fail(1007)));
                }
            }
            // What is not UTF-8 is taken, and goes no further.
            if str::from_utf8(&message).is_ok() {
                self.send(0x80 | opcode, &message)?;
            }
        }
        Ok(Ok(()))
    }

    fn close(mut self, payload: &[u8]) -> io::Result<()> {
        let code = match *payload {
            [] if self.is("close-empty") => return finish(&mut self.stream),
            [] => {
                self.send(0x88, b"")?;
                return finish(&mut self.stream);
            }
            [byte] if self.is("close-one-byte") => {
                self.send(0x88, &[byte])?;
                return finish(&mut self.stream);
            }
            [_] => return self.fail(1002, true),
            [high, low, ..] => u16::from_be_bytes([high, low]),
        };
        let is_allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        if !is_allowed && !self.is(&format!("close-{code}")) {
            return self.fail(1002, true);
        }
        if str::from_utf8(&payload[2..]).is_err() && !self.is("close-utf8") {
            return self.fail(1007, true);
        }
        match code {
            1000 if self.is("close") => {}
            4001 if self.is("close-private") => {}
            1001 if self.is("close-end") => {
                self.send(0x88, &payload[..2])?;
                io::copy(&mut self.stream, &mut io::sink())?;
            }
            _ => self.send(0x88, &payload[..2])?,
        }
        finish(&mut self.stream)
    }

    /// Fails the connection (RFC 6455, section 7.1.7).
    fn fail(&mut self, code: u16, ends_tcp: bool) -> io::Result<()> {
        self.send(0x88, &code.to_be_bytes())?;
        match ends_tcp {
            true => finish(&mut self.stream),
            false => io::copy(&mut self.stream, &mut io::sink()).map(|_| ()),
        }
    }

    fn send(&mut self, first: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(length as u8),
            length @ 126..0x10000 => {
                frame.push(126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame)
    }

    fn read<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
