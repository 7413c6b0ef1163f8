//! Median and spread of a few measurements.

/// Measurements of one thing, one a round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The measurements in another unit.
    pub(crate) fn scaled(&self, factor: f64) -> Self {
        self.0.iter().map(|value| value * factor).collect()
    }

    /// The middle one; of an even number, the mean of the two in the middle.
    fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[middle - 1], upper) })
    }

    /// Smallest and largest.
    fn spread(&self) -> (f64, f64) {
        let bounds = (f64::INFINITY, f64::NEG_INFINITY);
        self.0.iter().fold(bounds, |(min, max), &value| (min.min(value), max.max(value)))
    }

    /// Median and spread: `4.31 (4.20–4.40)`; `–` without any measurement.
    pub(crate) fn show(&self, decimals: usize) -> String {
        let Some(median) = self.median() else { return "–".into() };
        let (min, max) = self.spread();
        if self.0.len() == 1 {
            return format!("{median:.decimals$}");
        }
        format!("{median:.decimals$} ({min:.decimals$}–{max:.decimals$})")
    }
}

/// Measurements of two things in the same rounds, and how many times the first the second is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pair {
    first: Samples,
    second: Samples,
    ratio: Samples,
}

impl Pair {
    pub(crate) fn push(&mut self, first: f64, second: f64) {
        self.first.push(first);
        self.second.push(second);
        self.ratio.push(second / first);
    }

    /// A row of a table, with the measurements in another unit.
    pub(crate) fn row(&self, name: String, factor: f64, decimals: usize) -> [String; 4] {
        let [first, second] =
            [&self.first, &self.second].map(|samples| samples.scaled(factor).show(decimals));
        [name, first, second, self.ratio.show(2)]
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        Self(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        values.iter().copied().collect()
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(samples(&[]).median(), None);
        assert_eq!(samples(&[3.0]).median(), Some(3.0));
        assert_eq!(samples(&[9.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(samples(&[4.0, 1.0, 2.0, 9.0]).median(), Some(3.0));
    }

    #[test]
    fn the_spread_is_shown_where_there_is_one() {
        assert_eq!(samples(&[]).show(2), "–");
        assert_eq!(samples(&[1.0]).show(2), "1.00");
        assert_eq!(samples(&[1.26, 1.0, 1.1]).show(1), "1.1 (1.0–1.3)");
    }
}
