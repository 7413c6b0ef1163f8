//! The up or down state of the server, so that each change is logged once.
//!
//! The server is up from the first Pong of a connection. Otherwise a server that accepts
//! connections and drops them at once would go up and down at every attempt.

use std::time::Duration;

use tokio::time::Instant;

/// The state of the server.
#[derive(Debug, Default)]
pub struct ServerState {
    is_up: bool,
    /// When the server went down, if it is known to be down.
    lost_at: Option<Instant>,
    /// Whether the server has been up before.
    was_up: bool,
}

/// The server came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Up {
    /// For the first time, after failed attempts for this long, if any.
    First(Option<Duration>),
    /// Again, after an outage of this length.
    Again(Duration),
}

impl ServerState {
    /// Whether the server is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// Records a Pong. Returns the change to up, if the server was not up.
    pub fn pong(&mut self, now: Instant) -> Option<Up> {
        if self.is_up {
            return None;
        }
        self.is_up = true;
        let gone = self.lost_at.take().map(|since| now.duration_since(since));
        match gone {
            Some(gone) if self.was_up => Some(Up::Again(gone)),
            gone => {
                self.was_up = true;
                Some(Up::First(gone))
            }
        }
    }

    /// Records a connection lost at `since`, or a failed attempt to connect that began at `since`.
    /// Returns whether the state changed to down.
    pub fn lost(&mut self, since: Instant) -> bool {
        self.is_up = false;
        let is_news = self.lost_at.is_none();
        self.lost_at.get_or_insert(since);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times() -> impl Fn(u64) -> Instant {
        let start = Instant::now();
        move |seconds| start + Duration::from_secs(seconds)
    }

    #[test]
    fn each_change_is_reported_once() {
        let at = times();
        let mut state = ServerState::default();
        assert_eq!(state.pong(at(0)), Some(Up::First(None)));
        assert_eq!(state.pong(at(1)), None);
        for _ in 0..2 {
            assert!(state.is_up());
            assert!(state.lost(at(2)));
            assert!(!state.lost(at(3)) && !state.is_up());
            assert_eq!(state.pong(at(5)), Some(Up::Again(Duration::from_secs(3))));
            assert_eq!(state.pong(at(6)), None);
        }
    }

    #[test]
    fn a_server_that_starts_late_is_up_for_the_first_time() {
        let at = times();
        let mut state = ServerState::default();
        assert!(state.lost(at(0)));
        assert!(!state.lost(at(1)));
        assert_eq!(state.pong(at(2)), Some(Up::First(Some(Duration::from_secs(2)))));
    }
}
