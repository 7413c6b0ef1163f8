//! The stream below the frames, watched: what has arrived, and whether the peer reads.
//!
//! tungstenite hands out whole messages only. Which messages are complete, whether one is
//! unfinished and whether writing is stuck can be seen on the way of the bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::Stream;
use crate::metrics::WorkerMetrics;

/// A stream of WebSocket frames from a client.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    frames: FrameCounter,
    pending: Pending,
    counts: Arc<WorkerMetrics>,
}

/// What the peer has begun and not ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pending {
    /// Since when a message is unfinished.
    pub(super) unfinished_since: Option<Instant>,
    /// Since when nothing of what is written was taken.
    pub(super) stuck_since: Option<Instant>,
}

impl<S> Wire<S> {
    /// `early` are the bytes that arrived behind the handshake.
    pub(super) fn new(stream: S, early: &[u8], counts: Arc<WorkerMetrics>) -> Self {
        let frames = FrameCounter::default();
        let mut wire = Self { stream, frames, pending: Pending::default(), counts };
        wire.arrived(early);
        wire
    }

    fn arrived(&mut self, bytes: &[u8]) {
        self.counts.received_bytes.add(bytes.len() as u64);
        let complete = self.frames.messages;
        self.frames.feed(bytes);
        if self.frames.messages != complete || !self.frames.is_mid_message() {
            self.pending.unfinished_since = None;
        }
        if self.frames.is_mid_message() {
            self.pending.unfinished_since.get_or_insert_with(Instant::now);
        }
    }

    /// Whether a message has arrived as a whole and was not taken yet.
    pub(super) fn has_message(&self) -> bool {
        self.frames.messages > 0
    }

    /// Whether anything has arrived that was not taken yet, be it a part of a frame.
    pub(super) fn has_unread(&self) -> bool {
        self.frames.messages + self.frames.controls > 0 || self.frames.is_mid_message()
    }

    /// Notes that a message was taken.
    pub(super) fn message_taken(&mut self) {
        self.frames.messages = self.frames.messages.saturating_sub(1);
    }

    /// Notes that a control frame was taken.
    pub(super) fn control_taken(&mut self) {
        self.frames.controls = self.frames.controls.saturating_sub(1);
    }

    /// Whether there may be something to read; if not, the task is woken when there is.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()>
    where
        S: Stream,
    {
        self.stream.poll_readable(cx)
    }

    /// Gives a message that is unfinished its time anew.
    pub(super) fn restart_unfinished(&mut self) {
        if let Some(since) = &mut self.pending.unfinished_since {
            *since = Instant::now();
        }
    }

    fn note_stuck(&mut self, is_stuck: bool) {
        if is_stuck {
            self.pending.stuck_since.get_or_insert_with(Instant::now);
        } else {
            self.pending.stuck_since = None;
        }
    }

