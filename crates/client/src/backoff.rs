//! The pause before the next attempt: capped exponential backoff with full jitter.
//!
//! With full jitter, a pause is any time from zero to the bound, so that many clients of one server
//! do not reconnect at the same time.

use std::time::Duration;

/// Bound of the first pause.
pub const FIRST: Duration = Duration::from_millis(100);

/// Largest bound. Also the age at which a useful connection resets the bound: a server that cuts
/// connections sooner is tried less and less often.
pub const LONGEST: Duration = Duration::from_secs(10);

/// The pauses between attempts; the bound doubles with each.
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
    /// The next pause: `fraction`, a random number from 0 to 1, of the bound, in addition to the
    /// pause that the server asked for (`Retry-After`).
    pub fn next(&mut self, fraction: f64, retry_after: Option<Duration>) -> Duration {
        let pause = self.bound.mul_f64(fraction.clamp(0.0, 1.0));
        self.bound = (self.bound * 2).min(LONGEST);
        retry_after.unwrap_or_default() + pause
    }

    /// Notes the age at which a useful connection ended.
    pub fn held(&mut self, time: Duration) {
        if time >= LONGEST {
            self.bound = FIRST;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use tokio::task::JoinSet;
    use tokio::time::{Instant, sleep};

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let mut backoff = Backoff::default();
        let bounds = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0];
        for bound in bounds {
            assert_eq!(backoff.next(1.0, None), Duration::from_secs_f64(bound));
        }
    }

    #[test]
    fn only_a_connection_that_held_begins_anew() {
        let mut backoff = Backoff::default();
        (0..10).for_each(|_| _ = backoff.next(1.0, None));
        backoff.held(LONGEST - Duration::from_millis(1));
        assert_eq!(backoff.next(1.0, None), LONGEST);
        backoff.held(LONGEST);
        assert_eq!(backoff.next(1.0, None), FIRST);
    }

    #[test]
    fn the_time_that_a_server_asks_for_is_kept_and_the_jitter_comes_on_top() {
        let retry_after = Some(Duration::from_secs(30));
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(0.0, retry_after), Duration::from_secs(30));
        assert_eq!(backoff.next(1.0, retry_after), Duration::from_millis(30_200));
    }

    /// When each of a thousand clients reconnects, after all of them lost a server that stays away
    /// for this long.
    async fn returns(away: Duration) -> Vec<Duration> {
        let start = Instant::now();
        let mut clients = JoinSet::new();
        for seed in 0..1000 {
            clients.spawn(async move {
                let mut random = SmallRng::seed_from_u64(seed);
                let mut backoff = Backoff::default();
                loop {
                    sleep(backoff.next(random.random(), None)).await;
                    if start.elapsed() >= away {
                        return start.elapsed();
                    }
                }
            });
        }
        clients.join_all().await
    }

    /// The most returns within any span of this length.
    fn most_within(span: Duration, returns: &mut [Duration]) -> usize {
        returns.sort();
        let within = |first| returns.partition_point(|time| *time < returns[first] + span) - first;
        (0..returns.len()).map(within).max().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_clients_that_lose_their_server_come_back_spread_out() {
        let mut blink = returns(Duration::ZERO).await;
        let mut restart = returns(Duration::from_secs(5)).await;
        let mut outage = returns(Duration::from_secs(60)).await;
        // An even distribution has 100 in 10 ms, about 20 in 100 ms, and 10 in 100 ms.
        assert!(most_within(Duration::from_millis(10), &mut blink) < 200);
        assert!(most_within(Duration::from_millis(100), &mut restart) < 100);
        assert!(most_within(Duration::from_millis(100), &mut outage) < 40);
        assert!(*outage.last().unwrap() <= Duration::from_secs(60) + LONGEST);
    }

    proptest! {
        #[test]
        fn a_pause_is_its_fraction_of_the_bound(fractions in prop::collection::vec(0.0..1.0, 1..100)) {
            let mut backoff = Backoff::default();
            let mut bound = FIRST;
            for fraction in fractions {
                let pause = backoff.next(fraction, None);
                prop_assert_eq!(pause, bound.mul_f64(fraction));
                prop_assert!(pause <= bound && bound <= LONGEST);
                bound = LONGEST.min(bound * 2);
            }
        }

        #[test]
        fn no_fraction_breaks_the_cap(fractions in prop::collection::vec(any::<f64>(), 1..20)) {
            let mut backoff = Backoff::default();
            for fraction in fractions.into_iter().filter(|fraction| !fraction.is_nan()) {
                prop_assert!(backoff.next(fraction, None) <= LONGEST);
            }
        }
    }
}
