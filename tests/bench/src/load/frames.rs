//! WebSocket frames (RFC 6455, section 5), as far as a ping and its reply need them.

use anyhow::{Result, bail};

/// What is sent.
const PING: &[u8] = br#"{"client_name": "Client-300", "message": "Ping!"}"#;

/// What comes back.
const PONG: &[u8] = b"Pong!";

/// The reply as an unmasked text frame.
const PONG_FRAME: &[u8] = b"\x81\x05Pong!";

/// Any key will do for bytes that no proxy sees.
const KEY: [u8; 4] = [0x5a, 0x17, 0xc3, 0x88];

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const CONTROL_PING: u8 = 0x9;
const CONTROL_PONG: u8 = 0xa;

/// Bytes of the longest head of an unmasked frame whose length has 16 bits.
const LONG_HEAD: usize = 4;

/// Longest payload of a frame of ours, in bytes.
const SHORT: usize = 125;

/// A ping as a masked text frame.
pub(super) fn ping() -> Vec<u8> {
    masked(TEXT, PING)
}

fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len().min(SHORT);
    let mut frame = vec![0x80 | opcode, 0x80 | length.to_le_bytes()[0]];
    frame.extend(KEY);
    frame.extend(payload[..length].iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Counts the replies in what a server sends.
#[derive(Clone, Debug, Default)]
pub(super) struct Replies {
    /// A frame that is not whole yet.
    partial: Vec<u8>,
}

impl Replies {
    /// Takes the next bytes and counts the replies that they complete. What the server has to be
    /// answered is appended to `answers`.
    ///
    /// # Errors
    /// When anything but a `Pong!` comes.
    pub(super) fn take(&mut self, mut bytes: &[u8], answers: &mut Vec<u8>) -> Result<u64> {
        let mut replies = 0;
        loop {
            if self.partial.is_empty() {
                while let Some(rest) = bytes.strip_prefix(PONG_FRAME) {
                    bytes = rest;
                    replies += 1;
                }
            }
            let Some(frame) = self.next_frame(&mut bytes)? else { return Ok(replies) };
            replies += u64::from(is_reply(&frame, answers)?);
        }
    }

    /// Takes bytes up to the end of a frame; `None` if they do not suffice.
    fn next_frame(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>> {
        loop {
            let missing = missing(&self.partial)?;
            if missing == 0 {
                return Ok(Some(std::mem::take(&mut self.partial)));
            }
            if bytes.is_empty() {
                return Ok(None);
            }
            let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend_from_slice(taken);
            *bytes = rest;
        }
    }
}

/// How many bytes more there have to be, to know or to have the whole frame.
fn missing(partial: &[u8]) -> Result<usize> {
    let whole = match *partial {
        [_, length @ 0..=125, ..] => 2 + usize::from(length),
        [_, 126, high, low, ..] => LONG_HEAD + usize::from(u16::from_be_bytes([high, low])),
        [_, 126, ..] => LONG_HEAD,
        [_, 127, ..] => bail!("the server sent a frame of more than 64 KiB"),
        [_, 128..=255, ..] => {
            bail!("the server sent a masked frame, or no WebSocket frames at all")
        }
        _ => 2,
    };
    Ok(whole - partial.len())
}

/// Whether a whole frame is a reply.
fn is_reply(frame: &[u8], answers: &mut Vec<u8>) -> Result<bool> {
    let head = if frame[1] == 126 { LONG_HEAD } else { 2 };
    let (opcode, payload) = (frame[0] & 0x0f, &frame[head..]);
    match opcode {
        TEXT if payload == PONG => return Ok(true),
        CONTROL_PING => answers.extend(masked(CONTROL_PONG, payload)),
        CONTROL_PONG => {}
        CLOSE => bail!("the server closed the connection: {}", reason(payload)),
        _ => bail!("the server replied {:?}, not Pong!", String::from_utf8_lossy(payload)),
    }
    Ok(false)
}

fn reason(payload: &[u8]) -> String {
    let Some((code, text)) = payload.split_first_chunk() else { return "no reason given".into() };
    format!("{} {}", u16::from_be_bytes(*code), String::from_utf8_lossy(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(chunks: &[&[u8]]) -> Result<(u64, Vec<u8>)> {
        let (mut replies, mut answers) = (Replies::default(), Vec::new());
        let mut count = 0;
        for chunk in chunks {
            count += replies.take(chunk, &mut answers)?;
        }
        Ok((count, answers))
    }

    fn error(bytes: &[u8]) -> String {
        count(&[bytes]).unwrap_err().to_string()
    }

    #[test]
    fn a_ping_is_masked() {
        let frame = ping();
        assert_eq!(frame[..2], [0x81, 0x80 | 49]);
        let payload: Vec<_> =
            frame[6..].iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        assert_eq!(payload, PING);
    }

    #[test]
    fn replies_count_wherever_they_are_cut() {
        let stream = PONG_FRAME.repeat(3);
        assert_eq!(count(&[&stream]).unwrap().0, 3);
        for at in 0..stream.len() {
            let (first, second) = stream.split_at(at);
            assert_eq!(count(&[first, second]).unwrap().0, 3, "cut at {at}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(count(&single).unwrap().0, 3);
        assert_eq!(count(&[&stream[..20]]).unwrap().0, 2);
    }

    #[test]
    fn a_ping_from_the_server_is_answered_and_not_counted() {
        let stream = [b"\x89\x02hi", PONG_FRAME, b"\x8a\x00"].concat();
        assert_eq!(count(&[&stream]).unwrap(), (1, masked(CONTROL_PONG, b"hi")));
    }

    #[test]
    fn anything_else_is_an_error() {
        assert!(error(b"\x81\x04Ping").contains("\"Ping\", not Pong!"));
        assert!(error(b"\x82\x05Pong!").contains("not Pong!"));
        assert!(error(b"\x88\x05\x03\xf1bad").contains("1009 bad"));
        assert!(error(b"\x88\x00").contains("no reason given"));
        assert!(error(b"\x81\x85Pong!").contains("masked"));
        assert!(error(b"\x81\x7f").contains("64 KiB"));
        let long = [b"\x81\x7e\x00\xc8".as_slice(), &[b'x'; 200]].concat();
        assert!(error(&long).contains("xxx"));
    }
}
