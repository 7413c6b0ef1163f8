//! The pings on their way over one connection, and their replies.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::escape;
use proto::frame::{CloseCode, Decoder, Mask, Message, Opcode, Role, encode};
use proto::limits::MAX_MESSAGE;
use proto::ping::ERROR_PREFIX;

use super::shared::{Phase, Plan, Shared, Work};
use crate::net::ending::Ending;

/// About how much is composed at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// How much of an error of the server is kept, in bytes.
const SHOWN: usize = 200;

/// Pings that went out together.
#[derive(Clone, Copy, Debug)]
struct Batch {
    /// When they were due, in nanoseconds since the start.
    due: u64,
    /// When they were sent.
    sent: u64,
    count: u32,
}

/// What is on its way over a connection.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// Number of the connection among those of all threads, from 0.
    number: u64,
    decoder: Decoder,
    /// Pings without a reply, the oldest first.
    awaited: VecDeque<Batch>,
    in_flight: u32,
    /// Pings of the schedule that were sent, or missed while there was no connection.
    turns: u64,
    /// Payload of the Pong frame that is due. Only the last Ping frame has to be answered (RFC
    /// 6455, section 5.5.3).
    pong: Option<Vec<u8>>,
}

impl Traffic {
    /// Nothing is on its way. So many `turns` of the schedule are over already.
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

    /// Whether no ping waits for its reply.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    /// When the oldest ping without a reply was sent.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.awaited.front().map(|batch| batch.sent)
    }

    /// Puts the frames that are to be sent now into the output. `before` is the phase in which that
    /// was done last.
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

    /// How many pings to send now.
    fn wanted(&self, plan: &Plan, phase: Phase, before: Phase, now: u64) -> u32 {
        let free = plan.in_flight - self.in_flight;
        match (plan.schedule, phase) {
            (None, Phase::Running) => free,
            (Some(schedule), Phase::Running) => {
                let due = schedule.turns_by(self.number, now).saturating_sub(self.turns);
                u32::try_from(due).unwrap_or(free).min(free)
            }
            // What became due up to the end is sent then.
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

    /// Takes the next bytes from the server.
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
            Message::Pong(_) => {}
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

    /// Takes the oldest ping out, as it was answered; returns when it was due.
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

    /// Counts the pings without a reply by how the connection ended. Those that were sent before
    /// `expired` waited for as long as a reply may take.
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

    /// How many pings have no reply.
    pub(crate) fn unanswered(&self) -> u64 {
        self.awaited.iter().map(|batch| u64::from(batch.count)).sum()
    }
}

/// A masking key that nobody can foresee (RFC 6455, section 5.3).
pub(crate) fn mask() -> Mask {
    Mask(rand::random())
}
