//! What is known of failures behind proxies and load balancers: what a client sees, why, and what
//! to change. The README shows the same table.

mod limits;
mod middle;
mod table;

pub use limits::{Kind, Limit, fitting};
pub use middle::Middle;
pub use table::{Change, ROWS, Row};

/// The row of the table with this number.
#[must_use]
pub fn row(number: u8) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.number == number)
}

impl Row {
    /// What to change, in plain text: at these programs and services if the row knows one of them,
    /// else what holds for any, else at all that it names. Without a program, all of it.
    #[must_use]
    pub fn advice(&self, middles: &[Middle]) -> String {
        let is_for = |change: &&Change| change.at.is_some_and(|middle| middles.contains(&middle));
        let own: Vec<_> = self.changes.iter().filter(is_for).collect();
        let general = self.changes.iter().filter(|change| change.at.is_none());
        let known = if own.is_empty() { general.collect() } else { own };
        let is_open = middles.is_empty() || known.is_empty();
        let chosen = if is_open { self.changes.iter().collect() } else { known };
        plain(&joined(&chosen))
    }

    /// Why it fails, in plain text.
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

/// All changes in one line, each behind the program that it is for.
fn joined(changes: &[&Change]) -> String {
    let one = |change: &&Change| match change.at {
        Some(middle) => format!("{middle}: {}", change.text),
        None => change.text.to_owned(),
    };
    changes.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// A text without the marks of code in Markdown.
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
        let nginx = row.advice(&[Middle::CloudFront, Middle::Nginx]);
        assert!(nginx.starts_with("nginx: proxy_http_version 1.1"), "{nginx}");
        assert!(!nginx.contains("Apache"), "{nginx}");
        for middles in [&[][..], &[Middle::CloudFront]] {
            let all = row.advice(middles);
            assert!(all.contains("nginx: ") && all.contains("; Apache: "), "{all}");
        }
    }

    /// At Caddy, the settings of nginx lead nobody on.
    #[test]
    fn advice_for_a_program_without_a_setting_is_what_holds_for_any() {
        let row = row(22).unwrap();
        let general = "--origin as a browser sends it; ALLOWED_ORIGINS of this project's server";
        assert_eq!(row.advice(&[Middle::Caddy]), general);
        assert_eq!(row.advice(&[]).matches("--origin").count(), 1);
    }
}
