//! The table of causes: what a client sees of a failure behind proxies and load balancers, why, and
//! what to change. The README shows the same table.

mod intermediary;
mod limits;
mod table;

pub use intermediary::Intermediary;
pub use limits::{Kind, Limit, fitting};
pub use table::{Change, ROWS, Row};

/// The row of the table with this number.
#[must_use]
pub fn row(number: u8) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.number == number)
}

impl Row {
    /// What to change, in plain text: the changes for these intermediaries if the row has some, else
    /// those for any, else all. Without intermediaries, all.
    #[must_use]
    pub fn advice(&self, intermediaries: &[Intermediary]) -> String {
        let is_for = |change: &&Change| {
            change.at.is_some_and(|intermediary| intermediaries.contains(&intermediary))
        };
        let own: Vec<_> = self.changes.iter().filter(is_for).collect();
        let general = self.changes.iter().filter(|change| change.at.is_none());
        let known = if own.is_empty() { general.collect() } else { own };
        let is_open = intermediaries.is_empty() || known.is_empty();
        let chosen = if is_open { self.changes.iter().collect() } else { known };
        plain(&joined(&chosen))
    }

    /// The cause, in plain text.
    #[must_use]
    pub fn cause(&self) -> String {
        plain(self.cause)
    }

    /// The row in the table of the README.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let Self { number, seen, cause, default, source, .. } = self;
        let changes = joined(&self.changes.iter().collect::<Vec<_>>());
        format!("| {number} | {seen} | {cause} | {changes} | {default} | {source} |")
    }
}

/// The changes in one line, each behind the name of its intermediary.
fn joined(changes: &[&Change]) -> String {
    let one = |change: &&Change| match change.at {
        Some(intermediary) => format!("{intermediary}: {}", change.text),
        None => change.text.to_owned(),
    };
    changes.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// A text without the backticks of Markdown.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../../README.md");
    const HEAD: &str = "| # | what the client sees | cause | what to change | default | source |\n| --- | --- | --- | --- | --- | --- |\n";

    #[test]
    fn the_readme_shows_the_table() {
        let rows: Vec<_> = ROWS.iter().map(Row::to_markdown).collect();
        let table = format!("{HEAD}{}\n\n", rows.join("\n"));
        assert!(README.contains(&table), "the table of README.md is to be:\n{table}");
    }

    #[test]
    fn rows_are_numbered_from_1() {
        let numbers: Vec<_> = ROWS.iter().map(|row| usize::from(row.number)).collect();
        assert_eq!(numbers, (1..=ROWS.len()).collect::<Vec<_>>());
        assert_eq!(row(0), None);
    }

    #[test]
    fn advice_is_for_the_program_at_hand() {
        let row = row(1).unwrap();
        let nginx = row.advice(&[Intermediary::CloudFront, Intermediary::Nginx]);
        assert!(nginx.starts_with("nginx: proxy_http_version 1.1"), "{nginx}");
        assert!(!nginx.contains("Apache"), "{nginx}");
        for intermediaries in [&[][..], &[Intermediary::CloudFront]] {
            let all = row.advice(intermediaries);
            assert!(all.contains("nginx: ") && all.contains("; Apache: "), "{all}");
        }
    }

    #[test]
    fn advice_for_a_program_without_a_setting_is_what_holds_for_any() {
        let row = row(22).unwrap();
        let general = "--origin as a browser sends it; ALLOWED_ORIGINS of this project's server";
        assert_eq!(row.advice(&[Intermediary::Caddy]), general);
        assert_eq!(row.advice(&[]).matches("--origin").count(), 1);
    }
}