    /// What the peer has begun and not ended.
    pub(super) fn pending(&self) -> Pending {
        self.pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.arrived(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_stuck(poll.is_pending());
        if let Poll::Ready(Ok(written)) = poll {
            self.counts.sent_bytes.add(written as u64);
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.stream.written();
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        let is_stuck = poll.is_pending() && self.stream.written() == before;
        self.note_stuck(is_stuck);
        poll
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Follows the frames in a stream of bytes by their headers (RFC 6455, section 5.2). It judges
/// nothing: what a broken frame makes of the counts does not matter, as it ends the connection.
#[derive(Debug, Default)]
struct FrameCounter {
    /// Data messages whose last byte has arrived and that were not taken.
    messages: u32,
    /// Control frames of which the same is true.
    controls: u32,
    /// A Close frame has arrived: nothing counts behind it.
    closed: bool,
    /// A data message has begun in an earlier frame.
    in_message: bool,
    /// A frame has begun, and its header is complete.
    in_frame: bool,
    /// The first byte of that frame.
    first: u8,
    /// Bytes of its payload that are still to come.
    payload_left: u64,
    /// The header of the next frame, as far as it is here.
    header: [u8; MAX_HEADER],
    header_len: u8,
}

/// Two bytes, an extended length of eight, a mask of four.
const MAX_HEADER: usize = 14;

const FIN: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CONTROL: u8 = 0x08;
const CLOSE: u8 = 0x08;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// The length of the header and of the payload of the frame that `bytes` begin with; `None` if
/// the header is not complete.
fn parse_header(bytes: &[u8]) -> Option<(usize, u64)> {
    let second = *bytes.get(1)?;
    let mask = if second & MASKED == 0 { 0 } else { 4 };
    let extended = |len: usize| {
        let length = bytes.get(2..2 + len)?;
        Some(length.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    };
    let (header, payload) = match second & LENGTH {
        126 => (4, extended(2)?),
        127 => (10, extended(8)?),
        len => (2, u64::from(len)),
    };
    (bytes.len() >= header + mask).then_some((header + mask, payload))
}

impl FrameCounter {
    /// Whether a message or a frame has begun that is not complete.
    fn is_mid_message(&self) -> bool {
        self.in_message || self.in_frame || self.header_len > 0
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.closed {
            if !self.in_frame {
                bytes = self.take_header(bytes);
            }
            if self.in_frame {
                bytes = self.take_payload(bytes);
            }
        }
    }

    /// Takes the header of a frame, or as much of it as is here. Returns what stands behind it.
    fn take_header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let have = usize::from(self.header_len);
        if have == 0
            && let Some((len, payload)) = parse_header(bytes)
        {
            self.begin_frame(bytes[0], payload);
            return &bytes[len..];
        }
        // It does not come as a whole, which is rare.
        self.header[have] = bytes[0];
        self.header_len += 1;
        if let Some((_, payload)) = parse_header(&self.header[..=have]) {
            self.header_len = 0;
            self.begin_frame(self.header[0], payload);
        }
        &bytes[1..]
    }

    fn begin_frame(&mut self, first: u8, payload: u64) {
        self.in_frame = true;
        self.first = first;
        self.payload_left = payload;
    }

    /// Takes the payload of a frame, or as much of it as is here. Returns what stands behind it.
    fn take_payload<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let taken =
            usize::try_from(self.payload_left).map_or(bytes.len(), |left| left.min(bytes.len()));
        self.payload_left -= taken as u64;
        if self.payload_left == 0 {
            self.end_frame();
        }
        &bytes[taken..]
    }

    fn end_frame(&mut self) {
        self.in_frame = false;
        if self.first & CONTROL != 0 {
            self.closed = self.first & OPCODE == CLOSE;
            self.controls = self.controls.saturating_add(1);
        } else {
            self.in_message = self.first & FIN == 0;
            self.messages = self.messages.saturating_add(u32::from(!self.in_message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(early: &[u8]) -> Wire<()> {
        Wire::new((), early, Arc::new(WorkerMetrics::new(std::time::Instant::now())))
    }

    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match payload {
            0..126 => frame.push(MASKED | payload as u8),
            126..65536 => {
                frame.push(MASKED | 126);
                frame.extend_from_slice(&(payload as u16).to_be_bytes());
            }
            _ => {
                frame.push(MASKED | 127);
                frame.extend_from_slice(&(payload as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[1, 2, 3, 4]);
        frame.extend(std::iter::repeat_n(0xff, payload));
        frame
    }

    /// (messages, mid message) after all the frames, fed in pieces of every size.
    fn counted(frames: &[Vec<u8>]) -> (u32, bool) {
        let bytes = frames.concat();
        let mut outcomes = Vec::new();
        for piece in [1, 2, 3, 7, 64, usize::MAX] {
            let mut wire = watched(b"");
            bytes.chunks(piece.min(bytes.len())).for_each(|bytes| wire.arrived(bytes));
            outcomes.push((wire.frames.messages, wire.pending().unfinished_since.is_some()));
        }
        outcomes.dedup();
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        outcomes[0]
    }

    #[test]
    fn whole_messages_are_counted() {
        assert_eq!(counted(&[frame(0x81, 0)]), (1, false));
        assert_eq!(counted(&[frame(0x81, 5), frame(0x82, 300), frame(0x81, 70_000)]), (3, false));
    }

    #[test]
    fn fragments_make_one_message() {
        assert_eq!(counted(&[frame(0x01, 5)]), (0, true));
        assert_eq!(counted(&[frame(0x01, 5), frame(0x00, 0), frame(0x80, 5)]), (1, false));
    }

    #[test]
    fn control_frames_are_no_messages_and_may_stand_between_fragments() {
        assert_eq!(counted(&[frame(0x89, 4), frame(0x8a, 2)]), (0, false));
        assert_eq!(counted(&[frame(0x01, 5), frame(0x89, 4)]), (0, true));
    }

    #[test]
    fn nothing_counts_behind_a_close_frame() {
        assert_eq!(counted(&[frame(0x81, 5), frame(0x88, 2), frame(0x81, 5)]), (1, false));
    }

    #[test]
    fn whatever_is_left_counts_as_unread() {
        let mut wire = watched(&[frame(0x81, 5), frame(0x88, 2)].concat());
        wire.message_taken();
        assert!(!wire.has_message() && wire.has_unread());
        wire.control_taken();
        assert!(!wire.has_unread());

        let mut wire = watched(b"");
        wire.arrived(&[0x81]);
        assert!(!wire.has_message() && wire.has_unread());
    }

    #[test]
    fn a_part_of_a_frame_is_seen() {
        for cut in 1..frame(0x81, 300).len() {
            let mut part = frame(0x81, 300);
            part.truncate(cut);
            assert_eq!(counted(&[frame(0x81, 5), part]), (1, true), "{cut}");
        }
    }
}
