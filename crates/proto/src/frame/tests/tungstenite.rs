//! tungstenite as the other implementation that the codec is compared with.

use std::io::{self, Read, Write};

use tokio_tungstenite::tungstenite::protocol::{Role as Side, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error as Failure, Message as Peer};

use super::{Close, CloseCode, MAX, Message, Outcome, Role};

/// A stream with these bytes, which then ends.
struct Wire<'a>(&'a [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(buf) }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decodes a stream with tungstenite.
pub(super) fn decoded(role: Role, stream: &[u8]) -> Outcome {
    let config = WebSocketConfig::default().max_message_size(Some(MAX)).max_frame_size(Some(MAX));
    let role = match role {
        Role::Server => Side::Server,
        Role::Client => Side::Client,
    };
    let mut context = WebSocketContext::new(role, Some(config));
    let mut wire = Wire(stream);
    let mut messages = Vec::new();
    let failed = loop {
        messages.push(match context.read(&mut wire) {
            Ok(Peer::Text(text)) => Message::Text(text.as_str().to_owned().into()),
            Ok(Peer::Binary(bytes)) => Message::Binary(bytes.to_vec().into()),
            Ok(Peer::Ping(bytes)) => Message::Ping(bytes.to_vec().into()),
            Ok(Peer::Pong(bytes)) => Message::Pong(bytes.to_vec().into()),
            // tungstenite returns this for a code that must not be sent.
            Ok(Peer::Close(Some(close))) if close.reason == "Protocol violation" => {
                break Some(CloseCode(close.code.into()));
            }
            Ok(Peer::Close(close)) => {
                messages.push(Message::Close(close.map(|close| Close {
                    code: CloseCode(close.code.into()),
                    reason: close.reason.as_str().to_owned().into(),
                })));
                break None;
            }
            Ok(Peer::Frame(_)) => unreachable!("only for writing"),
            Err(Failure::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break None,
            Err(Failure::Capacity(_)) => break Some(CloseCode::TOO_BIG),
            Err(Failure::Utf8(_)) => break Some(CloseCode::INVALID),
            Err(Failure::Protocol(_)) => break Some(CloseCode::PROTOCOL),
            Err(error) => panic!("{error}"),
        });
    };
    Outcome { messages, failed }
}
