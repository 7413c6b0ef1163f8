//! Counts and prints the checks in the order of the list, and makes the verdict.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use program::events::wants_colors;
use serde::Serialize;

use super::list::Check;
use super::target::{NO_ANSWER, NO_CONNECTION};
use super::{Outcome, Printer};
use crate::probe::output::Finding;

/// The text about skipped checks, and what to do.
const NO_ROOM: &str = "the server had no room for their connections (429, 503), although fewer at once were tried; give it more time (--wait), or raise its limit of connections or requests";

/// Counts the checks and prints them.
#[derive(Debug)]
pub(super) struct Tally {
    printer: Printer,
    is_colored: bool,
    /// Number of checks in all.
    all: usize,
    done: Vec<FinishedCheck>,
    /// Checks that were done before their predecessors, by their place in the list.
    early: BTreeMap<usize, FinishedCheck>,
}

/// A finished check: the fields of its record in JSON, and the rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct FinishedCheck {
    id: &'static str,
    section: &'static str,
    outcome: Outcome,
    detail: String,
    #[serde(skip)]
    rule: &'static str,
}

/// The fields of the verdict.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct VerdictFields {
    passed: usize,
    warned: usize,
    failed: usize,
    skipped: usize,
    checks: Vec<FinishedCheck>,
}

impl Tally {
    pub(super) fn new(printer: Printer, all: usize) -> Self {
        let is_colored = io::stdout().is_terminal() && wants_colors();
        Self { printer, is_colored, all, done: Vec::new(), early: BTreeMap::new() }
    }

    /// Shows the progress.
    pub(super) async fn show(&self) {
        let done = self.done.len() + self.early.len();
        self.printer.live(format!("checking: {done} of {}", self.all));
    }

    /// Adds the check at this place in the list, and prints the checks that are next in order.
    pub(super) async fn add(
        &mut self,
        number: usize,
        check: &Check,
        outcome: Outcome,
        detail: String,
    ) {
        let Check { id, section, rule, .. } = *check;
        self.early.insert(number, FinishedCheck { id, section, outcome, detail, rule });
        while let Some(done) = self.early.remove(&self.done.len()) {
            self.printer.line(&done.line(self.is_colored)).await;
            self.printer.record("check", &done).await;
            self.done.push(done);
        }
        self.show().await;
    }

    /// The verdict; `unreached` is why the server could not be reached.
    pub(super) fn finding(self, unreached: Option<String>) -> Finding<VerdictFields> {
        let Self { all, done, early, .. } = self;
        let fields = VerdictFields::of(done.into_iter().chain(early.into_values()).collect());
        let ok = match (fields.failed, &unreached) {
            (_, Some(_)) => None,
            (0, None) if fields.skipped > 0 || fields.checks.len() < all => None,
            (failed, None) => Some(failed == 0),
        };
        let text = unreached.unwrap_or_else(|| fields.summary(all));
        Finding { probe: "check", ok, text, fields }
    }
}

impl FinishedCheck {
    /// The line for a person. Unless the check passed, a second line shows what was sent and
    /// received.
    fn line(&self, is_colored: bool) -> String {
        let Self { id, section, outcome, detail, rule } = self;
        let (word, color) = match outcome {
            Outcome::Passed => ("passed", 32),
            Outcome::Warned => ("warned", 33),
            Outcome::Failed => ("failed", 31),
            Outcome::Skipped => ("skipped", 33),
        };
        let word = match is_colored {
            true => format!("\x1b[{color}m{word:<7}\x1b[0m"),
            false => format!("{word:<7}"),
        };
        let line = format!("{word} {section:<6} {id}: {rule}");
        match outcome {
            Outcome::Passed => line,
            _ => format!("{line}\n               {detail}"),
        }
    }
}

impl VerdictFields {
    fn of(checks: Vec<FinishedCheck>) -> Self {
        let count = |outcome| checks.iter().filter(|done| done.outcome == outcome).count();
        Self {
            passed: count(Outcome::Passed),
            warned: count(Outcome::Warned),
            failed: count(Outcome::Failed),
            skipped: count(Outcome::Skipped),
            checks,
        }
    }

    fn summary(&self, all: usize) -> String {
        let Self { passed, warned, failed, skipped, checks } = self;
        let mut counts = format!("{passed} passed, {warned} warned, {failed} failed");
        if *skipped > 0 {
            let cause = checks.iter().find_map(|done| done.detail.strip_prefix(NO_CONNECTION));
            let time = checks.iter().find_map(|done| done.detail.strip_prefix(NO_ANSWER));
            let why = match (cause, time) {
                (Some(cause), _) => {
                    format!("there was no connection for all of them, as in {cause}")
                }
                (None, Some(time)) => format!(
                    "the usual request was not always answered within {time}; give the server more time (--wait), or see what client why says"
                ),
                (None, None) => NO_ROOM.into(),
            };
            counts = format!("{counts}, {skipped} skipped: {why}");
        }
        match checks.len() {
            done if done < all => format!("stopped after {done} of {all} checks: {counts}"),
            _ => counts,
        }
    }
}
