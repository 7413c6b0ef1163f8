//! The deadlines that a peer has to keep.

use std::time::{Duration, Instant};

use proto::limits::{
    CLOSE_AFTER, CONTROL_FRAMES_PER_SECOND, MESSAGE_PACE, MESSAGE_TIMEOUT, PING_AFTER,
    WRITE_TIMEOUT,
};

/// The current obligations of a peer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Obligations {
    /// The message that the peer has to finish.
    pub(super) unfinished: Option<Unfinished>,
    /// Since when the peer has taken none of the bytes queued for it.
    pub(super) stuck_since: Option<Instant>,
}

/// A message that has begun and not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unfinished {
    pub(super) since: Instant,
    /// Bytes of the message that have arrived.
    pub(super) arrived: usize,
}

impl Unfinished {
    /// When the message has to be finished: each [`MESSAGE_PACE`] bytes of it extend the time by a
    /// second.
    fn deadline(self) -> Instant {
        let seconds = u64::try_from(self.arrived / MESSAGE_PACE).unwrap_or(u64::MAX);
        self.since + MESSAGE_TIMEOUT + Duration::from_secs(seconds)
    }
}

/// The deadlines of one peer.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// When bytes of the peer were last read.
    heard: Instant,
    /// When a Ping frame was sent after that; `None` if none was.
    pinged_at: Option<Instant>,
    /// Control frames in the second that began at `counting_since`.
    control_frames: u32,
    counting_since: Instant,
}

/// The action that a deadline requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Send a Ping frame: the peer is silent.
    Ping,
    /// Close: the peer did not answer the Ping frame.
    Silent,
    /// Close: the peer did not finish a message.
    Unfinished,
    /// Close: the peer does not read.
    NotReading,
}

impl Deadlines {
    pub(super) fn new(now: Instant) -> Self {
        Self { heard: now, pinged_at: None, control_frames: 0, counting_since: now }
    }

