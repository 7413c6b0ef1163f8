//! The counts of all connections together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::cause::{End, LossCause, cause};
use super::server_view::ServerViews;
use crate::outage::activity::AgeAtEnd;
use crate::outage::cause::Ended;
use crate::outage::observed_end::ObservedEnd;
use crate::probe::instances::chi_square::SIGNIFICANT;
use crate::probe::instances::shares::Shares;
use crate::probe::instances::{Instance, NameSource};
use crate::probe::refusals::Refusals;

/// Most losses, gaps and instances that are kept: the latest.
const REMEMBERED: usize = 65_536;

/// Most instances of further connections that are kept: the latest.
const NEW_CONNECTIONS: usize = 50;

/// Events and states of the connections. Times count from the start of the probe.
#[derive(Debug, Default)]
pub(super) struct Stats {
    /// How long the probe took.
    pub(super) elapsed: Duration,
    /// The part of the answers that names the instances.
    pub(super) by: Option<NameSource>,
    /// Connections to hold.
    pub(super) asked: u64,
    /// Connections of which the first try has ended, with a reply or without.
    tried: u64,
    /// Connections that were held at any time.
    pub(super) ever: u64,
    /// Connections that are held now.
    pub(super) held: u64,
    /// Connections that wait for a late reply, now or at the end.
    pub(super) waiting: u64,
    /// The instances of the connections that are held.
    pub(super) shares: Shares,
    /// The instances of the held connections before the first loss.
    pub(super) before: Option<Shares>,
    /// Connections that were lost at least once.
    pub(super) lost: u64,
    /// Losses, by how each was seen.
    pub(super) seen: BTreeMap<ObservedEnd, u64>,
    /// Losses, by instance.
    pub(super) lost_from: Shares,
    /// Gaps that ended with a reply over a new connection.
    pub(super) back: u64,
    /// Gaps that did not end.
    pub(super) not_back: u64,
    pub(super) worst_gap: Option<Duration>,
    gaps: VecDeque<Duration>,
    /// Late replies over connections that held.
    pub(super) stalls: u64,
    pub(super) longest_stall: Duration,
    /// Connections that could not be opened.
    pub(super) refused: Refusals,
    /// How the servers saw the losses, where they were asked.
    pub(super) server_views: ServerViews,
    ends: VecDeque<End>,
    /// The longest silence that a connection survived.
    survived: Duration,
    /// The age of the oldest connection that was not lost.
    oldest: Duration,
    known: BTreeSet<Instance>,
    /// The instances of further connections since the last change.
    new_connections: VecDeque<Instance>,
    changed: Option<Instant>,
    is_finished: bool,
}

impl Stats {
    pub(super) fn new(asked: u64) -> Self {
        Self { asked, ..Self::default() }
    }

    /// Counts a connection of which the first try has ended.
    pub(super) fn tried(&mut self) {
        self.tried += 1;
    }

    /// Whether all connections have been tried.
    pub(super) fn is_opened(&self) -> bool {
        self.tried >= self.asked
    }

    /// Counts the first reply over a connection. `is_first` unless the connection replaces a lost
    /// one; then `gap` is the time from the last reply before.
    pub(super) fn joined(
        &mut self,
        instance: Option<&Instance>,
        is_first: bool,
        gap: Option<Duration>,
    ) {
        self.held += 1;
        self.ever += u64::from(is_first);
        if let Some(instance) = instance {
            self.shares.add(instance);
            self.add_instance(instance);
        }
        if let Some(gap) = gap {
            self.back += 1;
            self.gap(gap);
            self.change();
        }
    }

    /// Counts the loss of a connection. `is_first` unless it was lost before.
    pub(super) fn lost(
        &mut self,
        at: Duration,
        seen: ObservedEnd,
        cut: AgeAtEnd,
        instance: Option<&Instance>,
        is_first: bool,
    ) {
        self.before.get_or_insert_with(|| self.shares.clone());
        self.held -= 1;
        self.lost += u64::from(is_first);
        *self.seen.entry(seen).or_default() += 1;
        if let Some(instance) = instance {
            self.shares.remove(instance);
            if self.lost_from.has(instance) || self.lost_from.instances() < REMEMBERED {
                self.lost_from.add(instance);
            }
        }
        let ended = Ended { at, age: cut.age, silent: cut.silent };
        push(&mut self.ends, End { ended, instance: instance.cloned() }, REMEMBERED);
        self.change();
    }

