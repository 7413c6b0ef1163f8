//! Frames as bytes (RFC 6455, section 5): many are written at once, and replies are read without a
//! copy. The headers are tungstenite's.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// How much of a message is kept, in bytes; a control frame fits in as well.
pub(crate) const KEPT: usize = 200;

/// Largest payload of a control frame, in bytes.
const MAX_CONTROL: u64 = 125;

/// Appends a whole frame, masked with a key of its own.
pub(crate) fn write(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) -> Result<(), Error> {
    let mask: [u8; 4] = rand::random();
    let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
    header.format(payload.len() as u64, out)?;
    let start = out.len();
    out.extend_from_slice(payload);
    for part in out[start..].chunks_mut(4) {
        part.iter_mut().zip(mask).for_each(|(byte, key)| *byte ^= key);
    }
    Ok(())
}

/// Appends a Close frame.
pub(crate) fn write_close(out: &mut Vec<u8>, frame: &CloseFrame) -> Result<(), Error> {
    let code = u16::from(frame.code).to_be_bytes();
    write(out, OpCode::Control(Control::Close), &[&code, frame.reason.as_bytes()].concat())
}

/// What a server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A text message: its first [`KEPT`] bytes, or all of them.
    Text(&'a [u8]),
    /// A binary message.
    Binary,
    /// A ping, with the payload of its pong.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// A Close frame, with its payload.
    Close(&'a [u8]),
}

/// Takes the bytes of a server apart, in whatever pieces they come.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The beginning of a header.
    header: Vec<u8>,
    frame: Option<Frame>,
    /// The kind of a message that goes on in further frames.
    message: Option<Data>,
    /// The first bytes of that message.
    text: Vec<u8>,
    /// The first bytes of a control frame.
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: OpCode,
    is_final: bool,
    /// Bytes of the payload that are still to come.
    left: u64,
}

