//! How many texts that answer no ping are shown.

use std::time::Duration;

use tokio::time::Instant;

/// Texts that are shown within [`SPAN`].
pub const SHOWN: u32 = 10;

/// The span that [`SHOWN`] holds for.
pub const SPAN: Duration = Duration::from_secs(1);

/// How often the number of those left out is told.
pub const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Shows so many texts in each span and counts the others.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Start of the span, and the texts shown in it.
    span: Option<(Instant, u32)>,
    left_out: u64,
    /// When that number is told next.
    next_told: Option<Instant>,
}

impl Throttle {
    /// Whether the text that comes `now` is shown; else it is counted.
    pub fn admits(&mut self, now: Instant) -> bool {
        let shown = match self.span {
            Some((start, shown)) if now.duration_since(start) < SPAN => shown,
            _ => {
                self.span = Some((now, 0));
                0
            }
        };
        if shown >= SHOWN {
            self.left_out += 1;
            self.next_told.get_or_insert(now + SPAN);
            return false;
        }
        self.span = self.span.map(|(start, shown)| (start, shown + 1));
        true
    }

    /// How many texts were left out since that was told last, if it is to be told `now`.
    pub fn due(&mut self, now: Instant) -> Option<u64> {
        if self.left_out == 0 || self.next_told.is_some_and(|next| now < next) {
            return None;
        }
        self.next_told = Some(now + TOLD_EVERY);
        self.take()
    }

    /// How many texts were left out since that was told last, if any.
    pub fn take(&mut self) -> Option<u64> {
        let left_out = std::mem::take(&mut self.left_out);
        (left_out > 0).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_shows_so_many_and_the_others_are_counted() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        for span in 0..3 {
            let now = start + SPAN * span;
            let shown = (0..1000).filter(|_| throttle.admits(now)).count();
            assert_eq!(shown, SHOWN as usize);
        }
        assert_eq!(throttle.due(start), None);
        assert_eq!(throttle.due(start + SPAN), Some(3 * (1000 - u64::from(SHOWN))));
        assert_eq!(throttle.take(), None);
    }

    #[test]
    fn the_number_is_told_once_in_a_while() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let mut told = 0;
        for tenths in 0..600 {
            let now = start + Duration::from_millis(100) * tenths;
            (0..100).for_each(|_| _ = throttle.admits(now));
            told += u32::from(throttle.due(now).is_some());
        }
        assert_eq!(told, 6);
    }
}
