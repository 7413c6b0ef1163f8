//! What happens to all connections together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::moment::{End, Moment, moment};
use super::told::Told;
use crate::outage::activity::Cut;
use crate::outage::cause::Ended;
use crate::outage::seen::Seen;
use crate::probe::crowd::causes::Causes;
use crate::probe::crowd::chance::SIGNIFICANT;
use crate::probe::crowd::instance::{By, Instance};
use crate::probe::crowd::shares::Shares;

/// Most ends, gaps and instances that are remembered, the last ones.
const REMEMBERED: usize = 65_536;

/// Newcomers that are remembered, the last ones.
const NEWCOMERS: usize = 50;

/// The connections together.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) started: Instant,
    /// Time from the start to the end.
    pub(super) elapsed: Duration,
    pub(super) by: Option<By>,
    /// Connections that were asked for, tried, held at any time, and are held now.
    pub(super) asked: u64,
    tried: u64,
    pub(super) ever: u64,
    pub(super) held: u64,
    /// Connections that wait for a reply, now or at the end.
    pub(super) waiting: u64,
    /// How the connections that are held spread, and how they did before the first was lost.
    pub(super) shares: Shares,
    pub(super) before: Option<Shares>,
    /// Connections that were lost at least once.
    pub(super) lost: u64,
    /// Ends of connections, by how they were seen and by instance.
    pub(super) seen: BTreeMap<Seen, u64>,
    pub(super) lost_from: Shares,
    /// Connections that were made again.
    pub(super) back: u64,
    /// Gaps that did not end.
    pub(super) not_back: u64,
    pub(super) worst_gap: Option<Duration>,
    gaps: VecDeque<Duration>,
    /// Replies that came late over connections that held.
    pub(super) stalls: u64,
    pub(super) longest_stall: Duration,
    /// Connections that could not be made.
    pub(super) refused: Causes,
    /// How connections ended for the servers that were asked about it.
    pub(super) told: Told,
    ends: VecDeque<End>,
    survived: Duration,
    oldest: Duration,
    known: BTreeSet<Instance>,
    /// The instances that newcomers went to since the last change.
    newcomers: VecDeque<Instance>,
    changed: Option<Instant>,
    is_finished: bool,
}

impl Fleet {
    pub(super) fn new(started: Instant, asked: u64) -> Self {
        Self {
            started,
            elapsed: Duration::ZERO,
            by: None,
            asked,
            tried: 0,
            ever: 0,
            held: 0,
            waiting: 0,
            shares: Shares::default(),
            before: None,
            lost: 0,
            seen: BTreeMap::new(),
            lost_from: Shares::default(),
            back: 0,
            not_back: 0,
            worst_gap: None,
            gaps: VecDeque::new(),
            stalls: 0,
            longest_stall: Duration::ZERO,
            refused: Causes::default(),
            told: Told::default(),
            ends: VecDeque::new(),
            survived: Duration::ZERO,
            oldest: Duration::ZERO,
            known: BTreeSet::new(),
            newcomers: VecDeque::new(),
            changed: None,
            is_finished: false,
        }
    }

    /// A connection was tried for the first time.
    pub(super) fn tried(&mut self) {
        self.tried += 1;
    }

    /// Whether all connections have been tried.
    pub(super) fn is_opened(&self) -> bool {
        self.tried >= self.asked
    }

