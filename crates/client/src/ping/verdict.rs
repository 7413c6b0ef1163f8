//! The verdict on a run: good, bad, or undecided.

use super::condition::Conditions;
use super::figures::Figures;
use super::limits::Limits;
use crate::record;
use crate::verdict::Verdict;

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// A stop signal, or a closed stdout.
    Stopped,
    /// The deadline has passed.
    Deadline,
    /// All pings of `--count` are completed.
    Complete,
}

/// The verdict on a run, and why.
#[derive(Debug)]
pub(super) struct Judgement {
    /// `None` if the run is undecided.
    ok: Option<bool>,
    text: String,
    /// Whether the text adds something to the printed statistics.
    is_news: bool,
    figures: Figures,
}

impl Judgement {
    /// Judges a run. `is_known` means that the run has any result.
    pub(super) fn of(
        figures: Figures,
        conditions: &Conditions,
        limits: Limits,
        end: RunEnd,
        is_known: bool,
    ) -> Self {
        let (ok, text, is_news) = judge(&figures, conditions, limits, end, is_known);
        Self { ok, text, is_news, figures }
    }

    /// The last line of `--json`.
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        let Self { ok, text, figures, .. } = self;
        record::verdict(&record::Verdict { probe: "ping", ok: *ok, text, fields: figures })
    }

    /// The verdict, for the exit status.
    pub(super) fn verdict(self) -> Verdict {
        let text = self.is_news.then_some(self.text);
        match self.ok {
            Some(true) => Verdict::Good,
            Some(false) => Verdict::Bad(text),
            None => Verdict::Unknown(text.unwrap_or_default()),
        }
    }
}

fn judge(
    figures: &Figures,
    conditions: &Conditions,
    limits: Limits,
    end: RunEnd,
    is_known: bool,
) -> (Option<bool>, String, bool) {
    let Figures { received, sent, .. } = *figures;
    if limits.are_any() && end == RunEnd::Stopped && !is_known {
        return (None, "stopped before any ping could be answered".into(), true);
    }
    if let Some(met) = conditions.met(figures) {
        return (Some(false), format!("--fail-if: {met}"), true);
    }
    if received == 0 {
        return (Some(false), "no ping was answered".into(), false);
    }
    if let Some(count) = limits.count.filter(|&count| end == RunEnd::Deadline && received < count) {
        let text = format!("{received} of {count} pings answered in time");
        return (Some(false), text, true);
    }
    (Some(true), format!("{received} of {sent} pings answered"), false)
}

#[cfg(test)]
mod tests {
    use super::RunEnd::{Complete, Deadline, Stopped};
    use super::*;
    use std::time::Duration;

    #[test]
    fn without_conditions_one_reply_makes_a_run_good() {
        let five = Limits { count: Some(5), deadline: None };
        let in_time = Limits { deadline: Some(Duration::from_secs(9)), ..five };
        let unlimited = Limits::default();
        let (good, bad) = (Some(true), Some(false));
        let lossy = "--fail-if: loss is 40.00% (loss>30%)";
        let no_reply = "no ping was answered";
        for (counts, condition, limits, end, known, ok, text) in [
            ((3, 2), "", five, Complete, true, good, "3 of 5 pings answered"),
            ((3, 2), "loss>30%", five, Complete, true, bad, lossy),
            ((3, 2), "", in_time, Deadline, true, bad, "3 of 5 pings answered in time"),
            ((5, 0), "", in_time, Complete, true, good, "5 of 5 pings answered"),
            ((0, 5), "", five, Complete, true, bad, no_reply),
            ((0, 0), "", five, Complete, true, bad, no_reply),
            ((0, 0), "", in_time, Deadline, false, bad, no_reply),
            ((0, 0), "", five, Stopped, false, None, "stopped before any ping could be answered"),
            ((1, 0), "", five, Stopped, true, good, "1 of 1 pings answered"),
            ((0, 0), "", unlimited, Stopped, false, bad, no_reply),
        ] {
            let conditions = match condition {
                "" => Conditions::default(),
                text => text.parse().unwrap(),
            };
            let (received, lost) = counts;
            let figures = Figures { sent: received + lost, received, lost, ..Figures::default() };
            let (is_ok, verdict, _) = judge(&figures, &conditions, limits, end, known);
            assert_eq!((is_ok, verdict.as_str()), (ok, text), "{counts:?} {limits:?} {end:?}");
        }
    }
}
