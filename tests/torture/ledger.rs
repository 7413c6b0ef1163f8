//! A comparison of the replies that clients got with the lines of the log.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::support::{Log, Tally};

/// Counts over all rounds of a part.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Pings that got a Pong.
    pub(crate) acknowledged: usize,
    /// Pings that got an error.
    pub(crate) refused: usize,
    /// Acknowledged pings without a line.
    pub(crate) lost: usize,
    /// Pings with more than one line.
    pub(crate) twice: usize,
    /// Pieces of the log that are no line.
    pub(crate) torn: usize,
    /// Pings that got an error, and have a line.
    pub(crate) refused_and_found: usize,
    /// Example of a ping that is counted as a fault.
    pub(crate) example: String,
}

/// How often each line is in the logs, by name and message.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    counts: HashMap<(String, String), usize>,
    torn: usize,
}

impl Lines {
    /// The lines of all logs in a folder.
    #[track_caller]
    pub(crate) fn of_folder(folder: &Path) -> Self {
        let mut lines = Self::default();
        lines.add_folder(folder);
        lines
    }

    /// Adds the lines of a file.
    #[track_caller]
    pub(crate) fn add_file(&mut self, path: &Path) {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (log, torn) = Log::parse_leniently(&bytes);
        self.torn += torn;
        for (name, message) in log.pings() {
            *self.counts.entry((name.into(), message.into())).or_default() += 1;
        }
    }

    /// Adds the lines of all logs in a folder.
    #[track_caller]
    pub(crate) fn add_folder(&mut self, folder: &Path) {
        Log::files(folder).iter().for_each(|path| self.add_file(path));
    }
}

impl Ledger {
    /// Compares the number of Pongs that a client counted with its lines, where all messages are the
    /// same.
    pub(crate) fn settle_counts(&mut self, name: &str, acknowledged: usize, lines: &Lines) {
        let of_client = lines.counts.iter().filter(|((own, _), _)| own == name);
        let found: usize = of_client.map(|(_, count)| count).sum();
        self.acknowledged += acknowledged;
        self.lost += acknowledged.saturating_sub(found);
        self.example = format!("{acknowledged} Pongs for {found} lines of {name}");
    }

    /// Compares the results of the clients of a round with its lines.
    pub(crate) fn settle(&mut self, tallies: &[Tally], lines: &Lines) {
        self.torn += lines.torn;
        for tally in tallies {
            let found = |number: &usize| {
                lines.counts.get(&(tally.name.clone(), number.to_string())).copied().unwrap_or(0)
            };
            self.acknowledged += tally.acknowledged.len();
            self.refused += tally.refused.len();
            for number in &tally.acknowledged {
                if found(number) == 0 {
                    self.lost += 1;
                    self.example = format!("{} {number} is lost", tally.name);
                }
            }
            for number in tally.refused.iter().filter(|number| found(number) > 0) {
                self.refused_and_found += 1;
                self.example = format!("{} {number}: {:?}", tally.name, tally.error);
            }
        }
        let is_numbered = |name: &str| tallies.iter().any(|tally| tally.name == name);
        let twice =
            lines.counts.iter().filter(|((name, _), count)| **count > 1 && is_numbered(name));
        for (ping, _) in twice {
            self.twice += 1;
            self.example = format!("{ping:?} is there twice");
        }
    }
}
