//! Which connections are opened, and when.

use std::time::Duration;

use super::kind::Kind;

/// Longest pause between two frames of a connection with traffic.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);

/// Longest time over which the connections are opened. Connections of one kind differ in age then,
/// so that a cut at an age is distinct from a cut at an instant.
const LONGEST_STAGGER: Duration = Duration::from_secs(2);

/// Silences to test, in seconds: around the default timeouts of proxies and balancers, and a few
/// between. [`refinement`] searches a gap in which connections were dropped.
const SILENCES: [f64; 28] = [
    3.0, 5.5, 8.0, 10.0, 15.0, 19.5, 20.5, 29.0, 29.6, 30.4, 31.0, 45.0, 54.5, 55.5, 59.0, 59.5,
    60.5, 61.0, 80.0, 99.0, 101.0, 119.0, 121.0, 180.0, 239.0, 241.0, 299.0, 301.0,
];

/// Silences to test above five minutes, in seconds.
const LONG_SILENCES: [f64; 12] =
    [349.0, 351.0, 420.0, 510.0, 597.0, 603.0, 750.0, 893.0, 907.0, 1200.0, 1790.0, 1810.0];

/// Longest time for which connections with traffic have to survive the cut of silent ones.
const LONGEST_SETTLING: Duration = Duration::from_secs(20);

/// Up to this longest timeout, the silences to test are evenly spaced.
const EVEN: Duration = Duration::from_secs(20);

/// Parts into which evenly spaced silences divide the longest timeout.
const EVEN_PARTS: u32 = 20;

/// A connection to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlannedConnection {
    pub(super) kind: Kind,
    /// The silence after which the connection asks once, if it tests that silence.
    pub(super) asks_after: Option<Duration>,
    /// When to open the connection, from the start of the probe.
    pub(super) start: Duration,
}

/// The possible measurements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Longest timeout to look for.
    pub(super) max: Duration,
    /// Whether the server speaks `/probe`.
    pub(super) is_probe: bool,
    /// Whether the server accepts a message that it does not know.
    pub(super) takes_messages: bool,
    /// Whether the server answers pings. Otherwise a silent drop goes unnoticed.
    pub(super) answers: bool,
    /// Whether the stream is one of TCP.
    pub(super) is_tcp: bool,
}

impl Plan {
    /// Pause between two frames of a connection with traffic.
    pub(super) fn interval(&self) -> Duration {
        (self.max / 20).min(LONGEST_INTERVAL)
    }

    /// Time for which connections with traffic have to survive the silent ones, which were cut after
    /// `timeout`.
    pub(super) fn settle(&self, timeout: Duration) -> Duration {
        (timeout * 4 / 5).clamp(self.interval() * 3, LONGEST_SETTLING)
    }

    /// All connections, in the order in which they are opened.
    pub(super) fn connections(&self) -> Vec<PlannedConnection> {
        let (kinds, silences) = (self.kinds(), self.silences());
        let own = |kind: &Kind| (*kind, None);
        let asking = |silence: &Duration| (Kind::Silent, Some(*silence));
        // The connections without which there is no verdict come first: a server may refuse the rest.
        let mut order = vec![own(&Kind::Silent)];
        order.extend(kinds.iter().map(own));
        order.extend(silences.iter().map(asking));
        // Round robin over two servers: the two connections of a kind must go to both, so the distance
        // between them has to be odd.
        let further = 1 + (kinds.len() + silences.len()) % 2;
        order.extend(vec![own(&Kind::Silent); further]);
        order.extend(kinds.iter().map(own));
        let stagger = LONGEST_STAGGER.min(self.max / 5) / order.len() as u32;
        let connection = |(number, (kind, asks_after))| PlannedConnection {
            kind,
            asks_after,
            start: stagger * number,
        };
        (0..).zip(order).map(connection).collect()
    }

    /// The kinds of connections that are possible with this server.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let can = |kind: &Kind| match kind {
            Kind::TcpKeepalive => self.is_tcp,
            Kind::Message => self.takes_messages,
            Kind::ServerPing | Kind::ServerMessage => self.is_probe,
            Kind::Silent | Kind::ProtocolPing | Kind::UnaskedPong | Kind::Busy => true,
        };
        Kind::ALL.into_iter().filter(can).collect()
    }

    /// The silences to test, in rising order.
    fn silences(&self) -> Vec<Duration> {
        if !self.answers {
            return Vec::new();
        }
        if self.max <= EVEN {
            return (1..EVEN_PARTS).map(|part| self.max * part / EVEN_PARTS).collect();
        }
        let silences = SILENCES.into_iter().chain(LONG_SILENCES).map(Duration::from_secs_f64);
        silences.filter(|&silence| silence < self.max).collect()
    }
}

/// Largest gap between two silences that is precise enough for a timeout.
fn fine_gap(timeout: Duration) -> Duration {
    (timeout / 50).max(Duration::from_secs(1))
}

