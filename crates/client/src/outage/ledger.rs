//! The outages of a server, one after the other.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Outage;
use super::activity::{Activity, Cut};
use super::cause::{Cause, Ended, Observed, cause};
use super::seen::Seen;

/// Outages that are remembered one by one; of older ones the sums are kept.
pub const REMEMBERED: usize = 100;

/// All outages since the start.
#[derive(Debug)]
pub struct Ledger {
    started: Instant,
    present: Option<Outage>,
    past: VecDeque<Outage>,
    ends: VecDeque<Ended>,
    count: u64,
    cuts: u64,
    total: Duration,
    longest: Duration,
    /// The longest silence that a connection outlived.
    survived: Duration,
    /// Since when the connection is there that is there now.
    made: Option<Instant>,
}

impl Ledger {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            present: None,
            past: VecDeque::new(),
            ends: VecDeque::new(),
            count: 0,
            cuts: 0,
            total: Duration::ZERO,
            longest: Duration::ZERO,
            survived: Duration::ZERO,
            made: None,
        }
    }

    /// A connection was made.
    pub fn made(&mut self, now: Instant) {
        self.made = Some(now);
    }

    /// A connection ended.
    pub fn ended(&mut self, now: Instant, seen: Seen, reason: String, activity: &Activity) {
        self.made = None;
        self.survived = self.survived.max(activity.survived());
        let cut = activity.cut(now);
        if self.begin(now, seen, reason, Some(cut)) {
            self.cuts += 1;
            let at = now.duration_since(self.started);
            push(&mut self.ends, Ended { at, age: cut.age, silent: cut.silent });
        }
    }

    /// No connection could be made.
    pub fn refused(&mut self, now: Instant, reason: String) {
        self.begin(now, Seen::Refused, reason, None);
    }

    /// Begins an outage, unless one is under way.
    fn begin(&mut self, now: Instant, seen: Seen, reason: String, cut: Option<Cut>) -> bool {
        if self.present.is_some() {
            return false;
        }
        let silent = match (seen, cut) {
            (Seen::Silence, Some(cut)) => cut.silent_received,
            _ => Duration::ZERO,
        };
        let began = now.checked_sub(silent).unwrap_or(now);
        let length = Duration::ZERO;
        self.present = Some(Outage { seen, reason, began, length, cut, is_over: false });
        self.count += 1;
        true
    }

    /// A reply came. Returns the outage that it ended.
    pub fn answered(&mut self, now: Instant) -> Option<Outage> {
        let outage = self.present.take()?;
        Some(self.end(Outage { is_over: true, ..outage }, now))
    }

    /// The client stops. Returns the outage that is not over.
    pub fn stopped(&mut self, now: Instant) -> Option<Outage> {
        let outage = self.present.take()?;
        Some(self.end(outage, now))
    }

    fn end(&mut self, mut outage: Outage, now: Instant) -> Outage {
        outage.length = now.duration_since(outage.began);
        self.total += outage.length;
        self.longest = self.longest.max(outage.length);
        push(&mut self.past, outage.clone());
        outage
    }

    /// The outage that is under way.
    #[must_use]
    pub fn present(&self) -> Option<&Outage> {
        self.present.as_ref()
    }

    /// The last outages that have ended, the oldest first.
    pub fn past(&self) -> impl ExactSizeIterator<Item = &Outage> {
        self.past.iter()
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many of them began with the end of a connection.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.cuts
    }

    /// How long they were in all.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total
    }

    /// How long the longest was.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The part of the time, from 0 to 1, in which the server was there.
    #[must_use]
    pub fn availability(&self, now: Instant) -> f64 {
        let elapsed = now.duration_since(self.started).as_secs_f64();
        let down = self.total.as_secs_f64();
        if elapsed > 0.0 { (1.0 - down / elapsed).clamp(0.0, 1.0) } else { 1.0 }
    }

    /// What cut the connections.
    #[must_use]
    pub fn cause(&self, now: Instant) -> Option<Cause> {
        let ends: Vec<_> = self.ends.iter().copied().collect();
        let oldest = self.made.map_or(Duration::ZERO, |made| now.duration_since(made));
        cause(Observed { ends: &ends, survived: self.survived, oldest })
    }
}

fn push<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() >= REMEMBERED {
        list.pop_front();
    }
    list.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_outage_lasts_from_its_end_to_the_next_reply() {
        let start = Instant::now();
        let mut ledger = Ledger::new(start);
        let activity = Activity::new(start);
        ledger.ended(start + SECOND * 2, Seen::Fin, "gone".into(), &activity);
        ledger.refused(start + SECOND * 3, "refused".into());
        let outage = ledger.answered(start + SECOND * 5).unwrap();
        assert_eq!((outage.seen, outage.length, outage.is_over), (Seen::Fin, SECOND * 3, true));
        assert_eq!(ledger.answered(start + SECOND * 6), None);
        assert_eq!((ledger.count(), ledger.cuts(), ledger.total()), (1, 1, SECOND * 3));
        assert!((ledger.availability(start + SECOND * 6) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn silence_begins_with_the_last_sign_of_life() {
        let start = Instant::now();
        let mut ledger = Ledger::new(start);
        let mut activity = Activity::new(start);
        activity.received(start + SECOND);
        activity.asked(start + SECOND * 2);
        ledger.ended(start + SECOND * 12, Seen::Silence, "no Pong".into(), &activity);
        let outage = ledger.stopped(start + SECOND * 21).unwrap();
        assert_eq!((outage.began, outage.length), (start + SECOND, SECOND * 20));
        assert!(!outage.is_over);
    }

    #[test]
    fn a_server_that_is_away_at_the_start_is_no_cut() {
        let start = Instant::now();
        let mut ledger = Ledger::new(start);
        ledger.refused(start, "refused".into());
        ledger.answered(start + SECOND);
        assert_eq!((ledger.count(), ledger.cuts()), (1, 0));
        assert_eq!(ledger.cause(start + SECOND), None);
    }

    #[test]
    fn memory_is_bounded() {
        let start = Instant::now();
        let mut ledger = Ledger::new(start);
        for _ in 0..REMEMBERED * 3 {
            ledger.ended(start, Seen::Fin, String::new(), &Activity::new(start));
            ledger.answered(start);
        }
        assert_eq!((ledger.past().len(), ledger.ends.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(ledger.count(), REMEMBERED as u64 * 3);
    }
}
