//! How long to wait before the next try: capped exponential backoff with full jitter.
//!
//! Full jitter means any time from zero to the bound, so that many clients that lost the same
//! server do not come back in step.

use std::time::Duration;

/// Bound of the first pause.
pub const FIRST: Duration = Duration::from_millis(100);

/// Bound of the longest pause.
pub const LONGEST: Duration = Duration::from_secs(10);

/// The pauses between tries, each bound twice the one before.
#[derive(Debug)]
pub struct Backoff {
    bound: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { bound: FIRST }
    }
}

impl Backoff {
    /// The next pause: `fraction`, a random number from 0 to 1, of the bound.
    pub fn next(&mut self, fraction: f64) -> Duration {
        let pause = self.bound.mul_f64(fraction.clamp(0.0, 1.0));
        self.bound = (self.bound * 2).min(LONGEST);
        pause
    }

    /// Begins anew, as a try was worth it.
    pub fn reset(&mut self) {
        self.bound = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let mut backoff = Backoff::default();
        let bounds = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0];
        for bound in bounds {
            assert_eq!(backoff.next(1.0), Duration::from_secs_f64(bound));
        }
        backoff.reset();
        assert_eq!(backoff.next(1.0), FIRST);
    }

    proptest! {
        #[test]
        fn a_pause_is_its_fraction_of_the_bound(fractions in prop::collection::vec(0.0..1.0, 1..100)) {
            let mut backoff = Backoff::default();
            let mut bound = FIRST;
            for fraction in fractions {
                let pause = backoff.next(fraction);
                prop_assert_eq!(pause, bound.mul_f64(fraction));
                prop_assert!(pause <= bound && bound <= LONGEST);
                bound = LONGEST.min(bound * 2);
            }
        }

        #[test]
        fn no_fraction_breaks_the_cap(fractions in prop::collection::vec(any::<f64>(), 1..20)) {
            let mut backoff = Backoff::default();
            for fraction in fractions.into_iter().filter(|fraction| !fraction.is_nan()) {
                prop_assert!(backoff.next(fraction) <= LONGEST);
            }
        }

        #[test]
        fn a_reset_forgets_every_pause(tries in 0_usize..100, fraction in 0.0..1.0) {
            let mut backoff = Backoff::default();
            (0..tries).for_each(|_| _ = backoff.next(0.5));
            backoff.reset();
            prop_assert_eq!(backoff.next(fraction), FIRST.mul_f64(fraction));
        }
    }
}
