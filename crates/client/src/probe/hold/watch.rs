//! Prints once a second what changed, and ends the probe when it is due.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::Local;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::shared::Shared;
use super::stats::Stats;
use super::verdict::ended;
use crate::format::{counted, seconds};
use crate::outage::observed_end::ObservedEnd;
use crate::probe::instances::shares::Shares;

/// Time from one report to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// The counts at the time of a report, and the record of a sample in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Sample {
    held: u64,
    waiting: u64,
    /// Losses; a connection may be lost several times.
    lost: u64,
    refused: u64,
    shares: Shares,
    #[serde(skip)]
    back: u64,
    #[serde(skip)]
    seen: BTreeMap<ObservedEnd, u64>,
}

/// Reports until the time limit, or the quiet time without a change, is over.
pub(super) async fn watch(shared: &Shared) {
    let mut last = Sample::default();
    let mut next = Instant::now() + PERIOD;
    // A limit beyond the times that the clock can represent is never reached. If the first connection
    // took longer than the limit, the limit counts from now, so that connections are held at all.
    let now = Instant::now();
    let end = shared.options.limit.and_then(|limit| {
        let end = shared.started.checked_add(limit)?;
        if end > now { Some(end) } else { now.checked_add(limit) }
    });
    loop {
        sleep_until(end.map_or(next, |end| end.min(next))).await;
        next += PERIOD;
        let sample = Sample::of(&shared.stats.borrow());
        if sample != last {
            let stamp = Local::now().format("%d-%m-%Y %H:%M:%S");
            let changes = sample.changes_since(&last, shared.options.connections);
            shared.printer.line(&format!("[{stamp}] {changes}")).await;
            shared.printer.record("sample", &sample).await;
        }
        last = sample;
        let now = Instant::now();
        let elapsed = now.duration_since(shared.started);
        let quiet = shared.stats.borrow().quiet(now);
        if end.is_some_and(|end| now >= end)
            || is_over(quiet.unwrap_or_default(), shared.options.quiet)
        {
            return;
        }
        shared.printer.live(live(&last, elapsed, quiet, shared));
    }
}

fn is_over(time: Duration, limit: Option<Duration>) -> bool {
    limit.is_some_and(|limit| time >= limit)
}

impl Sample {
    fn of(stats: &Stats) -> Self {
        Self {
            held: stats.held,
            waiting: stats.waiting,
            lost: stats.losses(),
            refused: stats.refused.total(),
            shares: stats.shares.clone(),
            back: stats.back,
            seen: stats.seen.clone(),
        }
    }

    /// The changes since the report `before`.
    fn changes_since(&self, before: &Self, asked: u64) -> String {
        let mut parts = Vec::new();
        if self.lost > before.lost {
            let new = |(seen, count): (&ObservedEnd, &u64)| {
                let new = count - before.seen.get(seen).copied().unwrap_or_default();
                (new > 0).then(|| format!("{new} {}", ended(*seen)))
            };
            parts.push(self.seen.iter().filter_map(new).collect::<Vec<_>>().join(", "));
        }
        if self.waiting > 0 || before.waiting > 0 {
            parts.push(format!("{} without a reply for over a second", self.waiting));
        }
        if self.refused > before.refused {
            parts.push(counted(self.refused - before.refused, "refusal"));
        }
        if self.back > before.back {
            parts.push(format!("{} back", self.back - before.back));
        }
        let spread = match self.shares.words().as_str() {
            "" => String::new(),
            shares => format!(" ({shares})"),
        };
        parts.push(format!("{} of {} held{spread}", self.held, counted(asked, "connection")));
        parts.join("; ")
    }
}

fn live(sample: &Sample, elapsed: Duration, quiet: Option<Duration>, shared: &Shared) -> String {
    let Sample { held, lost, .. } = sample;
    let mut text = format!(
        "{held} of {} held, {lost} lost, {}",
        counted(shared.options.connections, "connection"),
        seconds(elapsed)
    );
    if let Some(limit) = shared.options.limit {
        text.push_str(&format!(", {} to go", seconds(limit.saturating_sub(elapsed))));
    }
    match (shared.options.quiet, quiet) {
        (Some(limit), Some(quiet)) => text.push_str(&format!(
            ", ends in {} unless something changes",
            seconds(limit.saturating_sub(quiet))
        )),
        (Some(_), None) => text.push_str(", waiting for a change"),
        (None, _) if shared.options.limit.is_none() => text.push_str(", Ctrl-C ends"),
        (None, _) => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::instances::shares::tests::shares;

    #[test]
    fn changes_since_the_last_report_are_printed() {
        let even = shares(&[("a", 250), ("b", 250)]);
        let start = Sample { held: 500, shares: even, ..Sample::default() };
        assert_eq!(
            start.changes_since(&Sample::default(), 500),
            "500 of 500 connections held (a 250, b 250)"
        );
        let lost = Sample {
            held: 251,
            lost: 250,
            back: 1,
            refused: 3,
            shares: shares(&[("b", 251)]),
            seen: [(ObservedEnd::Fin, 249), (ObservedEnd::Close(1001), 1)].into(),
            ..start.clone()
        };
        assert_eq!(
            lost.changes_since(&start, 500),
            "1 drained (Close 1001), 249 cut (FIN without a Close); 3 refusals; 1 back; 251 of 500 connections held (b 251)"
        );
        let waiting = Sample { waiting: 7, ..lost.clone() };
        assert!(
            waiting
                .changes_since(&lost, 500)
                .starts_with("7 without a reply for over a second; 251 of")
        );
        assert!(lost.changes_since(&waiting, 500).starts_with("0 without a reply"));
    }
}
