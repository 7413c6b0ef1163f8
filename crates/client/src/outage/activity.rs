//! Age and silence of a connection.

use std::time::Duration;

use tokio::time::Instant;

/// Times of the last frames over a connection.
#[derive(Clone, Debug)]
pub struct Activity {
    made: Instant,
    received: Instant,
    sent: Instant,
    /// Silence before the request that has no answer yet.
    before_request: Option<Duration>,
    survived: Duration,
}

/// Age and silence of a connection when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeAtEnd {
    /// Age of the connection.
    pub age: Duration,
    /// Time since the last frame from the server.
    pub silent_received: Duration,
    /// Time since the last frame to the server.
    pub silent_sent: Duration,
    /// Silence in both directions before the connection was cut. If a request found the connection
    /// cut, the silence before that request.
    pub silent: Duration,
}

impl Activity {
    /// The activity of a connection whose opening handshake completed `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let survived = Duration::ZERO;
        Self { made: now, received: now, sent: now, before_request: None, survived }
    }

    /// Records a sent frame that the server has to answer.
    pub fn asked(&mut self, now: Instant) {
        let silent = self.silent(now);
        self.before_request.get_or_insert(silent);
        self.sent = now;
    }

    /// Records a sent frame that answers one of the server.
    pub fn replied(&mut self, now: Instant) {
        self.sent = now;
    }

    /// Records a received frame.
    pub fn received(&mut self, now: Instant) {
        let before = self.before_request.take().unwrap_or_default();
        self.survived = self.survived.max(before).max(self.silent(now));
        self.received = now;
    }

    /// The longest time without a frame that the connection survived.
    #[must_use]
    pub fn survived(&self) -> Duration {
        self.survived
    }

    /// Age and silence of the connection if it ends `now`.
    #[must_use]
    pub fn cut(&self, now: Instant) -> AgeAtEnd {
        AgeAtEnd {
            age: now.duration_since(self.made),
            silent_received: now.duration_since(self.received),
            silent_sent: now.duration_since(self.sent),
            silent: self.before_request.unwrap_or_default().max(self.silent_without_request(now)),
        }
    }

    fn silent(&self, now: Instant) -> Duration {
        now.duration_since(self.received.max(self.sent))
    }

    /// Current silence, or zero while a request waits for its answer: on a cut connection that wait
    /// is unrelated to the timeout that cut it.
    fn silent_without_request(&self, now: Instant) -> Duration {
        if self.before_request.is_some() { Duration::ZERO } else { self.silent(now) }
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
    fn a_request_over_a_cut_connection_reports_the_silence_before_it() {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        activity.asked(start + SECOND * 90);
        let cut = activity.cut(start + SECOND * 100);
        assert_eq!((cut.silent, cut.silent_sent), (SECOND * 90, SECOND * 10));
        assert_eq!(cut.silent_received, SECOND * 100);
        assert_eq!(activity.survived(), Duration::ZERO);
    }
}
