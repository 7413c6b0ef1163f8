//! The observations of one connection.

use std::time::Duration;

use super::infer::latest;
use super::kind::Kind;
use crate::outage::observed_end::ObservedEnd;

/// The observations of a connection so far. Times count from the start of the probe, ages from the
/// opening handshake of the connection.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) kind: Kind,
    /// The silence after which the connection asks once, if it tests that silence.
    pub(super) asks_after: Option<Duration>,
    /// When the connection was opened.
    pub(super) opened: Duration,
    /// Age at the last frame from the server.
    pub(super) heard: Duration,
    /// The silence after which the server answered.
    pub(super) answered: Option<Duration>,
    /// Ping frames that the server sent by itself.
    pub(super) pings: Pace,
    /// Messages that the server sent by itself, those right after the opening not counted.
    pub(super) messages: Pace,
    pub(super) end: Option<End>,
    /// Age at which the client was done with the connection.
    pub(super) done: Option<Duration>,
    /// The number of the connection at `/probe`, and the instance of the server.
    pub(super) number: Option<(String, String)>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Age at the end; if no answer came, at the last frame from the server.
    pub(super) age: Duration,
    /// Time without traffic before the end.
    pub(super) silent: Duration,
    pub(super) seen: ObservedEnd,
    pub(super) reason: String,
    /// The reason in the Close frame of the server, without control characters; empty without one.
    pub(super) said: String,
    /// Whether the connection seemed open until a ping got no answer.
    pub(super) is_asked: bool,
}

/// When frames of one kind came: number, first and last, and the longest pause before one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    count: u32,
    first: Duration,
    last: Duration,
    longest: Duration,
}

impl Pace {
    /// Records a frame, at this age of the connection.
    pub(super) fn came(&mut self, age: Duration) {
        if self.count == 0 {
            self.first = age;
        }
        self.count = self.count.saturating_add(1);
        self.longest = self.longest.max(age.saturating_sub(self.last));
        self.last = age;
    }

    /// Number of frames.
    pub(super) fn count(self) -> u32 {
        self.count
    }

    /// The age of the connection at the last frame.
    #[cfg(test)]
    pub(super) fn last(self) -> Duration {
        self.last
    }

    /// The mean time from one frame to the next on a connection of this age, unless the last frame
    /// came too long ago for that. A single frame, such as a greeting, shows its time from the opening
    /// only if the connection `is_over`, as then no further frame can come.
    pub(super) fn interval(self, age: Duration, is_over: bool) -> Option<Duration> {
        let interval = match self.count {
            0 => return None,
            1 if !is_over => return None,
            1 => self.first,
            count => (self.last - self.first) / (count - 1),
        };
        (age.saturating_sub(self.last) <= interval * 3 / 2).then_some(interval)
    }
}

impl Observed {
    /// A connection that was opened at this time.
    pub(super) fn new(kind: Kind, asks_after: Option<Duration>, opened: Duration) -> Self {
        Self {
            kind,
            asks_after,
            opened,
            heard: Duration::ZERO,
            answered: None,
            pings: Pace::default(),
            messages: Pace::default(),
            end: None,
            done: None,
            number: None,
        }
    }

    /// The age at the end, or now.
    pub(super) fn age(&self, now: Duration) -> Duration {
        match (&self.end, self.done) {
            (Some(end), _) => end.age,
            (None, Some(done)) => done,
            (None, None) => now.saturating_sub(self.opened),
        }
    }

    /// Whether the connection was open at this time from the start of the probe.
    pub(super) fn was_open(&self, at: Duration) -> bool {
        let done = self.ended_at().or(self.done.map(|done| self.opened + done));
        self.opened <= at && done.is_none_or(|done| done >= at)
    }

    /// Whether the connection is open and in use.
    pub(super) fn is_open(&self) -> bool {
        self.end.is_none() && self.done.is_none()
    }

    /// The end, unless only a ping without an answer showed it.
    pub(super) fn cut(&self) -> Option<&End> {
        self.end.as_ref().filter(|end| !end.is_asked)
    }

    /// When the connection ended.
    pub(super) fn ended_at(&self) -> Option<Duration> {
        self.end.as_ref().map(|end| self.opened + end.age)
    }

    /// The time before the end without traffic that could have kept the connection: the age, if the
    /// connection outlived a longer silence between frames that the server sent by itself.
    pub(super) fn quiet(&self) -> Option<Duration> {
        let end = self.end.as_ref()?;
        let has_server_traffic = self.pings.count() + self.messages.count() > 0;
        let outlived = latest(self.pings.longest.max(self.messages.longest));
        Some(if has_server_traffic && end.silent <= outlived { end.age } else { end.silent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_has_an_interval() {
        let seconds = Duration::from_secs;
        let mut pace = Pace::default();
        assert_eq!(pace.interval(seconds(20), true), None);
        pace.came(seconds(20));
        assert_eq!(pace.interval(seconds(45), true), Some(seconds(20)));
        pace.came(seconds(35));
        pace.came(seconds(50));
        assert_eq!((pace.count(), pace.interval(seconds(51), false)), (3, Some(seconds(15))));
    }

    #[test]
    fn frames_that_came_long_ago_have_no_interval() {
        let millis = Duration::from_millis;
        for frames in [&[0][..], &[1], &[500], &[1, 2], &[0, 400, 800]] {
            let mut pace = Pace::default();
            frames.iter().for_each(|&age| pace.came(millis(age)));
            assert_eq!(pace.interval(millis(3000), true), None, "{frames:?}");
        }
    }

    #[test]
    fn a_single_frame_shows_an_interval_only_where_no_further_one_can_come() {
        let mut pace = Pace::default();
        pace.came(Duration::from_secs(4));
        assert_eq!(pace.interval(Duration::from_secs(5), false), None);
    }
}
