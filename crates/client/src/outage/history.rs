//! The history of a server's outages.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Outage;
use super::activity::{Activity, AgeAtEnd};
use super::cause::{Cause, Ended, Observed, cause};
use super::observed_end::ObservedEnd;

/// Most outages kept in full; older outages remain only in the totals.
pub const REMEMBERED: usize = 100;

/// All outages since the start.
#[derive(Debug)]
pub struct History {
    started: Instant,
    present: Option<Outage>,
    past: VecDeque<Outage>,
    ends: VecDeque<Ended>,
    count: u64,
    cuts: u64,
    total: Duration,
    longest: Duration,
    /// The longest silence that a connection survived.
    survived: Duration,
    /// When the current connection was opened.
    made: Option<Instant>,
    /// The instance at the other end of the current connection, if the server names its instance.
    instance: Option<String>,
}

impl History {
    /// A history that begins at `started`.
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
            instance: None,
        }
    }

    /// Records that a connection was opened.
    pub fn connected(&mut self, now: Instant) {
        self.made = Some(now);
        self.instance = None;
    }

    /// Records the instance at the other end of the current connection.
    pub fn identified(&mut self, instance: &str) {
        self.instance = Some(instance.to_owned());
    }

    /// Records the end of a connection. Returns whether an outage began.
    pub fn ended(
        &mut self,
        now: Instant,
        seen: ObservedEnd,
        reason: String,
        activity: &Activity,
    ) -> bool {
        self.made = None;
        self.survived = self.survived.max(activity.survived());
        let cut = activity.cut(now);
        let begins = self.begin(now, seen, reason, Some(cut));
        if begins {
            self.cuts += 1;
            let at = now.duration_since(self.started);
            push(&mut self.ends, Ended { at, age: cut.age, silent: cut.silent });
        }
        begins
    }

    /// Records an attempt to connect that began at `since`, and failed or was given up. Returns
    /// whether an outage began, with the attempt.
    pub fn refused(&mut self, since: Instant, reason: String) -> bool {
        self.begin(since, ObservedEnd::Refused, reason, None)
    }

    /// Begins an outage, unless one is in progress.
    fn begin(
        &mut self,
        now: Instant,
        seen: ObservedEnd,
        reason: String,
        cut: Option<AgeAtEnd>,
    ) -> bool {
        if self.present.is_some() {
            return false;
        }
        let silent = match (seen, cut) {
            (ObservedEnd::Silence, Some(cut)) => cut.silent_received,
            _ => Duration::ZERO,
        };
        self.present = Some(Outage {
            seen,
            reason,
            began: now.checked_sub(silent).unwrap_or(now),
            length: Duration::ZERO,
            cut,
            before: self.instance.take(),
            after: None,
            is_over: false,
        });
        self.count += 1;
        true
    }

    /// Records a reply. Returns the outage that the reply ended.
    pub fn answered(&mut self, now: Instant) -> Option<Outage> {
        let outage = self.present.take()?;
        let after = self.instance.clone();
        Some(self.end(Outage { is_over: true, after, ..outage }, now))
    }

    /// Records that the client stops. Returns the outage in progress.
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

    /// The outage in progress.
    #[must_use]
    pub fn present(&self) -> Option<&Outage> {
        self.present.as_ref()
    }

    /// The last outages that ended, the oldest first.
    pub fn past(&self) -> impl ExactSizeIterator<Item = &Outage> {
        self.past.iter()
    }

    /// Number of outages.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Number of outages that began with the end of a connection.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.cuts
    }

    /// Total length of the outages.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total
    }

    /// Length of the longest outage.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Fraction of the time, from 0 to 1, in which the server was available.
    #[must_use]
    pub fn availability(&self, now: Instant) -> f64 {
        let elapsed = now.duration_since(self.started).as_secs_f64();
        let down = self.total.as_secs_f64();
        if elapsed > 0.0 { (1.0 - down / elapsed).clamp(0.0, 1.0) } else { 1.0 }
    }

    /// The most likely cause of the ended connections.
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
    fn an_outage_lasts_from_the_end_of_a_connection_to_the_next_reply() {
        let start = Instant::now();
        let mut history = History::new(start);
        let activity = Activity::new(start);
        history.ended(start + SECOND * 2, ObservedEnd::Fin, "gone".into(), &activity);
        history.refused(start + SECOND * 3, "refused".into());
        let outage = history.answered(start + SECOND * 5).unwrap();
        assert_eq!(
            (outage.seen, outage.length, outage.is_over),
            (ObservedEnd::Fin, SECOND * 3, true)
        );
        assert_eq!(history.answered(start + SECOND * 6), None);
        assert_eq!((history.count(), history.cuts(), history.total()), (1, 1, SECOND * 3));
        assert!((history.availability(start + SECOND * 6) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn an_outage_names_the_instances_before_and_after() {
        let start = Instant::now();
        let mut history = History::new(start);
        history.refused(start, "refused".into());
        for instance in ["a", "b"] {
            history.connected(start);
            history.identified(instance);
            history.answered(start);
            history.ended(start, ObservedEnd::Fin, "gone".into(), &Activity::new(start));
        }
        history.connected(start);
        history.answered(start);
        let outages: Vec<_> = history
            .past()
            .map(|outage| [outage.before.as_deref(), outage.after.as_deref()])
            .collect();
        assert_eq!(outages, [[None, Some("a")], [Some("a"), Some("b")], [Some("b"), None]]);
    }

    #[test]
    fn silence_begins_with_the_last_frame_received() {
        let start = Instant::now();
        let mut history = History::new(start);
        let mut activity = Activity::new(start);
        activity.received(start + SECOND);
        activity.asked(start + SECOND * 2);
        history.ended(start + SECOND * 12, ObservedEnd::Silence, "no Pong".into(), &activity);
        let outage = history.stopped(start + SECOND * 21).unwrap();
        assert_eq!((outage.began, outage.length), (start + SECOND, SECOND * 20));
        assert!(!outage.is_over);
    }

    #[test]
    fn a_server_unavailable_at_the_start_is_no_cut() {
        let start = Instant::now();
        let mut history = History::new(start);
        history.refused(start, "refused".into());
        history.answered(start + SECOND);
        assert_eq!((history.count(), history.cuts()), (1, 0));
        assert_eq!(history.cause(start + SECOND), None);
    }

    #[test]
    fn memory_is_bounded() {
        let start = Instant::now();
        let mut history = History::new(start);
        for _ in 0..REMEMBERED * 3 {
            history.ended(start, ObservedEnd::Fin, String::new(), &Activity::new(start));
            history.answered(start);
        }
        assert_eq!((history.past().len(), history.ends.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(history.count(), REMEMBERED as u64 * 3);
    }
}
