//! Pings and their replies as WebSocket frames.

use anyhow::{Context, Result, bail};
use proto::PONG;
use proto::frame::{Decoder, Mask, Message, Opcode, Role, encode};

/// The text of each ping.
const PING: &[u8] = br#"{"client_name": "Client-300", "message": "Ping!"}"#;

/// A fixed masking key: no proxy sees these bytes.
const KEY: Mask = Mask([0x5a, 0x17, 0xc3, 0x88]);

/// Longest message that a program may send, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;

/// A ping as a masked text frame.
pub(super) fn ping() -> Vec<u8> {
    masked(Opcode::Text, PING)
}

fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode(&mut frame, opcode, payload, Some(KEY));
    frame
}

/// Counts the replies in what a server sends.
#[derive(Debug)]
pub(super) struct Replies(Decoder);

impl Default for Replies {
    fn default() -> Self {
        Self(Decoder::new(Role::Client, MAX_MESSAGE))
    }
}

impl Replies {
    /// Counts the replies that the next bytes complete. Answers to the server's Ping frames are
    /// appended to `answers`.
    ///
    /// # Errors
    /// If the server sends anything but a `Pong!` or a Ping frame.
    pub(super) fn count(&mut self, mut bytes: &mut [u8], answers: &mut Vec<u8>) -> Result<u64> {
        let mut replies = 0;
        while let Some(message) =
            self.0.decode(&mut bytes).context("the server broke the protocol")?
        {
            match message {
                Message::Text(text) if text == PONG => replies += 1,
                Message::Text(text) => bail!("the server replied {text:?}, not {PONG}"),
                Message::Binary(_) => bail!("the server replied in binary, not {PONG}"),
                Message::Ping(payload) => answers.extend(masked(Opcode::Pong, &payload)),
                Message::Pong(_) | Message::Deflated(..) => {}
                Message::Close(None) => bail!("the server closed the connection without a reason"),
                Message::Close(Some(close)) => {
                    bail!("the server closed the connection: {} {}", close.code, close.reason)
                }
            }
        }
        Ok(replies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reply as an unmasked text frame.
    const PONG_FRAME: &[u8] = b"\x81\x05Pong!";

    fn count(chunks: &[&[u8]]) -> Result<(u64, Vec<u8>)> {
        let (mut replies, mut answers) = (Replies::default(), Vec::new());
        let mut count = 0;
        for chunk in chunks {
            count += replies.count(&mut chunk.to_vec(), &mut answers)?;
        }
        Ok((count, answers))
    }

    fn error(bytes: &[u8]) -> String {
        format!("{:#}", count(&[bytes]).unwrap_err())
    }

    #[test]
    fn a_ping_is_a_masked_text_frame() {
        let frame = ping();
        assert_eq!(frame[..2], [0x81, 0x80 | 49]);
        let payload: Vec<_> =
            frame[6..].iter().zip(KEY.0.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
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
        assert_eq!(count(&[&stream]).unwrap(), (1, masked(Opcode::Pong, b"hi")));
    }

    #[test]
    fn anything_else_is_an_error() {
        assert!(error(b"\x81\x04Ping").contains("\"Ping\", not Pong!"));
        assert!(error(b"\x82\x05Pong!").contains("not Pong!"));
        assert!(error(b"\x88\x05\x03\xf1bad").contains("1009 bad"));
        assert!(error(b"\x88\x00").contains("without a reason"));
        assert!(error(b"\x81\x85Pong!").contains("masked"));
        assert!(error(b"\x81\x7f\0\0\0\0\0\x01\0\x01").contains("65536 bytes"));
        let long = [b"\x81\x7e\x00\xc8".as_slice(), &[b'x'; 200]].concat();
        assert!(error(&long).contains("xxx"));
    }
}
