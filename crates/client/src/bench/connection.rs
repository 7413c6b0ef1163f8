//! One connection under load: it keeps pings on their way and takes the replies.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use proto::escape;
use proto::ping::ERROR_PREFIX;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::frames::{self, Event, Reader};
use super::shared::{Phase, Shared, Work};
use crate::net::ending::Ending;

/// About how much is written at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// How long a server may take to close a connection.
pub(crate) const CLOSING: Duration = Duration::from_secs(3);

/// Pings that went out together.
#[derive(Clone, Copy, Debug)]
struct Batch {
    /// When they were due, in nanoseconds since the start.
    due: u64,
    /// When they were sent.
    sent: u64,
    count: u32,
}

/// A connection after its upgrade. As a future it ends with the connection.
pub(crate) struct Connection<S> {
    stream: S,
    shared: Rc<Shared>,
    /// Its number among those of all threads, from 0.
    number: u64,
    /// Bytes that came with the upgrade.
    early: Vec<u8>,
    reader: Reader,
    /// What the stream did not take yet.
    unwritten: Vec<u8>,
    /// Pings without a reply, the oldest first.
    awaited: VecDeque<Batch>,
    in_flight: u32,
    /// Pings of the schedule that were sent.
    turns: u64,
    /// Payload of the pong that is due. Only the last ping has to be answered (RFC 6455, section
    /// 5.5.3).
    pong: Option<Vec<u8>>,
    timer: Pin<Box<Sleep>>,
    is_timed: bool,
    /// The phase that was seen last.
    phase: Phase,
    is_leaving: bool,
}

impl<S> Connection<S> {
    pub(crate) fn new(stream: S, early: Vec<u8>, number: u64, shared: Rc<Shared>) -> Self {
        shared.joined();
        Self {
            stream,
            number,
            early,
            reader: Reader::default(),
            unwritten: Vec::new(),
            awaited: VecDeque::new(),
            in_flight: 0,
            turns: 0,
            pong: None,
            timer: Box::pin(sleep(shared.plan.patience)),
            is_timed: false,
            phase: Phase::Opening,
            is_leaving: false,
            shared,
        }
    }

    /// How many pings to send now.
    fn wanted(&self, now: u64) -> u32 {
        let plan = &self.shared.plan;
        let free = plan.in_flight - self.in_flight;
        let phase = self.shared.phase();
        match plan.schedule {
            None if phase == Phase::Running => free,
            // What became due up to the end is sent then.
            Some(schedule)
                if phase == Phase::Running
                    || (phase, self.phase) == (Phase::Draining, Phase::Running) =>
            {
                let due = schedule.turns_by(self.number, now).saturating_sub(self.turns);
                u32::try_from(due).unwrap_or(free).min(free)
            }
            _ => 0,
        }
    }

    /// Puts what is to be written into the output.
    fn compose(&mut self, work: &mut Work) -> Result<(), Error> {
        let output = &mut work.output;
        output.clear();
        if let Some(payload) = self.pong.take() {
            frames::write(output, OpCode::Control(Control::Pong), &payload)?;
        }
        let sent = self.shared.now();
        let text = &self.shared.plan.text;
        let most = u32::try_from(CHUNK / text.len().max(1)).unwrap_or(u32::MAX).max(1);
        let count = self.wanted(sent).min(most);
        for _ in 0..count {
            frames::write(output, OpCode::Data(Data::Text), text)?;
        }
        self.in_flight += count;
        work.figures.sent += u64::from(count);
        match self.shared.plan.schedule {
            Some(schedule) => {
                for _ in 0..count {
                    let due = schedule.due(schedule.ping(self.number, self.turns));
                    self.awaited.push_back(Batch { due, sent, count: 1 });
                    self.turns += 1;
                }
            }
            None if count > 0 => self.awaited.push_back(Batch { due: sent, sent, count }),
            None => {}
        }
        Ok(())
    }

    /// Takes the next bytes from the server.
    fn take(&mut self, bytes: &[u8], work: &mut Work) -> Result<(), Ending> {
        let now = self.shared.now();
        let figures = &mut work.figures;
        let Self { reader, awaited, in_flight, pong, .. } = self;
        let mut ending = None;
        let before = *in_flight;
        let read = reader.read(bytes, |event| match event {
            Event::Text(text) => {
                let Some(due) = answered(awaited) else { return };
                *in_flight -= 1;
                if text.starts_with(ERROR_PREFIX.as_bytes()) {
                    let text = String::from_utf8_lossy(text);
                    figures.refused.count(&escape::plain(&text));
                } else {
                    figures.round_trips.record(now.saturating_sub(due));
                }
            }
            Event::Ping(payload) => *pong = Some(payload.to_vec()),
            Event::Pong => {}
            Event::Binary => {
                let reason = "the client takes text frames".into();
                ending.get_or_insert(Ending::Refused(CloseCode::Unsupported, reason));
            }
            Event::Close(payload) => {
                ending.get_or_insert(Ending::Closed(close_frame(payload)));
            }
        });
        if before > *in_flight {
            figures.last_reply = Duration::from_nanos(now);
            let replies = u64::from(before - *in_flight);
            work.counters.received.fetch_add(replies, Ordering::Relaxed);
        }
        match ending {
            Some(ending) => Err(ending),
            None => read.map_err(Ending::of),
        }
    }

