//! One connection under load: reads, writes, deadlines, and the end.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use proto::frame::{Close, CloseCode, encode_close};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::shared::{Phase, Shared, Work};
use super::traffic::Traffic;
use crate::net::ending::Ending;
use crate::net::socket::mask;

/// Longest wait for the server to close a connection.
pub(crate) const CLOSING: Duration = Duration::from_secs(3);

/// An upgraded connection. The future completes when the connection ends.
pub(crate) struct Connection<S> {
    stream: S,
    shared: Rc<Shared>,
    /// Index of the connection over all threads, from 0.
    number: u64,
    /// Bytes received together with the upgrade response.
    early: Vec<u8>,
    traffic: Traffic,
    /// Output that the stream has not accepted yet.
    unwritten: Vec<u8>,
    timer: Pin<Box<Sleep>>,
    is_timed: bool,
    /// The phase at the last poll.
    phase: Phase,
    is_closing: bool,
}

impl<S> Connection<S> {
    /// A connection that starts after `turns` turns of its schedule.
    pub(crate) fn new(
        stream: S,
        early: Vec<u8>,
        number: u64,
        turns: u64,
        shared: Rc<Shared>,
    ) -> Self {
        Self {
            stream,
            number,
            early,
            traffic: Traffic::new(number, turns),
            unwritten: Vec::new(),
            timer: Box::pin(sleep(shared.plan.patience)),
            is_timed: false,
            phase: Phase::Opening,
            is_closing: false,
            shared,
        }
    }

    /// Counts the pings in flight and begins the closing handshake. Returns whether there is a
    /// handshake.
    fn begin_closing(&mut self, ending: &Ending, work: &mut Work) -> bool {
        let expired = self.shared.now().checked_sub(self.shared.patience());
        self.traffic.count_unanswered(ending, expired, work);
        if !matches!(ending, Ending::Stopped) {
            work.figures.broken.count(&ending.to_string());
        }
        self.is_closing = true;
        self.timer.as_mut().reset(Instant::now() + CLOSING);
        let normal = Close { code: CloseCode::NORMAL, reason: "".into() };
        // A Close frame is answered with the same status code (RFC 6455, section 5.5.1).
        let close = match ending {
            Ending::Closed(close) => Some(close.clone().unwrap_or(normal)),
            ending => ending.close(),
        };
        if let Some(Close { code, reason }) = &close {
            encode_close(&mut self.unwritten, *code, reason, Some(mask()));
        }
        close.is_some()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Reads, writes and checks deadlines as far as possible without blocking.
    fn advance(&mut self, cx: &mut Context<'_>, work: &mut Work) -> Result<(), Ending> {
        if !self.early.is_empty() {
            let mut early = std::mem::take(&mut self.early);
            self.traffic.take(&mut early, &self.shared, work)?;
        }
        self.receive(cx, work)?;
        self.check_time(cx)?;
        self.send(cx, work)?;
        self.phase = self.shared.phase();
        match self.phase {
            Phase::Draining if self.traffic.is_idle() => Err(Ending::Stopped),
            Phase::Closing | Phase::Over => Err(Ending::Stopped),
            _ => Ok(()),
        }
    }

    fn receive(&mut self, cx: &mut Context<'_>, work: &mut Work) -> Result<(), Ending> {
        let mut input = std::mem::take(&mut work.input);
        let result = loop {
            let mut read = ReadBuf::new(&mut input);
            let result = match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Pending => break Ok(()),
                Poll::Ready(Err(error)) => Err(Ending::of_io(error)),
                Poll::Ready(Ok(())) if read.filled().is_empty() => Err(Ending::Lost(None)),
                Poll::Ready(Ok(())) => self.traffic.take(read.filled_mut(), &self.shared, work),
            };
            if result.is_err() {
                break result;
            }
        };
        work.input = input;
        result
    }

    /// Checks whether a reply is overdue. The timer is not reset for each ping, only when it
    /// expires.
    fn check_time(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        let patience = self.shared.patience();
        while !self.is_timed || self.timer.is_elapsed() {
            if self.timer.as_mut().poll(cx).is_pending() {
                self.is_timed = true;
                return Ok(());
            }
            let now = self.shared.now();
            let oldest = self.traffic.oldest().unwrap_or(now);
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
            self.traffic.compose(&self.shared, self.phase, work);
            if work.output.is_empty() {
                break;
            }
            let written = match Pin::new(&mut self.stream).poll_write(cx, &work.output) {
                Poll::Ready(written) => written.map_err(Ending::of_io)?,
                Poll::Pending => 0,
            };
            self.unwritten.extend_from_slice(&work.output[written..]);
        }
        self.flush(cx)
    }

    /// Writes the output left over from the last write.
    fn write_rest(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Ending> {
        while !self.unwritten.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.unwritten) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(0)) => return Err(Ending::Lost(None)),
                Poll::Ready(Ok(written)) => drop(self.unwritten.drain(..written)),
                Poll::Ready(Err(error)) => return Err(Ending::of_io(error)),
            }
        }
        self.unwritten = Vec::new();
        Ok(Poll::Ready(()))
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(Ending::of_io(error)),
            _ => Ok(()),
        }
    }

    /// Continues the closing handshake until its deadline.
    fn close(&mut self, cx: &mut Context<'_>, work: &mut Work) -> Poll<()> {
        // The deadline is polled before the reads, which may use up the task's cooperative budget.
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
        if !this.is_closing {
            let Err(ending) = this.advance(cx, work) else { return Poll::Pending };
            if !this.begin_closing(&ending, work) {
                return Poll::Ready(());
            }
        }
        this.close(cx, work)
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        // The count is 0 unless the thread ends before the connection.
        let left = self.traffic.unanswered();
        if left > 0 {
            self.shared.work().figures.abandoned += left;
        }
    }
}
