//! Due times of pings at a given rate (open loop).

/// Pings at a constant rate, independent of the replies, over the connections in turn. Times are in
/// nanoseconds since the start, pings and connections are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Schedule {
    /// Pings a second, over all connections.
    rate: f64,
    connections: u64,
    /// Total number of pings of the schedule.
    total: u64,
}

impl Schedule {
    /// A schedule for `duration` nanoseconds.
    pub(crate) fn new(rate: f64, connections: u64, duration: u64) -> Self {
        let endless = Self { rate, connections, total: u64::MAX };
        let is_last_due = duration.checked_sub(1);
        Self { total: is_last_due.map_or(0, |last| endless.due_by(last)), ..endless }
    }

    /// Total number of pings of the schedule.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// When a ping is due.
    pub(crate) fn due(&self, ping: u64) -> u64 {
        (ping as f64 * 1e9 / self.rate).ceil() as u64
    }

    /// Number of pings due by `time`.
    pub(crate) fn due_by(&self, time: u64) -> u64 {
        let mut pings = (time as f64 * self.rate / 1e9) as u64;
        // The rounding error is one ping at most.
        while pings > 0 && self.due(pings - 1) > time {
            pings -= 1;
        }
        while pings < self.total && self.due(pings) <= time {
            pings += 1;
        }
        pings.min(self.total)
    }

    /// The `turn`th ping of a connection.
    pub(crate) fn ping(&self, connection: u64, turn: u64) -> u64 {
        turn.saturating_mul(self.connections).saturating_add(connection)
    }

    /// The connection that a ping goes over.
    pub(crate) fn connection(&self, ping: u64) -> u64 {
        ping % self.connections
    }

    /// Number of turns of a connection that are due by `time`.
    pub(crate) fn turns_by(&self, connection: u64, time: u64) -> u64 {
        match self.due_by(time).checked_sub(connection + 1) {
            Some(others) => others / self.connections + 1,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn pings_are_evenly_spread() {
        let schedule = Schedule::new(4.0, 3, 2 * SECOND);
        assert_eq!(schedule.total(), 8);
        assert_eq!([0, 1, 7].map(|ping| schedule.due(ping)), [0, SECOND / 4, SECOND / 4 * 7]);
        assert_eq!(schedule.due_by(0), 1);
        assert_eq!(schedule.due_by(SECOND / 4 - 1), 1);
        assert_eq!(schedule.due_by(SECOND / 4), 2);
        assert_eq!(schedule.due_by(9 * SECOND), 8);
        assert_eq!([0, 1, 2].map(|c| schedule.turns_by(c, 9 * SECOND)), [3, 3, 2]);
    }

    #[test]
    fn a_slow_rate_sends_its_first_ping_at_once() {
        assert_eq!(Schedule::new(0.1, 1, SECOND).total(), 1);
        assert_eq!(Schedule::new(1.0, 1, 0).total(), 0);
    }

    proptest! {
        #[test]
        fn due_times_and_due_counts_agree(
            rate in 0.01..1e8,
            duration in 0..3600 * SECOND,
            time in 0..3600 * SECOND,
        ) {
            let schedule = Schedule::new(rate, 1, duration);
            let due = schedule.due_by(time);
            prop_assert!(due <= schedule.total());
            prop_assert!(due == 0 || schedule.due(due - 1) <= time);
            prop_assert!(due == schedule.total() || schedule.due(due) > time);
            let expected = duration as f64 / 1e9 * rate;
            prop_assert!((schedule.total() as f64 - expected).abs() <= 1.0 + expected * 1e-9);
        }

        #[test]
        fn each_ping_is_the_turn_of_one_connection(
            rate in 0.1..1e6,
            connections in 1..50_u64,
            time in 0..10 * SECOND,
        ) {
            let schedule = Schedule::new(rate, connections, 10 * SECOND);
            let turns: u64 = (0..connections).map(|c| schedule.turns_by(c, time)).sum();
            prop_assert_eq!(turns, schedule.due_by(time));
            for ping in 0..100 {
                let connection = schedule.connection(ping);
                prop_assert_eq!(schedule.ping(connection, ping / connections), ping);
            }
        }
    }
}