impl Reader {
    /// Takes the next bytes; `take` gets what is complete with them.
    ///
    /// # Errors
    /// Where they break the protocol. Nothing more can be read then.
    pub(crate) fn read(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(Event<'_>),
    ) -> Result<(), Error> {
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.begin(&mut bytes)? {
                    Some(frame) => frame,
                    None => return Ok(()),
                },
            };
            let here = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
            let (payload, rest) = bytes.split_at(here);
            bytes = rest;
            let left = frame.left - here as u64;
            if left > 0 {
                self.keep(frame.opcode, payload);
                self.frame = Some(Frame { left, ..frame });
                return Ok(());
            }
            self.frame = None;
            self.end(frame, payload, &mut take);
        }
    }

    /// The header of the next frame, if all of it is there.
    fn begin(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, Error> {
        let parsed = if self.header.is_empty() {
            let mut cursor = Cursor::new(*bytes);
            let parsed = FrameHeader::parse(&mut cursor)?;
            match parsed {
                Some(_) => *bytes = &bytes[cursor.position() as usize..],
                None => {
                    self.header.extend_from_slice(bytes);
                    *bytes = &[];
                }
            }
            parsed
        } else {
            self.begun(bytes)?
        };
        match parsed {
            Some((header, length)) => self.checked(&header, length).map(Some),
            None => Ok(None),
        }
    }

    /// The header that began in earlier bytes.
    fn begun(&mut self, bytes: &mut &[u8]) -> Result<Option<(FrameHeader, u64)>, Error> {
        while let Some((byte, rest)) = bytes.split_first() {
            self.header.push(*byte);
            *bytes = rest;
            let parsed = FrameHeader::parse(&mut Cursor::new(&self.header))?;
            if parsed.is_some() {
                self.header = Vec::new();
                return Ok(parsed);
            }
        }
        Ok(None)
    }

    fn checked(&self, header: &FrameHeader, left: u64) -> Result<Frame, Error> {
        let FrameHeader { is_final, opcode, .. } = *header;
        let fault = if header.mask.is_some() {
            Some(ProtocolError::MaskedFrameFromServer)
        } else if header.rsv1 || header.rsv2 || header.rsv3 {
            Some(ProtocolError::NonZeroReservedBits)
        } else {
            match opcode {
                OpCode::Control(_) if !is_final => Some(ProtocolError::FragmentedControlFrame),
                OpCode::Control(_) if left > MAX_CONTROL => Some(ProtocolError::ControlFrameTooBig),
                OpCode::Data(Data::Continue) if self.message.is_none() => {
                    Some(ProtocolError::UnexpectedContinueFrame)
                }
                OpCode::Data(data @ (Data::Text | Data::Binary)) if self.message.is_some() => {
                    Some(ProtocolError::ExpectedFragment(data))
                }
                _ => None,
            }
        };
        match fault {
            Some(fault) => Err(fault.into()),
            None => Ok(Frame { opcode, is_final, left }),
        }
    }

    fn keep(&mut self, opcode: OpCode, payload: &[u8]) {
        let kept = match opcode {
            OpCode::Data(_) => &mut self.text,
            OpCode::Control(_) => &mut self.control,
        };
        kept.extend_from_slice(&payload[..payload.len().min(KEPT - kept.len())]);
    }

    /// The end of a frame, with the rest of its payload.
    fn end(&mut self, frame: Frame, rest: &[u8], take: &mut impl FnMut(Event<'_>)) {
        match frame.opcode {
            OpCode::Data(Data::Text)
                if frame.is_final && self.text.is_empty() && rest.len() <= KEPT =>
            {
                take(Event::Text(rest));
            }
            OpCode::Data(data) => {
                self.keep(frame.opcode, rest);
                let data = self.message.take().unwrap_or(data);
                if !frame.is_final {
                    self.message = Some(data);
                    return;
                }
                let text = std::mem::take(&mut self.text);
                take(if data == Data::Binary { Event::Binary } else { Event::Text(&text) });
            }
            OpCode::Control(control) => {
                self.keep(frame.opcode, rest);
                let payload = std::mem::take(&mut self.control);
                take(match control {
                    Control::Ping => Event::Ping(&payload),
                    Control::Close => Event::Close(&payload),
                    Control::Pong | Control::Reserved(_) => Event::Pong,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::Role;
    use tokio_tungstenite::tungstenite::{Message, WebSocket};

    /// Everything in `bytes`, which come in pieces of this size.
    fn events(bytes: &[u8], piece: usize) -> Result<Vec<String>, Error> {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for piece in bytes.chunks(piece) {
            reader.read(piece, |event| {
                events.push(match event {
                    Event::Text(text) => format!("text {}", String::from_utf8_lossy(text)),
                    Event::Ping(payload) => format!("ping {}", String::from_utf8_lossy(payload)),
                    Event::Close(payload) => format!("close {payload:?}"),
                    event => format!("{event:?}"),
                });
            })?;
        }
        Ok(events)
    }

    #[test]
    fn every_kind_of_frame_in_pieces_of_any_size() {
        let bytes = [
            b"\x81\x05Pong!\x81\x00\x82\x03bin".as_slice(),
            b"\x01\x02Po\x89\x02hi\x00\x00\x80\x03ng!",
            b"\x8a\x00\x02\x01b\x80\x01c",
            b"\x81\x7e\x01\x2c",
            &[b'x'; 300],
            b"\x88\x02\x03\xe9",
        ]
        .concat();
        let long = format!("text {}", "x".repeat(KEPT));
        let expected = [
            "text Pong!",
            "text ",
            "Binary",
            "ping hi",
            "text Pong!",
            "Pong",
            "Binary",
            &long,
            "close [3, 233]",
        ];
        for piece in 1..=bytes.len() {
            assert_eq!(events(&bytes, piece).unwrap(), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn what_breaks_the_protocol_is_refused() {
        for bytes in [
            b"\x81\x85\0\0\0\0Pong!".as_slice(),
            b"\xc1\x05Pong!",
            b"\x80\x05Pong!",
            b"\x01\x01P\x81\x01P",
            b"\x09\x00",
            b"\x89\x7e\x00\x7e",
            b"\x83\x00",
        ] {
            assert!(matches!(events(bytes, 1), Err(Error::Protocol(_))), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), piece in 1..40_usize) {
            let _ = events(&bytes, piece);
        }

        #[test]
        fn a_server_reads_what_is_written(texts in prop::collection::vec("[ -~]{0,300}", 1..20)) {
            let mut bytes = Vec::new();
            for text in &texts {
                write(&mut bytes, OpCode::Data(Data::Text), text.as_bytes()).unwrap();
            }
            let mut server = WebSocket::from_raw_socket(Cursor::new(bytes), Role::Server, None);
            for text in texts {
                prop_assert_eq!(server.read().unwrap(), Message::text(text));
            }
        }
    }
}
