//! Rate limiting of warnings that the network can cause.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Shortest time between two warnings that share a throttle.
const PAUSE: Duration = Duration::from_secs(5);

/// Lets one event through every 5 s, and counts the others.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// Whether an event at `now` is let through: the number of events held back since the last one
    /// that was let through, or `None` to hold this one back too.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if state.last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            state.held_back += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

/// Warns through a [`Throttle`], with the number of warnings that were held back.
macro_rules! warn_throttled {
    ($throttle:expr, $($message:tt)+) => {
        if let Some(held_back) = $throttle.admit(std::time::Instant::now()) {
            if held_back == 0 {
                tracing::warn!($($message)+);
            } else {
                tracing::warn!(suppressed = held_back, $($message)+);
            }
        }
    };
}
pub(crate) use warn_throttled;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_in_a_while_passes_with_the_count_of_the_others() {
        let throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.admit(start), Some(0));
        assert_eq!(throttle.admit(start + PAUSE / 2), None);
        assert_eq!(throttle.admit(start + PAUSE / 2), None);
        assert_eq!(throttle.admit(start + PAUSE), Some(2));
        assert_eq!(throttle.admit(start + PAUSE * 3), Some(0));
    }
}