    /// Notes that bytes of the peer were read.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.pinged_at = None;
    }

    /// Counts a control frame; `false` if there are too many.
    pub(super) fn control_frame(&mut self, now: Instant) -> bool {
        if now.duration_since(self.counting_since) >= Duration::from_secs(1) {
            self.counting_since = now;
            self.control_frames = 0;
        }
        self.control_frames += 1;
        self.control_frames <= CONTROL_FRAMES_PER_SECOND
    }

    /// Notes that a Ping frame is sent.
    pub(super) fn pinged(&mut self, now: Instant) {
        self.pinged_at = Some(now);
    }

    /// Restarts the time to answer a Ping frame, after a pause of the server.
    pub(super) fn restart(&mut self, now: Instant) {
        if let Some(pinged_at) = &mut self.pinged_at {
            *pinged_at = now;
        }
    }

    /// The most urgent action due by now. A silent peer is pinged after `ping_after`.
    pub(super) fn due(
        &self,
        now: Instant,
        obligations: Obligations,
        ping_after: Duration,
    ) -> Option<Due> {
        self.all(obligations, ping_after).find(|&(at, _)| at <= now).map(|(_, due)| due)
    }

    /// When the next action is due. A silent peer is pinged after `ping_after`.
    pub(super) fn next(&self, obligations: Obligations, ping_after: Duration) -> Option<Instant> {
        self.all(obligations, ping_after).map(|(at, _)| at).min()
    }

    /// All deadlines, the most urgent kind first.
    fn all(
        &self,
        obligations: Obligations,
        ping_after: Duration,
    ) -> impl Iterator<Item = (Instant, Due)> {
        let all = [
            obligations.stuck_since.map(|since| (since + WRITE_TIMEOUT, Due::NotReading)),
            obligations.unfinished.map(|message| (message.deadline(), Due::Unfinished)),
            Some(self.silence(ping_after)),
        ];
        all.into_iter().flatten()
    }

    /// When a silent peer is pinged, or given up. The time to answer counts from the Ping frame: a
    /// server in a paused container sends it late.
    #[inline]
    pub(super) fn silence(&self, ping_after: Duration) -> (Instant, Due) {
        match self.pinged_at {
            Some(pinged_at) => (pinged_at + (CLOSE_AFTER - PING_AFTER), Due::Silent),
            None => (self.heard + ping_after, Due::Ping),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Obligations = Obligations { unfinished: None, stuck_since: None };

    fn unfinished(since: Instant, arrived: usize) -> Obligations {
        Obligations { unfinished: Some(Unfinished { since, arrived }), ..NOTHING }
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_silent_peer_is_pinged_and_given_up() {
        let start = Instant::now();
        let mut peer = Deadlines::new(start);
        assert_eq!(peer.due(after(start, 19), NOTHING, PING_AFTER), None);
        assert_eq!(peer.next(NOTHING, PING_AFTER), Some(after(start, 20)));
        assert_eq!(peer.due(after(start, 20), NOTHING, PING_AFTER), Some(Due::Ping));
        peer.pinged(after(start, 20));
        assert_eq!(peer.due(after(start, 59), NOTHING, PING_AFTER), None);
        assert_eq!(peer.due(after(start, 60), NOTHING, PING_AFTER), Some(Due::Silent));
        peer.heard(after(start, 59));
        assert_eq!(peer.next(NOTHING, PING_AFTER), Some(after(start, 79)));
    }

    #[test]
    fn a_ping_that_goes_out_late_can_still_be_answered() {
        let start = Instant::now();
        let mut peer = Deadlines::new(start);
        assert_eq!(peer.due(after(start, 100), NOTHING, PING_AFTER), Some(Due::Ping));
        peer.pinged(after(start, 100));
        assert_eq!(peer.due(after(start, 139), NOTHING, PING_AFTER), None);
        assert_eq!(peer.due(after(start, 140), NOTHING, PING_AFTER), Some(Due::Silent));
    }

    #[test]
    fn a_ping_can_still_be_answered_after_a_pause_of_the_server() {
        let start = Instant::now();
        let mut peer = Deadlines::new(start);
        peer.pinged(after(start, 20));
        peer.restart(after(start, 100));
        assert_eq!(peer.due(after(start, 139), NOTHING, PING_AFTER), None);
        assert_eq!(peer.due(after(start, 140), NOTHING, PING_AFTER), Some(Due::Silent));
    }

    #[test]
    fn a_message_has_to_end_however_often_its_peer_is_heard() {
        let start = Instant::now();
        let mut peer = Deadlines::new(start);
        let obligations = unfinished(start, 100);
        for second in 0..10 {
            peer.heard(after(start, second));
            assert_eq!(peer.due(after(start, second), obligations, PING_AFTER), None);
        }
        assert_eq!(peer.next(obligations, PING_AFTER), Some(after(start, 10)));
        assert_eq!(peer.due(after(start, 10), obligations, PING_AFTER), Some(Due::Unfinished));
        assert_eq!(peer.due(after(start, 10), NOTHING, PING_AFTER), None);
    }

    #[test]
    fn a_long_message_has_time_as_long_as_it_arrives() {
        let start = Instant::now();
        let peer = Deadlines::new(start);
        let obligations = unfinished(start, 8 * 1024 * 1024);
        assert_eq!(peer.due(after(start, 19), obligations, PING_AFTER), None);
        assert_eq!(peer.due(after(start, 137), obligations, PING_AFTER), Some(Due::Ping));
        assert_eq!(peer.due(after(start, 138), obligations, PING_AFTER), Some(Due::Unfinished));
    }

    #[test]
    fn a_peer_has_to_read() {
        let start = Instant::now();
        let peer = Deadlines::new(start);
        let obligations = Obligations { stuck_since: Some(start), ..NOTHING };
        assert_eq!(peer.next(obligations, PING_AFTER), Some(after(start, 5)));
        assert_eq!(peer.due(after(start, 5), obligations, PING_AFTER), Some(Due::NotReading));
    }

    #[test]
    fn a_flood_of_control_frames_is_seen_and_a_steady_beat_is_not() {
        let start = Instant::now();
        let mut peer = Deadlines::new(start);
        for _ in 0..CONTROL_FRAMES_PER_SECOND {
            assert!(peer.control_frame(start));
        }
        assert!(!peer.control_frame(start));
        for second in 1..1000 {
            assert!(peer.control_frame(after(start, second)));
        }
    }
}
