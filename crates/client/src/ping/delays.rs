//! Times by the clock of `/probe`: the time within the server, and the delay variation of each
//! direction.
//!
//! The clocks of client and server are not synchronized, so the one-way delay is unknown. Its
//! difference from the delay of the previous ping is known (RFC 3393, section 4.5): the offset
//! between the clocks cancels out.

use std::time::Duration;

use tokio::time::Instant;

use super::figures::{ServerTimes, Variation};

/// A ping that `/probe` answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    /// When the client sent the request.
    pub(super) sent: Instant,
    /// When the client received the answer.
    pub(super) received: Instant,
    /// The server's clock at the arrival of the request, in microseconds.
    pub(super) arrived: u64,
    /// The server's clock at the departure of the answer, in microseconds.
    pub(super) left: u64,
}

impl Timed {
    /// From request to answer, by the clock of the client.
    pub(super) fn round_trip(&self) -> Duration {
        self.received.duration_since(self.sent)
    }

    /// From arrival to departure; at most the round trip, whatever the server reports.
    pub(super) fn in_server(&self) -> Duration {
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
    /// Number of differences between two pings, and the sum of each direction in seconds.
    differences: u32,
    to_server: f64,
    from_server: f64,
}

impl Delays {
    /// Notes a new connection, which may lead to another server with another clock.
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
            // Seconds between the two pings, by the clock of the client and of the server.
            let by_client = |later: Instant, earlier| later.duration_since(earlier).as_secs_f64();
            let by_server = |later: u64, earlier: u64| (later as f64 - earlier as f64) / 1e6;
            let sent = by_client(timed.sent, last.sent);
            let received = by_client(timed.received, last.received);
            let to_server = (by_server(timed.arrived, last.arrived) - sent).abs();
            let from_server = (received - by_server(timed.left, last.left)).abs();
            // A one-way delay is at most the round trip. A larger difference means that the clock
            // of the server was set between the two pings.
            let possible = timed.round_trip().max(last.round_trip()).as_secs_f64();
            if to_server.max(from_server) <= possible {
                self.to_server += to_server;
                self.from_server += from_server;
                self.differences += 1;
            }
        }
    }

    /// Times within the server; `None` without an answer of `/probe`.
    pub(super) fn server_times(&self) -> Option<ServerTimes> {
        let [min, max] = [self.least, self.most].map(|time| time.as_secs_f64());
        let avg = self.total.as_secs_f64() / f64::from(self.count);
        (self.count > 0).then_some(ServerTimes { min, avg, max })
    }

    /// The delay variation; `None` without two pings over one connection and by one clock.
    pub(super) fn variation(&self) -> Option<Variation> {
        let average = |sum: f64| sum / f64::from(self.differences);
        let (to_server, from_server) = (average(self.to_server), average(self.from_server));
        (self.differences > 0).then_some(Variation { to_server, from_server })
    }

    /// The lines of the statistics; empty without an answer of `/probe`.
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

    /// A ping sent `sent` milliseconds after the start, with these delays in microseconds.
    fn timed(start: Instant, sent: u64, to: u64, server: u64, from: u64) -> Timed {
        // The clock of the server has another origin.
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
    fn false_times_of_a_server_do_no_harm() {
        let start = Instant::now();
        let mut delays = Delays::default();
        let honest = timed(start, 0, 100, 10, 100);
        delays.add(Timed { arrived: u64::MAX, left: 0, ..honest });
        delays.add(Timed { arrived: 0, left: u64::MAX, ..honest });
        let ServerTimes { min, max, .. } = delays.server_times().unwrap();
        assert!(min >= 0.0 && max <= 0.001, "{min} {max}");
        assert_eq!(delays.variation(), None);
    }

    #[test]
    fn a_step_of_the_servers_clock_is_no_delay() {
        let start = Instant::now();
        let mut delays = Delays::default();
        let step = 2_000_000;
        for number in 0..4 {
            let to = if number % 2 == 0 { 100 } else { 300 };
            let ping = timed(start, number * 1000, to, 10, 500);
            let step = if number < 2 { 0 } else { step };
            delays.add(Timed { arrived: ping.arrived + step, left: ping.left + step, ..ping });
        }
        assert_eq!(
            delays.report().lines().last().unwrap(),
            "delay varies from ping to ping by 0.200 ms to the server, 0.000 ms from it"
        );
    }
}