/// Connections that test further silences, between one after which the server answered and one after
/// which it did not. They are opened from `start` on. Empty if the gap is precise enough.
pub(super) fn refinement(
    answered: Duration,
    unanswered: Duration,
    start: Duration,
) -> Vec<PlannedConnection> {
    // For timeouts of a second or two, the tested silences are closer than a second.
    let slack = Duration::from_millis(100);
    let gap = unanswered.saturating_sub(answered);
    if gap <= fine_gap(unanswered) + slack {
        return Vec::new();
    }
    let parts = (gap.as_secs_f64() / fine_gap(unanswered).as_secs_f64()).ceil() as u32;
    let connection = |part| PlannedConnection {
        kind: Kind::Silent,
        asks_after: Some(answered + gap * part / parts),
        start: start + Duration::from_millis(20) * part,
    };
    (1..parts).map(connection).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(max: f64) -> Plan {
        let max = Duration::from_secs_f64(max);
        Plan { max, is_probe: true, takes_messages: true, answers: true, is_tcp: true }
    }

    fn silences(max: f64) -> Vec<f64> {
        plan(max).silences().iter().map(Duration::as_secs_f64).collect()
    }

    #[test]
    fn there_are_two_connections_of_each_kind_of_different_ages() {
        for max in [2.0, 20.0, 360.0, 7200.0] {
            let connections = plan(max).connections();
            for kind in Kind::ALL {
                let of_kind = connections.iter().filter(|connection| {
                    connection.kind == kind && connection.asks_after.is_none()
                });
                let starts: Vec<_> = of_kind.map(|connection| connection.start).collect();
                let expected = if kind == Kind::Silent { 4..6 } else { 2..3 };
                assert!(expected.contains(&starts.len()), "{kind:?}");
                let apart = starts[starts.len() - 1] - starts[0];
                assert!(
                    apart > Duration::from_secs_f64(max).min(LONGEST_INTERVAL) / 10,
                    "{kind:?}"
                );
            }
            let silent: Vec<_> = (0..connections.len())
                .filter(|&place| {
                    connections[place].kind == Kind::Silent
                        && connections[place].asks_after.is_none()
                })
                .collect();
            for parity in 0..2 {
                assert!(silent.iter().filter(|&&place| place % 2 == parity).count() >= 2);
            }
            for kind in &Kind::ALL[1..] {
                let places: Vec<_> = (0..connections.len())
                    .filter(|&place| connections[place].kind == *kind)
                    .collect();
                assert_eq!((places[0] + places[1]) % 2, 1, "{kind:?}");
            }
            assert!(
                connections.len() <= 60
                    && connections[connections.len() - 1].start <= LONGEST_STAGGER
            );
        }
    }

    #[test]
    fn unsupported_kinds_of_traffic_are_left_out() {
        let plan = Plan {
            is_probe: false,
            takes_messages: false,
            answers: false,
            is_tcp: false,
            ..plan(20.0)
        };
        let kinds = [Kind::Silent, Kind::ProtocolPing, Kind::UnaskedPong, Kind::Busy];
        assert_eq!(plan.kinds(), kinds);
        assert_eq!(plan.connections().len(), 10, "two of each, and two more silent ones");
    }

    #[test]
    fn silences_to_test_are_close_around_the_usual_timeouts() {
        assert_eq!(silences(20.0), (1..20).map(f64::from).collect::<Vec<_>>());
        assert_eq!(silences(2.0)[..3], [0.1, 0.2, 0.3]);
        for known in [20.0, 30.0, 55.0, 60.0, 100.0, 120.0, 240.0, 300.0, 350.0] {
            let silences = silences(360.0);
            let above = silences.iter().position(|&silence| silence > known).unwrap();
            let below = silences[..above].iter().rposition(|&silence| silence < known).unwrap();
            assert!(silences[above] - silences[below] <= 2.0, "{known}");
        }
        assert_eq!(silences(360.0).len(), 30);
        assert!(silences(7200.0).is_sorted());
    }

    #[test]
    fn a_wide_gap_is_searched_in_small_steps() {
        let seconds = Duration::from_secs_f64;
        let refined = |low, high| {
            let connections = refinement(seconds(low), seconds(high), Duration::ZERO);
            connections
                .iter()
                .map(|connection| connection.asks_after.unwrap().as_secs_f64())
                .collect::<Vec<_>>()
        };
        assert_eq!(refined(59.5, 60.5), [0.0; 0]);
        assert_eq!(refined(349.0, 351.0), [0.0; 0]);
        assert_eq!(refined(5.5, 8.0).len(), 2);
        assert_eq!(refined(31.0, 45.0), (32..45).map(f64::from).collect::<Vec<_>>());
        assert!(refined(241.0, 299.0).len() < 10);
    }
}
