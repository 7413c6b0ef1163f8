//! The timer of a connection: when it expires, and what happens then.

use std::time::Instant;

use proto::frame::{Opcode, encode};

use super::deadlines::{Due, Obligations};
use super::{Connection, Ending, Refusal, State};
use crate::worker::turn::Context;

impl Connection {
    /// When the timer expires, if nothing happens before.
    pub(in crate::worker) fn next_timer(&self) -> Option<Instant> {
        match &self.state {
            State::Open => {
                let deadline = self.deadlines.next(self.obligations(), self.ping_after());
                [deadline, self.delayed.next(), self.next_push()].into_iter().flatten().min()
            }
            State::Finishing(until) => Some(*until),
            State::AwaitingCommit(_) => None,
            State::Closing(closing) => closing.deadline(),
        }
    }

    /// Performs the action that is due by now.
    pub(in crate::worker) fn on_timer(&mut self, cx: &mut Context<'_>) {
        match self.state {
            State::Open => {
                if let Err(ending) = self.do_due(cx) {
                    self.close(ending, cx);
                }
            }
            State::Finishing(until) if until <= cx.now => self.close(Ending::Stopping, cx),
            State::Finishing(_) | State::AwaitingCommit(_) => {}
            State::Closing(_) => self.advance_closing(cx),
        }
    }

    fn do_due(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        if self.is_backlogged() {
            self.input.restart_unfinished(cx.now);
        }
        self.delayed.release(Some(cx.now), self.output.queue());
        self.flush(cx)?;
        self.push_due(cx)?;
        match self.deadlines.due(cx.now, self.obligations(), self.ping_after()) {
            Some(Due::Ping) => {
                self.deadlines.pinged(cx.now);
                let mut frame = Vec::new();
                encode(&mut frame, Opcode::Ping, b"", None);
                self.send(&frame, cx)
            }
            // The Pong frame of a peer that is not read may have arrived.
            Some(Due::Silent) if self.is_backlogged() => {
                self.deadlines.heard(cx.now);
                Ok(())
            }
            Some(Due::Silent) => Err(Ending::Refused(Refusal::Silent)),
            Some(Due::Unfinished) => Err(Ending::Refused(Refusal::Unfinished)),
            Some(Due::NotReading) => Err(Ending::NotReading),
            None => Ok(()),
        }
    }

    /// Makes the deadlines of the peer count from now, after a pause of the server.
    pub(in crate::worker) fn restart_deadlines(&mut self, now: Instant) {
        self.deadlines.restart(now);
        self.input.restart_unfinished(now);
        self.output.restart_stuck(now);
    }

    /// The obligations of the peer. An unfinished message does not count while the peer is not read.
    fn obligations(&self) -> Obligations {
        Obligations {
            unfinished: self.input.unfinished().filter(|_| !self.is_backlogged()),
            stuck_since: self.output.stuck_since(),
        }
    }
}
