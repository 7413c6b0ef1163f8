//! Rate limit for unsolicited texts from the server.

use std::time::Duration;

use tokio::time::Instant;

/// Most texts shown within [`SPAN`].
pub const SHOWN: u32 = 10;

/// The span that [`SHOWN`] holds for.
pub const SPAN: Duration = Duration::from_secs(1);

/// Interval between warnings about suppressed texts.
pub const LOG_EVERY: Duration = Duration::from_secs(10);

/// Admits [`SHOWN`] texts in each [`SPAN`] and counts the suppressed ones.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Start of the span, and the texts shown in it.
    span: Option<(Instant, u32)>,
    left_out: u64,
    /// When the number of suppressed texts is logged next.
    next_log: Option<Instant>,
}

impl Throttle {
    /// Whether to show a text received `now`. A suppressed text is counted.
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
            self.next_log.get_or_insert(now + SPAN);
            return false;
        }
        self.span = self.span.map(|(start, shown)| (start, shown + 1));
        true
    }

    /// Number of texts suppressed since the last warning, if a warning is due `now`.
    pub fn due(&mut self, now: Instant) -> Option<u64> {
        if self.left_out == 0 || self.next_log.is_some_and(|next| now < next) {
            return None;
        }
        self.next_log = Some(now + LOG_EVERY);
        self.take()
    }

    /// Number of texts suppressed since the last warning; `None` if 0.
    pub fn take(&mut self) -> Option<u64> {
        let left_out = std::mem::take(&mut self.left_out);
        (left_out > 0).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_beyond_the_limit_of_a_span_are_counted() {
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
    fn the_number_of_suppressed_texts_is_due_at_intervals() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let mut reported = 0;
        for tenths in 0..600 {
            let now = start + Duration::from_millis(100) * tenths;
            (0..100).for_each(|_| _ = throttle.admits(now));
            reported += u32::from(throttle.due(now).is_some());
        }
        assert_eq!(reported, 6);
    }
}