    /// Counts a connection that could not be opened. `is_change` if it was held before.
    pub(super) fn refuse(&mut self, cause: String, is_change: bool) {
        self.refused.add(cause);
        if is_change {
            self.changed = Some(Instant::now());
        }
    }

    /// Counts a connection that begins or ceases to wait for a late reply.
    pub(super) fn wait(&mut self, begins: bool) {
        if !self.is_finished {
            self.waiting = if begins { self.waiting + 1 } else { self.waiting - 1 };
            self.changed = Some(Instant::now());
        }
    }

    /// Counts a late reply, this long after the one before, over a connection that held.
    pub(super) fn stalled(&mut self, length: Duration) {
        self.stalls += 1;
        self.longest_stall = self.longest_stall.max(length);
    }

    /// Records the instance of a further connection.
    pub(super) fn new_connection(&mut self, instance: Option<Instance>) {
        let Some(instance) = instance else { return };
        if self.add_instance(&instance) {
            self.changed = Some(Instant::now());
        }
        push(&mut self.new_connections, instance, NEW_CONNECTIONS);
    }

    /// Counts how the server saw a loss: JSON of [`Ended`](proto::probe::Ended). `is_given_up` if the
    /// client itself closed the connection.
    pub(super) fn seen_by_server(&mut self, end: &str, is_given_up: bool) {
        self.server_views.add(end, is_given_up);
    }

    /// Records a silence that a connection survived.
    pub(super) fn survived(&mut self, silence: Duration) {
        self.survived = self.survived.max(silence);
    }

    /// Records the age of a connection that was not lost.
    pub(super) fn record_survivor(&mut self, age: Duration) {
        self.oldest = self.oldest.max(age);
    }

    /// Counts a gap that did not end.
    pub(super) fn unfinished(&mut self, gap: Duration) {
        self.not_back += 1;
        self.gap(gap);
    }

    /// Ends the measurement: connections that wait for a reply now stay counted as waiting.
    pub(super) fn finish(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
        self.is_finished = true;
    }

    fn gap(&mut self, gap: Duration) {
        self.worst_gap = self.worst_gap.max(Some(gap));
        push(&mut self.gaps, gap, REMEMBERED);
    }

    /// Records a change of the held connections.
    fn change(&mut self) {
        self.changed = Some(Instant::now());
        self.new_connections.clear();
    }

    /// Remembers an instance; returns whether it is new.
    fn add_instance(&mut self, instance: &Instance) -> bool {
        self.known.len() < REMEMBERED && self.known.insert(instance.clone())
    }

    /// Time since the last change. `None` before the first one, and while a reply is late.
    pub(super) fn quiet(&self, now: Instant) -> Option<Duration> {
        self.changed.filter(|_| self.waiting == 0).map(|changed| now.duration_since(changed))
    }

    /// Number of connections that show which servers still answer.
    pub(super) fn newly_made(&self) -> u64 {
        self.back + self.new_connections.len() as u64
    }

    /// Number of losses; a connection may be lost several times.
    pub(super) fn losses(&self) -> u64 {
        self.seen.values().sum()
    }

    /// The median of the gaps.
    pub(super) fn median_gap(&self) -> Option<Duration> {
        let mut gaps: Vec<_> = self.gaps.iter().copied().collect();
        gaps.sort();
        gaps.get(gaps.len().checked_sub(1)? / 2).copied()
    }

    /// The instances of the connections at the end, and those that further connections alone went to.
    pub(super) fn after(&self) -> Shares {
        let mut after = self.shares.clone();
        self.new_connections.iter().for_each(|instance| after.add_instance(instance));
        after
    }

    /// Whether chance explains how the connections spread at the end. `None` with fewer than two
    /// instances.
    pub(super) fn is_even_after(&self) -> Option<bool> {
        self.after().p_value().map(|p| p >= SIGNIFICANT)
    }

    /// The common cause of the losses.
    pub(super) fn cause(&self) -> Option<LossCause> {
        let ends: Vec<_> = self.ends.iter().collect();
        cause(&ends, self.survived, self.oldest)
    }
}