    /// The first reply over a connection came: the first of all of this member, or one after a gap.
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
            self.know(instance);
        }
        if let Some(gap) = gap {
            self.back += 1;
            self.gap(gap);
            self.change();
        }
    }

    /// A connection that was held ended.
    pub(super) fn lost(
        &mut self,
        now: Instant,
        seen: Seen,
        cut: Cut,
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
        let at = now.duration_since(self.started);
        let ended = Ended { at, age: cut.age, silent: cut.silent };
        push(&mut self.ends, End { ended, instance: instance.cloned() }, REMEMBERED);
        self.change();
    }

    /// A connection could not be made; `is_change` unless it never could.
    pub(super) fn refuse(&mut self, cause: String, is_change: bool) {
        self.refused.add(cause);
        if is_change {
            self.changed = Some(Instant::now());
        }
    }

    /// A connection begins or ceases to wait for a reply for longer than usual.
    pub(super) fn wait(&mut self, begins: bool) {
        if !self.is_finished {
            self.waiting = if begins { self.waiting + 1 } else { self.waiting - 1 };
            self.changed = Some(Instant::now());
        }
    }

    /// A reply came late, over a connection that held; that much later than the one before.
    pub(super) fn stalled(&mut self, length: Duration) {
        self.stalls += 1;
        self.longest_stall = self.longest_stall.max(length);
    }

    /// A newcomer went to this instance.
    pub(super) fn newcomer(&mut self, instance: Option<Instance>) {
        let Some(instance) = instance else { return };
        if self.know(&instance) {
            self.changed = Some(Instant::now());
        }
        push(&mut self.newcomers, instance, NEWCOMERS);
    }

    /// A server told how a connection ended, as JSON of [`Ended`](proto::probe::Ended), which the
    /// client may have given up itself.
    pub(super) fn heard(&mut self, end: &str, is_given_up: bool) {
        self.told.add(end, is_given_up);
    }

    /// A connection survived a silence.
    pub(super) fn survived(&mut self, silence: Duration) {
        self.survived = self.survived.max(silence);
    }

    /// A connection got this old, and was not lost.
    pub(super) fn outlived(&mut self, age: Duration) {
        self.oldest = self.oldest.max(age);
    }

    /// A gap did not end.
    pub(super) fn unfinished(&mut self, gap: Duration) {
        self.not_back += 1;
        self.gap(gap);
    }

    /// The end of the probe.
    pub(super) fn finish(&mut self) {
        self.elapsed = self.started.elapsed();
        self.is_finished = true;
    }

    fn gap(&mut self, gap: Duration) {
        self.worst_gap = self.worst_gap.max(Some(gap));
        push(&mut self.gaps, gap, REMEMBERED);
    }

    /// Something changed for the connections that are held.
    fn change(&mut self) {
        self.changed = Some(Instant::now());
        self.newcomers.clear();
    }

    /// Whether the instance is a new one.
    fn know(&mut self, instance: &Instance) -> bool {
        self.known.len() < REMEMBERED && self.known.insert(instance.clone())
    }

    /// Time since the last change, if there was one.
    pub(super) fn quiet(&self, now: Instant) -> Option<Duration> {
        let is_restless = self.waiting > 0;
        self.changed.filter(|_| !is_restless).map(|changed| now.duration_since(changed))
    }

    /// Number of connections that were made after others, to see which servers answer.
    pub(super) fn newly_made(&self) -> u64 {
        self.back + self.newcomers.len() as u64
    }

    /// Number of ends of connections.
    pub(super) fn losses(&self) -> u64 {
        self.seen.values().sum()
    }

    /// The median of the gaps.
    pub(super) fn median_gap(&self) -> Option<Duration> {
        let mut gaps: Vec<_> = self.gaps.iter().copied().collect();
        gaps.sort();
        gaps.get(gaps.len().checked_sub(1)? / 2).copied()
    }

    /// How the connections spread at the end, over all instances that are known to take some.
    pub(super) fn after(&self) -> Shares {
        let mut after = self.shares.clone();
        self.newcomers.iter().for_each(|instance| after.know(instance));
        after
    }

    /// Whether chance explains how the connections spread at the end. `None` for fewer than two
    /// instances.
    pub(super) fn is_even_after(&self) -> Option<bool> {
        self.after().p_value().map(|p| p >= SIGNIFICANT)
    }

    /// What the lost connections have in common.
    pub(super) fn moment(&self) -> Option<Moment> {
        let ends: Vec<_> = self.ends.iter().collect();
        moment(&ends, self.survived, self.oldest)
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

    /// The end of a connection that was busy.
    pub(in super::super) fn cut(age: Duration) -> Cut {
        let silent = Duration::from_millis(300);
        Cut { age, silent_received: silent, silent_sent: silent, silent }
    }

    /// Connections that are held, each at the instance with the name of its letter.
    pub(in super::super) fn fleet(names: &str) -> Fleet {
        let mut fleet = Fleet::new(Instant::now(), names.len() as u64);
        fleet.by = Some(By::Hello);
        for name in names.chars() {
            fleet.tried();
            fleet.joined(Some(&name.to_string().into()), true, None);
        }
        fleet
    }

    /// Loses a connection of this instance at a time.
    pub(in super::super) fn lose(fleet: &mut Fleet, name: &str, at: f64, seen: Seen) {
        let at = Duration::from_secs_f64(at);
        fleet.lost(fleet.started + at, seen, cut(at), Some(&name.into()), true);
    }

    #[test]
    fn what_is_lost_and_made_again_is_counted() {
        let mut fleet = fleet("aabb");
        assert!(fleet.is_opened());
        lose(&mut fleet, "a", 5.0, Seen::Fin);
        lose(&mut fleet, "a", 5.1, Seen::Close(1001));
        assert_eq!((fleet.held, fleet.lost, fleet.losses()), (2, 2, 2));
        assert_eq!(fleet.before.as_ref().map(Shares::words).as_deref(), Some("a 2, b 2"));
        assert_eq!((fleet.shares.words(), fleet.lost_from.words()), ("b 2".into(), "a 2".into()));
        fleet.joined(Some(&"b".into()), false, Some(SECOND));
        fleet.joined(Some(&"b".into()), false, Some(SECOND * 3));
        assert_eq!((fleet.held, fleet.back, fleet.worst_gap), (4, 2, Some(SECOND * 3)));
        assert_eq!(fleet.median_gap(), Some(SECOND));
        assert_eq!(fleet.shares.words(), "b 4");
        // No other instance is known to be there.
        assert_eq!(fleet.is_even_after(), None);
    }

    #[test]
    fn an_instance_that_takes_newcomers_only_makes_the_load_uneven() {
        let mut fleet = fleet(&"ab".repeat(100));
        fleet.newcomer(Some("b".into()));
        assert_eq!((fleet.quiet(Instant::now()), fleet.is_even_after()), (None, Some(true)));
        fleet.newcomer(Some("c".into()));
        assert_eq!(fleet.is_even_after(), Some(false));
        assert_eq!(fleet.after().words(), "a 100, b 100, c 0");
        assert!(fleet.quiet(Instant::now()).is_some(), "a new instance is a change");
    }

    #[test]
    fn a_server_that_is_gone_takes_no_part_in_the_load() {
        let mut fleet = fleet("ab");
        fleet.newcomer(Some("a".into()));
        lose(&mut fleet, "a", 5.0, Seen::Rst);
        fleet.joined(Some(&"b".into()), false, Some(SECOND));
        assert_eq!(fleet.after().words(), "b 2");
    }

    #[test]
    fn it_is_quiet_when_nothing_changes_after_a_change() {
        let mut fleet = fleet("ab");
        let later = Instant::now() + SECOND * 10;
        assert_eq!(fleet.quiet(later), None);
        // A connection that never could be made.
        fleet.refuse("full".into(), false);
        assert_eq!(fleet.quiet(later), None);
        fleet.wait(true);
        assert_eq!(fleet.quiet(later), None);
        fleet.wait(false);
        assert!(fleet.quiet(later).is_some_and(|quiet| quiet > SECOND * 9));
    }

    #[test]
    fn memory_is_bounded() {
        let mut fleet = fleet("a");
        for number in 0..REMEMBERED + 10 {
            let instance: Instance = number.to_string().into();
            fleet.lost(fleet.started, Seen::Fin, cut(SECOND), None, false);
            fleet.joined(Some(&instance), false, Some(SECOND));
            fleet.shares.remove(&instance);
        }
        assert_eq!([fleet.ends.len(), fleet.gaps.len(), fleet.known.len()], [REMEMBERED; 3]);
    }
}
