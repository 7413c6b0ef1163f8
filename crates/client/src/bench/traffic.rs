//! The pings in flight over one connection, and their replies.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::escape;
use proto::frame::{CloseCode, Decoder, Message, Opcode, Role, encode};
use proto::limits::MAX_MESSAGE;
use proto::ping::ERROR_PREFIX;

use super::shared::{Phase, Plan, Shared, Work};
use crate::net::ending::Ending;
use crate::net::socket::mask;

/// Approximate size of the frames composed for one write, in bytes.
const CHUNK: usize = 64 * 1024;

/// Longest error text of the server that is kept, in bytes.
const SHOWN: usize = 200;

/// Pings sent in one write.
#[derive(Clone, Copy, Debug)]
struct Batch {
    /// When the pings were due, in nanoseconds since the start.
    due: u64,
    /// When the pings were sent, in nanoseconds since the start.
    sent: u64,
    count: u32,
}

/// The pings in flight over a connection.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// Index of the connection over all threads, from 0.
    number: u64,
    decoder: Decoder,
    /// Pings without a reply, the oldest first.
    awaited: VecDeque<Batch>,
    in_flight: u32,
    /// Turns of the schedule that are over: sent, or skipped while the connection was down.
    turns: u64,
    /// Payload of the Pong frame to send. Only the last Ping frame has to be answered (RFC 6455,
    /// section 5.5.3).
    pong: Option<Vec<u8>>,
}

impl Traffic {
    /// State of a new connection, after `turns` turns of the schedule.
    pub(crate) fn new(number: u64, turns: u64) -> Self {
        Self {
            number,
            decoder: Decoder::new(Role::Client, MAX_MESSAGE),
            awaited: VecDeque::new(),
            in_flight: 0,
            turns,
            pong: None,
        }
    }

    /// Whether no ping is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    /// When the oldest ping in flight was sent.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.awaited.front().map(|batch| batch.sent)
    }

    /// Appends the frames to send now to the output. `before` is the phase of the previous call.
    pub(crate) fn compose(&mut self, shared: &Shared, before: Phase, work: &mut Work) {
        let output = &mut work.output;
        output.clear();
        if let Some(payload) = self.pong.take() {
            encode(output, Opcode::Pong, &payload, Some(mask()));
        }
        let now = shared.now();
        let text = &shared.plan.text;
        let most = u32::try_from(CHUNK / text.len().max(1)).unwrap_or(u32::MAX).max(1);
        let count = self.wanted(&shared.plan, shared.phase(), before, now).min(most);
        for _ in 0..count {
            encode(output, Opcode::Text, text, Some(mask()));
        }
        self.sent(&shared.plan, now, count);
        work.figures.sent += u64::from(count);
    }

    /// Number of pings to send now.
    fn wanted(&self, plan: &Plan, phase: Phase, before: Phase, now: u64) -> u32 {
        let free = plan.in_flight - self.in_flight;
        match (plan.schedule, phase) {
            (None, Phase::Running) => free,
            (Some(schedule), Phase::Running) => {
                let due = schedule.turns_by(self.number, now).saturating_sub(self.turns);
                u32::try_from(due).unwrap_or(free).min(free)
            }
            // The pings that became due before the end are sent when the phase changes.
            (Some(_), Phase::Draining) if before == Phase::Running => {
                self.wanted(plan, before, before, now)
            }
            _ => 0,
        }
    }

    fn sent(&mut self, plan: &Plan, sent: u64, count: u32) {
        self.in_flight += count;
        match plan.schedule {
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
    }

    /// Decodes the next bytes from the server.
    pub(crate) fn take(
        &mut self,
        mut bytes: &mut [u8],
        shared: &Shared,
        work: &mut Work,
    ) -> Result<(), Ending> {
        let now = shared.now();
        let before = self.in_flight;
        let taken = loop {
            match self.decoder.decode(&mut bytes) {
                Ok(Some(message)) => {
                    if let Err(ending) = self.take_message(message, now, work) {
                        break Err(ending);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(Ending::of_frame(error)),
            }
        };
        if before > self.in_flight {
            work.figures.last_reply = Duration::from_nanos(now);
            let replies = u64::from(before - self.in_flight);
            work.counters.received.fetch_add(replies, Ordering::Relaxed);
        }
        taken
    }

    fn take_message(
        &mut self,
        message: Message<'_>,
        now: u64,
        work: &mut Work,
    ) -> Result<(), Ending> {
        match message {
            Message::Text(text) => {
                if let Some(due) = self.answered() {
                    self.count(&text, now.saturating_sub(due), work);
                }
            }
            Message::Ping(payload) => self.pong = Some(payload.into_owned()),
            Message::Pong(_) | Message::Deflated(..) => {}
            Message::Binary(_) => {
                let reason = "the client takes text frames".into();
                return Err(Ending::Refused(CloseCode::UNSUPPORTED, reason));
            }
            Message::Close(close) => return Err(Ending::closed(close)),
        }
        Ok(())
    }

    fn count(&self, reply: &str, round_trip: u64, work: &mut Work) {
        if reply.starts_with(ERROR_PREFIX) {
            let shown = &reply[..reply.floor_char_boundary(SHOWN)];
            work.figures.refused.count(&escape::plain(shown));
        } else {
            work.figures.round_trips.record(round_trip);
        }
    }

    /// Removes the oldest ping after its reply. Returns when the ping was due.
    fn answered(&mut self) -> Option<u64> {
        let batch = self.awaited.front_mut()?;
        let due = batch.due;
        batch.count -= 1;
        self.in_flight -= 1;
        if batch.count == 0 {
            self.awaited.pop_front();
        }
        Some(due)
    }

    /// Counts the pings in flight by the end of the connection. Pings sent before `expired` have
    /// timed out.
    pub(crate) fn count_unanswered(
        &mut self,
        ending: &Ending,
        expired: Option<u64>,
        work: &mut Work,
    ) {
        let figures = &mut work.figures;
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
    }

    /// Number of pings in flight.
    pub(crate) fn unanswered(&self) -> u64 {
        self.awaited.iter().map(|batch| u64::from(batch.count)).sum()
    }
}
