//! A server that keeps RFC 6455 in all points but one, its fault. The server reads and writes bits
//! by itself, so that it shares no error with the codec of the client.

mod handshake;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::DEADLINE;
use handshake::{answer, read_head};

/// Longest message, in bytes.
const MAX_MESSAGE: u64 = 1 << 20;

/// Number of connections after which a server has no room for any more.
pub(super) const FEW: usize = 60;

/// Starts a server that returns each message, and breaks the rule of this name alone, or is
/// `silent` after the upgrade, or `small`, with room for two connections; returns its URL. It
/// listens as long as the tests run. With `few-` before the name, it serves [`FEW`] connections in
/// all.
pub(super) fn start(fault: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let open = Arc::new(AtomicUsize::new(0));
        for stream in listener.incoming() {
            let (stream, open) = (stream.unwrap(), Arc::clone(&open));
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                // A client that leaves is no error.
                let _ = serve(stream, fault, &open);
            });
        }
    });
    url
}

/// Serves a connection, one of so many that are open.
fn serve(mut stream: TcpStream, fault: &'static str, open: &AtomicUsize) -> io::Result<()> {
    let Some(head) = read_head(&mut stream, fault)? else {
        return refuse(&mut stream, "400 Bad Request", "");
    };
    let few = fault.strip_prefix("few-");
    let room = match fault {
        "small" => 2,
        _ => few.map_or(usize::MAX, |_| FEW),
    };
    let is_full = open.fetch_add(1, Ordering::Relaxed) >= room;
    let result = if is_full { Ok(()) } else { upgrade(&stream, &head, few.unwrap_or(fault)) };
    if few.is_none() {
        open.fetch_sub(1, Ordering::Relaxed);
    }
    if is_full { refuse(&mut stream, "503 Service Unavailable", "") } else { result }
}