    /// Counts the pings without a reply, and begins the goodbye. Whether there is one.
    fn leave(&mut self, ending: &Ending, work: &mut Work) -> bool {
        let figures = &mut work.figures;
        let expired = self.shared.now().checked_sub(self.shared.patience());
        for Batch { sent, count, .. } in self.awaited.drain(..) {
            let counted = match ending {
                Ending::Stopped => &mut figures.abandoned,
                Ending::NoPong(_) if expired.is_some_and(|expired| sent <= expired) => {
                    &mut figures.timed_out
                }
                _ => &mut figures.lost,
            };
            *counted += u64::from(count);
        }
        if !matches!(ending, Ending::Stopped) {
            figures.broken.count(&ending.to_string());
        }
        let frame = match ending {
            Ending::Closed(Some(frame)) if frame.code.is_allowed() => Some(frame.clone()),
            Ending::Closed(_) => Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }),
            ending => ending.frame(),
        };
        self.is_leaving = true;
        self.timer.as_mut().reset(Instant::now() + CLOSING);
        frame.is_some_and(|frame| frames::write_close(&mut self.unwritten, &frame).is_ok())
    }
}

/// Takes the oldest ping out; returns when it was due.
fn answered(awaited: &mut VecDeque<Batch>) -> Option<u64> {
    let batch = awaited.front_mut()?;
    let due = batch.due;
    batch.count -= 1;
    if batch.count == 0 {
        awaited.pop_front();
    }
    Some(due)
}

fn close_frame(payload: &[u8]) -> Option<CloseFrame> {
    let (code, reason) = payload.split_first_chunk()?;
    let reason = String::from_utf8_lossy(reason).into_owned().into();
    Some(CloseFrame { code: u16::from_be_bytes(*code).into(), reason })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Does what can be done now.
    fn advance(&mut self, cx: &mut Context<'_>, work: &mut Work) -> Result<(), Ending> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            self.take(&early, work)?;
        }
        self.receive(cx, work)?;
        self.check_time(cx)?;
        self.send(cx, work)?;
        self.phase = self.shared.phase();
        match self.phase {
            Phase::Draining if self.in_flight == 0 => Err(Ending::Stopped),
            Phase::Closing | Phase::Over => Err(Ending::Stopped),
            _ => Ok(()),
        }
    }

    fn receive(&mut self, cx: &mut Context<'_>, work: &mut Work) -> Result<(), Ending> {
        // The connection has it for the time being, so that the figures can be changed.
        let mut input = std::mem::take(&mut work.input);
        let result = loop {
            let mut read = ReadBuf::new(&mut input);
            let result = match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Pending => break Ok(()),
                Poll::Ready(Err(error)) => Err(Ending::of(error.into())),
                Poll::Ready(Ok(())) if read.filled().is_empty() => Err(Ending::Lost(None)),
                Poll::Ready(Ok(())) => self.take(read.filled(), work),
            };
            if result.is_err() {
                break result;
            }
        };
        work.input = input;
        result
    }

    /// Looks whether a reply is overdue. The timer is set once in a while and not for each ping.
    fn check_time(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        let patience = self.shared.patience();
        while !self.is_timed || self.timer.is_elapsed() {
            if self.timer.as_mut().poll(cx).is_pending() {
                self.is_timed = true;
                return Ok(());
            }
            let now = self.shared.now();
            let oldest = self.awaited.front().map_or(now, |batch| batch.sent);
            let left = (oldest + patience).saturating_sub(now);
            if left == 0 {
                return Err(Ending::NoPong(self.shared.plan.patience));
            }
            self.timer.as_mut().reset(Instant::now() + Duration::from_nanos(left));
            self.is_timed = false;
        }
        Ok(())
    }

    fn send(&mut self, cx: &mut Context<'_>, work: &mut Work) -> Result<(), Ending> {
        loop {
            if self.write_rest(cx)?.is_pending() {
                break;
            }
            self.compose(work).map_err(Ending::of)?;
            if work.output.is_empty() {
                break;
            }
            let written = match Pin::new(&mut self.stream).poll_write(cx, &work.output) {
                Poll::Ready(written) => written.map_err(|error| Ending::of(error.into()))?,
                Poll::Pending => 0,
            };
            self.unwritten.extend_from_slice(&work.output[written..]);
        }
        self.flush(cx)
    }

    /// Writes what the stream did not take before.
    fn write_rest(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Ending> {
        while !self.unwritten.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.unwritten) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(0)) => return Err(Ending::Lost(None)),
                Poll::Ready(Ok(written)) => drop(self.unwritten.drain(..written)),
                Poll::Ready(Err(error)) => return Err(Ending::of(error.into())),
            }
        }
        self.unwritten = Vec::new();
        Ok(Poll::Ready(()))
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(Ending::of(error.into())),
            _ => Ok(()),
        }
    }

    /// Says goodbye and waits until the server closes the connection, but not for long.
    fn part(&mut self, cx: &mut Context<'_>, work: &mut Work) -> Poll<()> {
        // First, as reading may take all that the runtime allows a task at a time.
        let is_late = self.timer.as_mut().poll(cx).is_ready();
        if is_late || self.write_rest(cx).is_err() || self.flush(cx).is_err() {
            return Poll::Ready(());
        }
        loop {
            let mut read = ReadBuf::new(&mut work.input);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let shared = Rc::clone(&this.shared);
        let work = &mut *shared.work();
        work.register(this.number, cx.waker());
        if !this.is_leaving {
            let Err(ending) = this.advance(cx, work) else { return Poll::Pending };
            if !this.leave(&ending, work) {
                return Poll::Ready(());
            }
        }
        this.part(cx, work)
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        // Nothing, unless the thread ends before the connection does.
        let left: u64 = self.awaited.iter().map(|batch| u64::from(batch.count)).sum();
        if left > 0 {
            self.shared.work().figures.abandoned += left;
        }
        self.shared.left();
    }
}
