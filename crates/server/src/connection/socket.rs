//! A WebSocket over an asynchronous stream.
//!
//! tokio-tungstenite's own stream registers two wakers anew for every message. This one knows
//! the one task that it belongs to, and can be written to from outside of it. Replies skip
//! tungstenite's message and frame types on their way out.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, WebSocket};

use super::Stream;
use super::wire::Wire;
use crate::metrics::WorkerMetrics;
use crate::service::{Kind, Reply};

/// The server's end of a WebSocket.
#[derive(Debug)]
pub(super) struct Socket<S> {
    socket: WebSocket<Bridge<S>>,
    /// Something was queued in `socket` and is not written as a whole yet.
    unflushed: bool,
}

/// An asynchronous stream for a synchronous protocol: what cannot be done now would block, and
/// wakes the task later.
#[derive(Debug)]
struct Bridge<S> {
    wire: Wire<S>,
    waker: Waker,
    /// Whole frames that go out before anything else.
    ahead: Vec<u8>,
    /// How many bytes of `ahead` have gone out.
    gone: usize,
    /// The last write took a part only: a frame may be cut in the middle.
    cut: bool,
}

/// Room for frames that an idle connection keeps, in bytes.
const ROOM: usize = 128;

impl<S: Stream> Socket<S> {
    /// A socket over a stream that was upgraded; `early` are the bytes that arrived with the
    /// request.
    pub(super) fn new(
        stream: S,
        early: Vec<u8>,
        config: WebSocketConfig,
        counts: Arc<WorkerMetrics>,
    ) -> Self {
        let wire = Wire::new(stream, &early, counts);
        let bridge =
            Bridge { wire, waker: Waker::noop().clone(), ahead: Vec::new(), gone: 0, cut: false };
        let socket = WebSocket::from_partially_read(bridge, early, Role::Server, Some(config));
        Self { socket, unflushed: false }
    }

    /// The stream below.
    pub(super) fn wire(&self) -> &Wire<S> {
        &self.socket.get_ref().wire
    }

    pub(super) fn wire_mut(&mut self) -> &mut Wire<S> {
        &mut self.socket.get_mut().wire
    }

    /// Writes what was queued, as [`Self::flush`] does; the task to wake is that of `cx` from now
    /// on.
    ///
    /// # Errors
    /// When the connection is broken or over.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        self.socket.get_mut().waker.clone_from(cx.waker());
        self.flush()
    }

    /// The next message. To be called only after [`Self::poll_flush`] has written all.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Error>> {
        self.socket.get_mut().waker.clone_from(cx.waker());
        match self.socket.read() {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    /// The next message, if it has arrived as a whole already.
    pub(super) fn next_arrived(&mut self) -> Option<Result<Message, Error>> {
        if !self.wire().has_message() {
            return None;
        }
        match self.socket.read() {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => None,
            result => Some(result),
        }
    }

    /// Queues a reply, to be written by [`Self::flush`]. As a rule only its header has to be
    /// made; tungstenite's queue is for the times when that holds something.
    ///
    /// # Errors
    /// When the connection cannot take it.
    pub(super) fn queue_reply(&mut self, reply: &Reply) -> Result<(), Error> {
        let opcode = OpCode::Data(match reply.kind {
            Kind::Text => Data::Text,
            Kind::Binary => Data::Binary,
        });
        if self.unflushed || self.socket.get_ref().cut {
            let payload = Bytes::copy_from_slice(&reply.bytes);
            return self.queue(Message::Frame(Frame::message(payload, opcode, true)));
        }
        let ahead = &mut self.socket.get_mut().ahead;
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        header.format(reply.bytes.len() as u64, &mut *ahead)?;
        ahead.extend_from_slice(&reply.bytes);
        Ok(())
    }

    /// Queues a message, to be written by [`Self::flush`].
    ///
    /// # Errors
    /// When the connection cannot take it.
    pub(super) fn queue(&mut self, message: Message) -> Result<(), Error> {
        self.unflushed = true;
        accepted(self.socket.write(message))
    }

    /// Queues a Close frame.
    ///
    /// # Errors
    /// When the connection cannot take it.
    pub(super) fn queue_close(&mut self, frame: Option<CloseFrame>) -> Result<(), Error> {
        // The answer to a protocol ping would go out behind the Close frame otherwise.
        self.unflushed = true;
        self.flush()?;
        self.unflushed = true;
        accepted(self.socket.close(frame))
    }

    /// Writes what was queued; `false` means that the peer has to read first, which wakes the
    /// task.
    ///
    /// # Errors
    /// When the connection is broken or over.
    pub(super) fn flush(&mut self) -> Result<bool, Error> {
        let bridge = self.socket.get_mut();
        let flushed = match bridge.write_ahead() {
            Ok(()) if self.unflushed => self.socket.flush(),
            Ok(()) => bridge.flush().map_err(Error::Io),
            Err(error) => Err(Error::Io(error)),
        };
        match flushed {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            result => {
                self.unflushed = false;
                result.map(|()| true)
            }
        }
    }
}

/// A message that could be queued but not written yet was accepted all the same.
fn accepted(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        result => result,
    }
}

fn or_would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl<S: Stream> Bridge<S> {
    /// Writes the frames that go out before anything else.
    fn write_ahead(&mut self) -> io::Result<()> {
        while self.gone < self.ahead.len() {
            let mut cx = Context::from_waker(&self.waker);
            let poll = Pin::new(&mut self.wire).poll_write(&mut cx, &self.ahead[self.gone..]);
            let written = or_would_block(poll)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.gone += written;
        }
        self.ahead.clear();
        self.gone = 0;
        self.ahead.shrink_to(ROOM);
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> Read for Bridge<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut cx = Context::from_waker(&self.waker);
        let mut buf = ReadBuf::new(buf);
        or_would_block(Pin::new(&mut self.wire).poll_read(&mut cx, &mut buf))?;
        Ok(buf.filled().len())
    }
}

impl<S: Stream> Write for Bridge<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_ahead()?;
        let mut cx = Context::from_waker(&self.waker);
        let written = or_would_block(Pin::new(&mut self.wire).poll_write(&mut cx, buf));
        self.cut = !written.as_ref().is_ok_and(|&written| written == buf.len());
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut cx = Context::from_waker(&self.waker);
        or_would_block(Pin::new(&mut self.wire).poll_flush(&mut cx))
    }
}