fn push<T>(list: &mut VecDeque<T>, item: T, most: usize) {
    if list.len() >= most {
        list.pop_front();
    }
    list.push_back(item);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The end of a busy connection.
    pub(in super::super) fn cut(age: Duration) -> AgeAtEnd {
        let silent = Duration::from_millis(300);
        AgeAtEnd { age, silent_received: silent, silent_sent: silent, silent }
    }

    /// Held connections; each letter names the instance of one.
    pub(in super::super) fn stats(names: &str) -> Stats {
        let mut stats = Stats::new(names.len() as u64);
        stats.by = Some(NameSource::Hello);
        for name in names.chars() {
            stats.tried();
            stats.joined(Some(&name.to_string().into()), true, None);
        }
        stats
    }

    /// Loses a connection to this instance, at this time in seconds.
    pub(in super::super) fn lose(stats: &mut Stats, name: &str, at: f64, seen: ObservedEnd) {
        let at = Duration::from_secs_f64(at);
        stats.lost(at, seen, cut(at), Some(&name.into()), true);
    }

    #[test]
    fn losses_and_reconnects_are_counted() {
        let mut stats = stats("aabb");
        assert!(stats.is_opened());
        lose(&mut stats, "a", 5.0, ObservedEnd::Fin);
        lose(&mut stats, "a", 5.1, ObservedEnd::Close(1001));
        assert_eq!((stats.held, stats.lost, stats.losses()), (2, 2, 2));
        assert_eq!(stats.before.as_ref().map(Shares::words).as_deref(), Some("a 2, b 2"));
        assert_eq!((stats.shares.words(), stats.lost_from.words()), ("b 2".into(), "a 2".into()));
        stats.joined(Some(&"b".into()), false, Some(SECOND));
        stats.joined(Some(&"b".into()), false, Some(SECOND * 3));
        assert_eq!((stats.held, stats.back, stats.worst_gap), (4, 2, Some(SECOND * 3)));
        assert_eq!(stats.median_gap(), Some(SECOND));
        assert_eq!(stats.shares.words(), "b 4");
        // No other instance is known to be there.
        assert_eq!(stats.is_even_after(), None);
    }

    #[test]
    fn an_instance_that_takes_newcomers_only_makes_the_load_uneven() {
        let mut stats = stats(&"ab".repeat(100));
        stats.new_connection(Some("b".into()));
        assert_eq!((stats.quiet(Instant::now()), stats.is_even_after()), (None, Some(true)));
        stats.new_connection(Some("c".into()));
        assert_eq!(stats.is_even_after(), Some(false));
        assert_eq!(stats.after().words(), "a 100, b 100, c 0");
        assert!(stats.quiet(Instant::now()).is_some(), "a new instance is a change");
    }

    #[test]
    fn a_server_that_is_gone_takes_no_part_in_the_load() {
        let mut stats = stats("ab");
        stats.new_connection(Some("a".into()));
        lose(&mut stats, "a", 5.0, ObservedEnd::Rst);
        stats.joined(Some(&"b".into()), false, Some(SECOND));
        assert_eq!(stats.after().words(), "b 2");
    }

    #[test]
    fn the_quiet_time_counts_from_the_last_change() {
        let mut stats = stats("ab");
        let later = Instant::now() + SECOND * 10;
        assert_eq!(stats.quiet(later), None);
        // A connection that never could be made.
        stats.refuse("full".into(), false);
        assert_eq!(stats.quiet(later), None);
        stats.wait(true);
        assert_eq!(stats.quiet(later), None);
        stats.wait(false);
        assert!(stats.quiet(later).is_some_and(|quiet| quiet > SECOND * 9));
    }

    #[test]
    fn memory_is_bounded() {
        let mut stats = stats("a");
        for number in 0..REMEMBERED + 10 {
            let instance: Instance = number.to_string().into();
            stats.lost(Duration::ZERO, ObservedEnd::Fin, cut(SECOND), None, false);
            stats.joined(Some(&instance), false, Some(SECOND));
            stats.shares.remove(&instance);
        }
        assert_eq!([stats.ends.len(), stats.gaps.len(), stats.known.len()], [REMEMBERED; 3]);
    }
}
