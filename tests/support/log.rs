//! A strict parser of the log: a line that differs from the documented format fails the test.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;

use super::Tally;

/// Lines of a log, or of several.
#[derive(Debug, Default)]
pub(crate) struct Log(Vec<Line>);

/// The parts of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) at: NaiveDateTime,
    pub(crate) name: String,
    pub(crate) message: String,
}

impl Line {
    /// Parses `[19-12-2023 12:43:12] Recieved from client ("Client-300"): Ping!`.
    fn parse(line: &str) -> Option<Self> {
        const STAMP: &str = "[%d-%m-%Y %H:%M:%S]";
        let (stamp, rest) = line.split_at_checked("[19-12-2023 12:43:12]".len())?;
        let at = NaiveDateTime::parse_from_str(stamp, STAMP).ok()?;
        let rest = rest.strip_prefix(" Recieved from client (\"")?;
        let (name, message) = rest.split_once("\"): ")?;
        let line = Self { at, name: name.into(), message: message.into() };
        // chrono accepts other spellings of a time as well.
        (at.format(STAMP).to_string() == stamp).then_some(line)
    }
}

impl Log {
    /// Reads a log.
    #[track_caller]
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(&bytes)
    }

    #[track_caller]
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("a log is UTF-8");
        assert!(text.is_empty() || text.ends_with('\n'), "torn: {:?}", text.lines().last());
        let parse = |line| Line::parse(line).unwrap_or_else(|| panic!("not a line: {line:?}"));
        Self(text.lines().map(parse).collect())
    }

    /// The lines of a log, and the number of other pieces between newlines.
    pub(crate) fn parse_leniently(bytes: &[u8]) -> (Self, usize) {
        let text = String::from_utf8_lossy(bytes);
        let (lines, others): (Vec<_>, Vec<_>) =
            text.split_inclusive('\n').map(Self::line).partition(Option::is_some);
        (Self(lines.into_iter().flatten().collect()), others.len())
    }

    fn line(text: &str) -> Option<Line> {
        Line::parse(text.strip_suffix('\n')?)
    }

    /// Reads every file of a folder whose name begins with `server_logs`.
    #[track_caller]
    pub(crate) fn read_all(dir: &Path) -> Self {
        Self(Self::files(dir).iter().flat_map(|path| Self::read(path).0).collect())
    }

    /// The files of a folder whose name begins with `server_logs`.
    pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).expect("a folder").map(|entry| entry.unwrap());
        let mut logs: Vec<_> = entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("server_logs"))
            .map(|entry| entry.path())
            .collect();
        logs.sort();
        logs
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.0
    }

    /// The names and messages of all lines.
    pub(crate) fn pings(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|line| (line.name.as_str(), line.message.as_str())).collect()
    }

    /// Fails unless each acknowledged ping has exactly one line, and the lines of a client are in
    /// the order of its pings.
    #[track_caller]
    pub(crate) fn assert_holds_all_of(&self, tallies: &[Tally]) {
        let mut count = HashMap::new();
        for ping in self.pings() {
            *count.entry(ping).or_insert(0) += 1;
        }
        for tally in tallies {
            for number in &tally.acknowledged {
                let message = number.to_string();
                let found = count.get(&(tally.name.as_str(), message.as_str()));
                assert_eq!(found, Some(&1), "lines of ping {number} of {}", tally.name);
            }
        }
    }

    #[track_caller]
    pub(crate) fn assert_time_never_runs_backwards(&self) {
        for pair in self.0.windows(2) {
            assert!(pair[0].at <= pair[1].at, "{pair:?}");
        }
    }
}
