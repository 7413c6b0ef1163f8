//! Since when a connection lives, and since when nothing passes over it.

use std::time::Duration;

use tokio::time::Instant;

/// When frames passed over a connection.
#[derive(Clone, Debug)]
pub struct Activity {
    made: Instant,
    received: Instant,
    sent: Instant,
    /// How long nothing had passed when the question was sent that has no answer yet.
    before_question: Option<Duration>,
    survived: Duration,
}

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How long the connection lived.
    pub age: Duration,
    /// Time since the last frame from the server.
    pub silent_received: Duration,
    /// Time since the last frame to the server.
    pub silent_sent: Duration,
    /// How long nothing had passed in either direction when the connection was cut. Where a
    /// question was the first to meet the cut, the silence before the question.
    pub silent: Duration,
}

impl Activity {
    /// Of a connection that was made `now`, by the answer to the opening handshake.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let survived = Duration::ZERO;
        Self { made: now, received: now, sent: now, before_question: None, survived }
    }

    /// A frame was sent that the server has to answer.
    pub fn asked(&mut self, now: Instant) {
        let silent = self.silent(now);
        self.before_question.get_or_insert(silent);
        self.sent = now;
    }

    /// A frame was sent that answers one of the server.
    pub fn replied(&mut self, now: Instant) {
        self.sent = now;
    }

    /// A frame came.
    pub fn received(&mut self, now: Instant) {
        let before = self.before_question.take().unwrap_or_default();
        self.survived = self.survived.max(before).max(self.silent(now));
        self.received = now;
    }

    /// The longest time without a frame that the connection outlived.
    #[must_use]
    pub fn survived(&self) -> Duration {
        self.survived
    }

    /// The end of the connection.
    #[must_use]
    pub fn cut(&self, now: Instant) -> Cut {
        Cut {
            age: now.duration_since(self.made),
            silent_received: now.duration_since(self.received),
            silent_sent: now.duration_since(self.sent),
            silent: self.before_question.unwrap_or_default().max(self.silent_unasked(now)),
        }
    }

    fn silent(&self, now: Instant) -> Duration {
        now.duration_since(self.received.max(self.sent))
    }

    /// How long nothing has passed, unless a question waits for its answer: who is cut waits in
    /// vain, and the wait says nothing about the time that the cut took.
    fn silent_unasked(&self, now: Instant) -> Duration {
        if self.before_question.is_some() { Duration::ZERO } else { self.silent(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn silence_counts_from_the_last_frame_in_each_direction() {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        activity.asked(start + SECOND);
        activity.received(start + SECOND * 2);
        activity.received(start + SECOND * 5);
        activity.replied(start + SECOND * 6);
        let cut = activity.cut(start + SECOND * 10);
        assert_eq!((cut.age, cut.silent_received), (SECOND * 10, SECOND * 5));
        assert_eq!((cut.silent_sent, cut.silent), (SECOND * 4, SECOND * 4));
        assert_eq!(activity.survived(), SECOND * 3);
    }

    #[test]
    fn a_question_that_meets_the_cut_tells_the_silence_before_it() {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        activity.asked(start + SECOND * 90);
        let cut = activity.cut(start + SECOND * 100);
        assert_eq!((cut.silent, cut.silent_sent), (SECOND * 90, SECOND * 10));
        assert_eq!(cut.silent_received, SECOND * 100);
        assert_eq!(activity.survived(), Duration::ZERO);
    }
}
