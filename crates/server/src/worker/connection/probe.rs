//! The half of `/probe` that needs the connection: its requests, the schedule of messages to it, and
//! its end. [`crate::service::probe`] keeps the records of all its connections.

use std::io::ErrorKind;
use std::mem;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proto::frame::{Opcode, encode};
use proto::limits::{PING_AFTER, PROBE_PING_AFTER};
use proto::probe::{EndedBy, Pong, Pushed, Request, Schedule};

use super::{Connection, Ending, Refusal};

use crate::service::probe::{ObservedEnd, Opened, Tracked, json};
use crate::worker::turn::Context;

/// Stands for the code of a Close frame without one (RFC 6455, section 7.1.5).
const NO_STATUS: u16 = 1005;

/// The state of a connection of `/probe`.
#[derive(Debug)]
pub(super) struct Probe {
    /// The first message; empty once it is sent.
    hello: String,
    tracked: Tracked,
    pushes: Option<Pushes>,
}

/// A [`Schedule`] under way: messages or Ping frames that the server sends.
#[derive(Debug)]
struct Pushes {
    opcode: Opcode,
    every: Duration,
    sent: u32,
    times: u32,
    /// When the next frame is due.
    next: Instant,
}

impl Probe {
    pub(super) fn new(opened: Opened) -> Self {
        let Opened { hello, tracked } = opened;
        Self { hello, tracked, pushes: None }
    }

    /// Takes the first message out.
    pub(super) fn take_hello(&mut self) -> String {
        mem::take(&mut self.hello)
    }

    /// Begins a schedule, in place of the one before.
    fn begin(&mut self, schedule: Schedule, opcode: Opcode, now: Instant) {
        let Schedule { every, times } = schedule;
        let every = Duration::from_secs_f64(every);
        let pushes = Pushes { opcode, every, sent: 0, times, next: now + every };
        self.pushes = (times > 0).then_some(pushes);
    }

    /// The frame that is due by now.
    fn take_due(&mut self, now: Instant) -> Option<Vec<u8>> {
        let pushes = self.pushes.as_mut().filter(|pushes| pushes.next <= now)?;
        let frame = pushes.frame(now);
        if pushes.sent == pushes.times {
            self.pushes = None;
        }
        Some(frame)
    }
}

impl Pushes {
    /// The next frame. A busy or frozen server skips the times that it has missed.
    fn frame(&mut self, now: Instant) -> Vec<u8> {
        self.sent += 1;
        self.next += self.every;
        if self.next <= now {
            self.next = now + self.every;
        }
        let payload = match self.opcode {
            Opcode::Text => json(&Pushed { push: self.sent }),
            _ => self.sent.to_string(),
        };
        let mut frame = Vec::new();
        encode(&mut frame, self.opcode, payload.as_bytes(), None);
        frame
    }
}

impl Connection {
    /// Serves the request of a probe. Not inlined, so that the code of pings stays small.
    #[inline(never)]
    pub(super) fn serve_probe(&mut self, request: Request<'_>, cx: &mut Context<'_>) {
        self.note_probe_frame(cx.now);
        let (schedule, opcode) = match request {
            Request::Ping(number) => return self.reply_to_probe(&json(&pong(number, cx)), cx),
            Request::Ended(connection) => {
                if let Some(probes) = &cx.shared.services.probes {
                    let ended = json(&probes.ended(connection, cx.now));
                    self.reply_to_probe(&ended, cx);
                }
                return;
            }
            Request::Push(schedule) => (schedule, Opcode::Text),
            Request::Pings(schedule) => (schedule, Opcode::Ping),
        };
        if let Some(probe) = &mut self.probe {
            probe.begin(schedule, opcode, cx.now);
        }
    }

    /// Replies without waiting for the log, unless replies are held back (`REPLY_DELAY`).
    pub(super) fn reply_to_probe(&mut self, text: &str, cx: &Context<'_>) {
        let delay = cx.shared.limits.reply_delay;
        if delay.is_zero() {
            return encode(self.output.queue(), Opcode::Text, text.as_bytes(), None);
        }
        let mut frame = Vec::new();
        encode(&mut frame, Opcode::Text, text.as_bytes(), None);
        self.delayed.push(cx.now + delay, frame);
    }

