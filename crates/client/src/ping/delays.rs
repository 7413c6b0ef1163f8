//! What the clock of `/probe` shows: the time within the server, and how the delay varies in each
//! direction.
//!
//! The clocks of client and server have nothing in common, so the delay of one direction is not
//! known. How it differs from the delay of the ping before is (RFC 3393, section 4.5): what the
//! clocks are apart is the same in both.

use std::time::Duration;

use tokio::time::Instant;

use super::figures::{ServerTimes, Variation};

/// A ping that `/probe` answered.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    /// When the client sent it.
    pub sent: Instant,
    /// When the client had the answer.
    pub received: Instant,
    /// The server's clock when it had arrived, in microseconds.
    pub arrived: u64,
    /// The server's clock when the answer left, in microseconds.
    pub left: u64,
}

impl Timed {
    /// From the client to the client.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.received.duration_since(self.sent)
    }

    /// From arrival to departure; never longer than the round trip, whatever the server says.
    #[must_use]
    pub fn in_server(&self) -> Duration {
        Duration::from_micros(self.left.saturating_sub(self.arrived)).min(self.round_trip())
    }
}

/// Times of all pings that `/probe` answered.
#[derive(Debug, Default)]
pub(super) struct Delays {
    count: u32,
    least: Duration,
    most: Duration,
    total: Duration,
    /// The last ping over the current connection.
    last: Option<Timed>,
    differences: u32,
    to_server: f64,
    from_server: f64,
}

impl Delays {
    /// Another connection may lead to another server, with a clock of its own.
    pub(super) fn connected(&mut self) {
        self.last = None;
    }

    /// Counts a ping.
    pub(super) fn add(&mut self, timed: Timed) {
        let server = timed.in_server();
        self.least = if self.count == 0 { server } else { self.least.min(server) };
        self.most = self.most.max(server);
        self.total = self.total.saturating_add(server);
        self.count += 1;
        if let Some(last) = self.last.replace(timed) {
            // Seconds that one end counts between the two pings, and the other end.
            let between = |later: Instant, earlier| later.duration_since(earlier).as_secs_f64();
            let counted = |later: u64, earlier: u64| (later as f64 - earlier as f64) / 1e6;
            let sent = between(timed.sent, last.sent);
            let received = between(timed.received, last.received);
            self.to_server += (counted(timed.arrived, last.arrived) - sent).abs();
            self.from_server += (received - counted(timed.left, last.left)).abs();
            self.differences += 1;
        }
    }

    /// Times within the server; `None` unless it tells them.
    pub(super) fn server_times(&self) -> Option<ServerTimes> {
        let [min, max] = [self.least, self.most].map(|time| time.as_secs_f64());
        let avg = self.total.as_secs_f64() / f64::from(self.count);
        (self.count > 0).then_some(ServerTimes { min, avg, max })
    }

    /// How the delay varies; `None` without two pings over one connection.
    pub(super) fn variation(&self) -> Option<Variation> {
        let average = |sum: f64| sum / f64::from(self.differences);
        let (to_server, from_server) = (average(self.to_server), average(self.from_server));
        (self.differences > 0).then_some(Variation { to_server, from_server })
    }

    /// Both in lines; empty without either.
    pub(super) fn report(&self) -> String {
        let millis = |seconds: f64| format!("{:.3}", seconds * 1e3);
        let mut report = String::new();
        if let Some(ServerTimes { min, avg, max }) = self.server_times() {
            let times = [min, avg, max].map(millis).join("/");
            report.push_str(&format!("in the server min/avg/max = {times} ms\n"));
        }
        if let Some(Variation { to_server, from_server }) = self.variation() {
            let (to, from) = (millis(to_server), millis(from_server));
            report.push_str(&format!(
                "delay varies from ping to ping by {to} ms to the server, {from} ms from it\n"
            ));
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ping sent so many milliseconds after the start, by its delays in microseconds.
    fn timed(start: Instant, sent: u64, to: u64, server: u64, from: u64) -> Timed {
        // The clock of the server is somewhere else.
        let arrived = 1_700_000_000_000_000 + sent * 1000 + to;
        let sent = start + Duration::from_millis(sent);
        let received = sent + Duration::from_micros(to + server + from);
        Timed { sent, received, arrived, left: arrived + server }
    }

    #[test]
    fn the_delay_varies_in_each_direction_on_its_own() {
        let start = Instant::now();
        let mut delays = Delays::default();
        assert_eq!((delays.server_times(), delays.variation()), (None, None));
        assert_eq!(delays.report(), "");
        for (number, (to, server, from)) in
            [(100, 10, 500), (300, 30, 500), (100, 20, 500)].into_iter().enumerate()
        {
            delays.add(timed(start, number as u64 * 1000, to, server, from));
        }
        assert_eq!(
            delays.report(),
            "in the server min/avg/max = 0.010/0.020/0.030 ms\n\
             delay varies from ping to ping by 0.200 ms to the server, 0.000 ms from it\n"
        );
    }

    #[test]
    fn clocks_of_two_servers_are_not_compared() {
        let start = Instant::now();
        let mut delays = Delays::default();
        delays.add(timed(start, 0, 100, 10, 100));
        delays.connected();
        let other = timed(start, 1000, 100, 10, 100);
        delays.add(Timed { arrived: 7, left: 17, ..other });
        assert_eq!(delays.variation(), None);
        delays.add(Timed {
            arrived: 1_000_007,
            left: 1_000_017,
            ..timed(start, 2000, 100, 10, 100)
        });
        let Variation { to_server, from_server } = delays.variation().unwrap();
        assert!(to_server < 1e-9 && from_server < 1e-9, "{to_server} {from_server}");
    }

    #[test]
    fn a_server_that_lies_does_no_harm() {
        let start = Instant::now();
        let mut delays = Delays::default();
        let honest = timed(start, 0, 100, 10, 100);
        delays.add(Timed { arrived: u64::MAX, left: 0, ..honest });
        delays.add(Timed { arrived: 0, left: u64::MAX, ..honest });
        let ServerTimes { min, max, .. } = delays.server_times().unwrap();
        assert!(min >= 0.0 && max <= 0.001, "{min} {max}");
        assert!(delays.variation().unwrap().to_server.is_finite());
    }
}
