//! The distribution of times as a bar chart.

use super::figures::Times;

/// Most rows of the chart.
const ROWS: usize = 12;

/// Length of the longest bar, in characters.
const LENGTH: f64 = 40.0;

/// Partial blocks, from one to seven eighths of a character.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// Number of times in each of a row of buckets. The upper bounds grow by a constant factor.
#[derive(Debug, Default)]
pub(crate) struct Histogram(Vec<Row>);

#[derive(Debug)]
struct Row {
    /// Upper bound of the bucket, in milliseconds.
    bound: f64,
    count: u64,
}

impl Histogram {
    /// The histogram of `times`.
    pub(crate) fn of(times: &Times) -> Self {
        let Some([min, _, max]) = times.range() else { return Self::default() };
        let factor = (max / min.max(0.001)).powf(1.0 / ROWS as f64);
        let bound = |row: usize| min.max(0.001) * factor.powi(row as i32 + 1) / 1000.0;
        let mut rows: Vec<_> = (0..ROWS).map(|row| Row { bound: bound(row), count: 0 }).collect();
        for (nanos, count) in times.recorded() {
            let millis = nanos as f64 / 1e6;
            let at = rows.iter().position(|row| millis <= row.bound).unwrap_or(ROWS - 1);
            rows[at].count += count;
        }
        Self(rows)
    }

    /// `    0.250 ms ████▌ 1234`: the times up to 0.25 ms and above the previous bound.
    pub(crate) fn lines(&self) -> Vec<String> {
        let most = self.0.iter().map(|row| row.count).max().unwrap_or(0).max(1);
        let line = |Row { bound, count }: &Row| {
            let bar = bar(*count as f64 / most as f64 * LENGTH);
            let gap = if bar.is_empty() { "" } else { " " };
            format!("{bound:>12.3} ms {bar}{gap}{count}")
        };
        self.0.iter().map(line).collect()
    }
}

fn bar(length: f64) -> String {
    let eighths = (length * 8.0).ceil() as usize;
    let rest = (eighths % 8).checked_sub(1).map(|rest| EIGHTHS[rest]);
    std::iter::repeat_n('█', eighths / 8).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(nanos: &[u64]) -> Vec<String> {
        let mut times = Times::new().unwrap();
        nanos.iter().for_each(|&time| times.record(time));
        Histogram::of(&times).lines()
    }

    #[test]
    fn each_time_is_in_one_row() {
        let lines = lines(&[100_000, 100_000, 100_000, 100_000, 1_600_000, 409_600_000]);
        assert_eq!(lines.len(), ROWS);
        assert_eq!(lines[0], format!("       0.200 ms {} 4", "█".repeat(40)));
        assert_eq!(lines[1], "       0.400 ms 0");
        assert_eq!(lines[11], format!("     409.600 ms {} 1", "█".repeat(10)));
        let count = |line: &String| line.split(' ').next_back().unwrap().parse::<u64>().unwrap();
        assert_eq!(lines.iter().map(count).sum::<u64>(), 6);
    }

    #[test]
    fn no_times_give_no_rows_and_one_time_gives_one() {
        assert_eq!(lines(&[]), [""; 0]);
        assert_eq!(lines(&[5000]).iter().filter(|line| line.ends_with(" 1")).count(), 1);
    }

    #[test]
    fn a_bar_has_parts_of_characters() {
        assert_eq!(
            (bar(0.0), bar(0.01), bar(1.0), bar(1.5)),
            ("".into(), "▏".into(), "█".into(), "█▌".into())
        );
    }
}