fn upgrade(stream: &TcpStream, head: &str, fault: &'static str) -> io::Result<()> {
    let mut stream = stream.try_clone()?;
    match answer(head, fault) {
        Ok(answer) => stream.write_all(answer.as_bytes())?,
        Err((status, headers)) => return refuse(&mut stream, status, headers),
    }
    if fault == "silent" {
        return io::copy(&mut stream, &mut io::sink()).map(|_| ());
    }
    let (message, opcode, skips) = (Vec::new(), None, false);
    let mut connection = Connection { stream, fault, message, opcode, skips };
    match connection.serve() {
        Ok(()) => Ok(()),
        Err(Over::Left(error)) => Err(error),
        Err(Over::Fail(code)) => connection.fail(code),
    }
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

struct Connection {
    stream: TcpStream,
    fault: &'static str,
    /// The unfinished message, and its kind.
    message: Vec<u8>,
    opcode: Option<u8>,
    /// Whether a fragmented control frame came, whose continuations are to be ignored.
    skips: bool,
}

/// Why frames are read no further.
enum Over {
    /// The client left.
    Left(io::Error),
    /// The connection fails, with this code.
    Fail(u16),
}

impl From<io::Error> for Over {
    fn from(error: io::Error) -> Self {
        Self::Left(error)
    }
}

impl Connection {
    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// Fails the connection with this code if the client broke a rule, unless the server has the fault
    /// of not checking that rule.
    fn fail_if(&self, is_broken: bool, code: u16, fault: &str) -> Result<(), Over> {
        if is_broken && !self.is(fault) { Err(Over::Fail(code)) } else { Ok(()) }
    }

    fn serve(&mut self) -> Result<(), Over> {
        loop {
            let (first, length, mask) = self.header()?;
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload)?;
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            if first & 0x0f == 8 {
                return self.close(&payload);
            }
            self.take(first, &payload)?;
        }
    }

    /// The first byte of the next frame, the length of its payload, and its masking key.
    fn header(&mut self) -> Result<(u8, usize, [u8; 4]), Over> {
        let [first, second] = self.read()?;
        self.check_first(first)?;
        let is_masked = second & 0x80 != 0;
        self.fail_if(!is_masked, 1002, "no-mask")?;
        let length = self.length(second & 0x7f)?;
        self.fail_if(first & 8 != 0 && length > 125, 1002, "control-long")?;
        if length > MAX_MESSAGE {
            let waits = if self.opcode.is_some() { "limit-message" } else { "limit-frame" };
            self.fail_if(true, 1009, waits)?;
            io::copy(&mut self.stream, &mut io::sink())?;
        }
        let mask = if is_masked { self.read()? } else { [0; 4] };
        Ok((first, usize::try_from(length).unwrap(), mask))
    }

    fn check_first(&mut self, first: u8) -> Result<(), Over> {
        if first == 0xf3 && self.is("fail-end") {
            self.send(0x88, &1002_u16.to_be_bytes())?;
            io::copy(&mut self.stream, &mut io::sink())?;
        }
        for (bit, name) in [(0x40, "rsv1"), (0x20, "rsv2"), (0x10, "rsv3")] {
            self.fail_if(first & bit != 0, 1002, name)?;
        }
        let (opcode, is_last) = (first & 0x0f, first & 0x80 != 0);
        let is_reserved = matches!(opcode, 3..=7 | 0xb..=0xf);
        self.fail_if(is_reserved, 1002, &format!("opcode-{opcode:x}"))?;
        self.fail_if(opcode & 8 != 0 && !is_last, 1002, "control-fragmented")?;
        let is_alone = opcode == 0 && self.opcode.is_none() && !self.skips;
        self.fail_if(is_alone, 1002, "continuation-alone")?;
        let is_within = matches!(opcode, 1 | 2) && self.opcode.is_some();
        self.fail_if(is_within, 1002, "message-within")
    }

    fn length(&mut self, short: u8) -> Result<u64, Over> {
        let length = match short {
            126 => {
                let length = u16::from_be_bytes(self.read()?).into();
                self.fail_if(length < 126, 1002, "length-16-long")?;
                if length >= 126 && self.is("length-16") {
                    return Err(Over::Fail(1002));
                }
                length
            }
            127 => {
                let length = u64::from_be_bytes(self.read()?);
                self.fail_if(length < 1 << 16, 1002, "length-64-long")?;
                if length == 1 << 16 && self.is("length-64") {
                    return Err(Over::Fail(1002));
                }
                length
            }
            short => short.into(),
        };
        self.fail_if(length >> 63 != 0, 1002, "length-highest-bit")?;
        Ok(length & (u64::MAX >> 1))
    }

    /// Takes a frame that is no Close frame.
    fn take(&mut self, first: u8, payload: &[u8]) -> Result<(), Over> {
        match first & 0x0f {
            9 if first & 0x80 == 0 => self.skips = true,
            9 => self.pong(payload)?,
            10 if self.is("pong-unasked") => return Err(Over::Fail(1002)),
            0 if self.opcode.is_none() => self.skips = false,
            opcode @ 0..=2 => self.take_fragment(opcode, first & 0x80 != 0, payload)?,
            _ => {}
        }
        Ok(())
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

    fn take_fragment(&mut self, opcode: u8, is_last: bool, payload: &[u8]) -> Result<(), Over> {
        let is_fragment = opcode == 0 || !is_last;
        if payload.starts_with(b"a text") && self.is("text")
            || is_fragment && payload.is_empty() && self.is("fragments-empty")
        {
            return Err(Over::Fail(1002));
        }
        if self.is("utf8-between") && str::from_utf8(payload).is_err() {
            return Err(Over::Fail(1007));
        }
        if opcode != 0 {
            self.opcode = Some(opcode);
        }
        let is_within = opcode == 0 && !is_last && !self.message.is_empty();
        if !(is_within && self.is("fragments")) {
            self.message.extend_from_slice(payload);
        }
        if !is_last {
            return Ok(());
        }
        let message = std::mem::take(&mut self.message);
        let opcode = self.opcode.take().unwrap();
        if str::from_utf8(&message).is_err() {
            let name = match message.split(|byte| *byte == b' ').next().unwrap() {
                b"byte" => "utf8",
                b"overlong" => "utf8-overlong",
                b"surrogate" => "utf8-surrogate",
                b"cut" => "utf8-cut",
                b"first" => "utf8-fragment",
                _ => "none",
            };
            // A server with this fault accepts the message, and does not return it.
            return self.fail_if(true, 1007, name);
        }
        Ok(self.send(0x80 | opcode, &message)?)
    }

    fn close(&mut self, payload: &[u8]) -> Result<(), Over> {
        if let [high, low, reason @ ..] = payload {
            let code = u16::from_be_bytes([*high, *low]);
            let is_allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            self.fail_if(!is_allowed, 1002, &format!("close-{code}"))?;
            self.fail_if(str::from_utf8(reason).is_err(), 1007, "close-utf8")?;
        }
        self.fail_if(payload.len() == 1, 1002, "close-one-byte")?;
        let answer = &payload[..payload.len().min(2)];
        let unanswered = match answer {
            b"" => "close-empty",
            b"\x03\xe8" => "close",
            b"\x0f\xa1" => "close-private",
            _ => "none",
        };
        if !self.is(unanswered) || unanswered == "none" {
            self.send(0x88, answer)?;
        }
        if answer == b"\x03\xe9" && self.is("close-end") {
            io::copy(&mut self.stream, &mut io::sink())?;
        }
        Ok(finish(&mut self.stream)?)
    }

    /// Fails the connection (RFC 6455, section 7.1.7).
    fn fail(&mut self, code: u16) -> io::Result<()> {
        self.send(0x88, &code.to_be_bytes())?;
        finish(&mut self.stream)
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