    /// Sends the frame of a schedule that is due.
    pub(super) fn push_due(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        match self.probe.as_mut().and_then(|probe| probe.take_due(cx.now)) {
            Some(frame) => self.send(&frame, cx),
            None => Ok(()),
        }
    }

    /// When the next frame of a schedule is due.
    pub(super) fn next_push(&self) -> Option<Instant> {
        let pushes = self.probe.as_ref()?.pushes.as_ref();
        pushes.map(|pushes| pushes.next)
    }

    /// Silence after which the peer is pinged.
    pub(super) fn ping_after(&self) -> Duration {
        if self.probe.is_some() { PROBE_PING_AFTER } else { PING_AFTER }
    }

    /// Records when the last frame of a `/probe` client arrived.
    pub(super) fn note_probe_frame(&self, now: Instant) {
        if let Some(probe) = &self.probe {
            probe.tracked.heard(now);
        }
    }

    /// Records how a connection of `/probe` ends.
    #[cold]
    pub(super) fn note_end(&mut self, ending: &Ending, now: Instant) {
        if let Some(probe) = self.probe.take() {
            let (seen, by) = observed_end(ending);
            probe.tracked.end(seen, by, now);
        }
    }
}

/// The reply to a ping of a probe. The ping counts as arrived when the turn began.
fn pong(number: u64, cx: &Context<'_>) -> Pong {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = now + cx.shared.limits.reply_delay;
    let [arrived, left] = [now.saturating_sub(cx.now.elapsed()), left]
        .map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    Pong { pong: number, arrived, left }
}

/// How a connection ended as the server saw it, and who ended it.
fn observed_end(ending: &Ending) -> (ObservedEnd, Option<EndedBy>) {
    match ending {
        Ending::Closed(code) => {
            (ObservedEnd::Close(code.map_or(NO_STATUS, |code| code.0)), Some(EndedBy::Peer))
        }
        Ending::Lost(None) => (ObservedEnd::Fin, Some(EndedBy::Peer)),
        // The kernel gave up sending bytes that were never acknowledged.
        Ending::Lost(Some(error)) if is_unanswered(error.kind()) => (ObservedEnd::Silence, None),
        Ending::Lost(Some(_)) => (ObservedEnd::Rst, Some(EndedBy::Peer)),
        Ending::NotReading | Ending::Refused(Refusal::Silent) => {
            (ObservedEnd::Silence, Some(EndedBy::Server))
        }
        Ending::Refused(_) | Ending::Undecodable(_) | Ending::Stopping => {
            let code = ending.close_frame().map_or(NO_STATUS, |(code, _)| code.0);
            (ObservedEnd::Close(code), Some(EndedBy::Server))
        }
    }
}

fn is_unanswered(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_stream_that_broke_was_reset_unless_nothing_was_acknowledged() {
        let lost = |kind: ErrorKind| observed_end(&Ending::Lost(Some(io::Error::from(kind))));
        for kind in [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::InvalidData] {
            assert_eq!(lost(kind), (ObservedEnd::Rst, Some(EndedBy::Peer)), "{kind}");
        }
        for kind in [ErrorKind::TimedOut, ErrorKind::HostUnreachable] {
            assert_eq!(lost(kind), (ObservedEnd::Silence, None), "{kind}");
        }
        let silent = Ending::Refused(Refusal::Silent);
        for ending in [silent, Ending::NotReading] {
            assert_eq!(
                observed_end(&ending),
                (ObservedEnd::Silence, Some(EndedBy::Server)),
                "{ending}"
            );
        }
        assert_eq!(
            observed_end(&Ending::Refused(Refusal::Overload)),
            (ObservedEnd::Close(1013), Some(EndedBy::Server))
        );
    }
}
