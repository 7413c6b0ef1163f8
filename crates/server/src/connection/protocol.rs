//! What comes in other frames than whole messages: fragments, control frames, what is broken, and
//! what has not arrived as a whole. tungstenite takes care of it, one frame at a time, and is let
//! go when there is no more of it.

use std::io::{self, Read, Write};

use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame, Message, Role, WebSocketConfig, WebSocketContext,
};
use tokio_tungstenite::tungstenite::{Error, Result};

use super::tracker::FrameTracker;

/// Size of the steps in which tungstenite reads, in bytes.
const READ_BUFFER: usize = 4096;

/// The server's side of the protocol.
#[derive(Debug)]
pub(super) struct Protocol {
    context: WebSocketContext,
    tracker: FrameTracker,
}

/// Gives tungstenite what has arrived, no further than to the end of a frame, and takes what it
/// says. It never makes it wait for room.
struct Bridge<'a, 'b> {
    input: &'a mut &'b [u8],
    output: &'a mut Vec<u8>,
    tracker: &'a mut FrameTracker,
}

impl Protocol {
    /// Between two messages, none of which may be longer than `max_message` bytes.
    pub(super) fn new(max_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let context = WebSocketContext::new(Role::Server, Some(config));
        Self { context, tracker: FrameTracker::default() }
    }

    /// The next message in `input`, which then begins behind it; `None` if more has to come. The
    /// answer to a protocol ping goes to `output`.
    ///
    /// # Errors
    /// When the peer breaks the protocol, or the closing handshake is done.
    pub(super) fn next(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> Option<Result<Message>> {
        let mut bridge = Bridge { input, output, tracker: &mut self.tracker };
        match self.context.read(&mut bridge) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => None,
            Ok(ping @ Message::Ping(_)) => Some(self.context.flush(&mut bridge).map(|()| ping)),
            result => Some(result),
        }
    }

    /// Whether the peer has begun neither a frame nor a message.
    pub(super) fn is_idle(&self) -> bool {
        !self.tracker.is_mid_message()
    }

    /// Puts a Close frame into `output`: `frame`, or the answer to the peer's.
    pub(super) fn close(&mut self, frame: Option<CloseFrame>, output: &mut Vec<u8>) {
        let mut bridge = Bridge { input: &mut &[][..], output, tracker: &mut self.tracker };
        // An error says that there is nothing more to say, as after the answer.
        let _ = match frame {
            Some(frame) => self.context.close(&mut bridge, Some(frame)),
            None => self.context.flush(&mut bridge),
        };
    }
}

impl Read for Bridge<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let room = buf.len().min(self.input.len());
        let taken = self.tracker.advance(&self.input[..room]);
        self.input.read(&mut buf[..taken])
    }
}

impl Write for Bridge<'_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.output.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
