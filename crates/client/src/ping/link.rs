//! Whether the server is there, so that its going and its coming back are told once each.
//!
//! It is there from the first Pong of a connection on. A server that accepts connections and
//! drops them at once would otherwise be lost and found at every try.

use std::time::Duration;

use tokio::time::Instant;

/// What is known of the server.
#[derive(Debug, Default)]
pub struct Link {
    is_up: bool,
    /// Since when it is not there, once that was seen.
    lost_at: Option<Instant>,
    /// It was there before.
    was_up: bool,
}

/// The server is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Up {
    /// It was not there before; as long as this in vain, if at all.
    First(Option<Duration>),
    /// It was gone for as long as this.
    Again(Duration),
}

impl Link {
    /// Whether a Pong came since the server was lost.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// A Pong came. Returns what that means, if it is news.
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

    /// A connection was lost or could not be made. Returns whether that is news.
    pub fn lost(&mut self, now: Instant) -> bool {
        self.is_up = false;
        let is_news = self.lost_at.is_none();
        self.lost_at.get_or_insert(now);
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
    fn going_and_coming_back_are_news_once() {
        let at = times();
        let mut link = Link::default();
        assert_eq!(link.pong(at(0)), Some(Up::First(None)));
        assert_eq!(link.pong(at(1)), None);
        for _ in 0..2 {
            assert!(link.is_up());
            assert!(link.lost(at(2)));
            assert!(!link.lost(at(3)) && !link.is_up());
            assert_eq!(link.pong(at(5)), Some(Up::Again(Duration::from_secs(3))));
            assert_eq!(link.pong(at(6)), None);
        }
    }

    #[test]
    fn a_server_that_comes_late_is_not_back() {
        let at = times();
        let mut link = Link::default();
        assert!(link.lost(at(0)));
        assert!(!link.lost(at(1)));
        assert_eq!(link.pong(at(2)), Some(Up::First(Some(Duration::from_secs(2)))));
    }
}
