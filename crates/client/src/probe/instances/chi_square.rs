//! Pearson's chi-square test: whether chance explains how unevenly connections spread.

use std::f64::consts::PI;

/// Below this probability, chance does not explain a spread.
pub(crate) const SIGNIFICANT: f64 = 0.01;

/// Fewest connections expected at each server for the test to be reliable.
pub(crate) const FEWEST_EACH: u64 = 5;

/// Most terms of the series and the continued fraction. Both converge within about ten times the
/// square root of the degrees of freedom.
const TERMS: usize = 100_000;

/// The probability that connections spread at least as unevenly as these by chance, if each goes to
/// any of the servers with equal probability. `None` with fewer than two servers, or no connection.
pub(crate) fn p_value(counts: &[u64]) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    if counts.len() < 2 || total == 0 {
        return None;
    }
    let expected = total as f64 / counts.len() as f64;
    let statistic = counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
    Some(upper_tail(statistic, counts.len() as u64 - 1))
}

/// The probability that a chi-square variable with this many degrees of freedom is at least
/// `statistic`: the regularized upper incomplete gamma function Q(freedom / 2, statistic / 2).
fn upper_tail(statistic: f64, freedom: u64) -> f64 {
    let (a, x) = (freedom as f64 / 2.0, statistic / 2.0);
    if x <= 0.0 {
        return 1.0;
    }
    let scale = (a * x.ln() - x - ln_gamma(freedom)).exp();
    let tail = if x < a + 1.0 { 1.0 - scale * series(a, x) } else { scale * fraction(a, x) };
    tail.clamp(0.0, 1.0)
}

/// The natural logarithm of the gamma function at `twice / 2`, by recursion from its values at 1/2
/// and 1.
fn ln_gamma(twice: u64) -> f64 {
    let first = if twice.is_multiple_of(2) { 0.0 } else { PI.sqrt().ln() };
    let smaller = (1..twice).rev().skip(1).step_by(2).map(|twice| twice as f64 / 2.0);
    first + smaller.filter(|&factor| factor > 0.0).map(f64::ln).sum::<f64>()
}

/// The lower incomplete gamma function as a power series, without its scale (DLMF 8.7.1).
fn series(a: f64, x: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    for n in 1..TERMS {
        term *= x / (a + n as f64);
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum
}

/// The upper incomplete gamma function as a continued fraction, without its scale (DLMF 8.9.2),
/// by the modified method of Lentz.
fn fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut b = x + 1.0 - a;
    let mut d = 1.0 / away_from_zero(b);
    let mut c = 1.0 / TINY;
    let mut value = d;
    for n in 1..TERMS {
        let n = n as f64;
        let numerator = -n * (n - a);
        b += 2.0;
        d = 1.0 / away_from_zero(numerator * d + b);
        c = away_from_zero(b + numerator / c);
        value *= c * d;
        if (c * d - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Upper critical values as statistical tables have them.
    #[test]
    fn the_probabilities_are_those_of_the_tables() {
        for (freedom, statistic, probability) in [
            (1, 0.0, 1.0),
            (1, 0.0158, 0.9),
            (1, 0.455, 0.5),
            (1, 2.706, 0.1),
            (1, 3.841, 0.05),
            (1, 6.635, 0.01),
            (1, 10.828, 0.001),
            (2, 1.386, 0.5),
            (2, 5.991, 0.05),
            (2, 13.816, 0.001),
            (3, 0.115, 0.99),
            (3, 7.815, 0.05),
            (4, 13.277, 0.01),
            (5, 4.351, 0.5),
            (5, 20.515, 0.001),
            (10, 3.940, 0.95),
            (10, 18.307, 0.05),
            (30, 43.773, 0.05),
            (30, 59.703, 0.001),
            (100, 77.929, 0.95),
            (100, 124.342, 0.05),
            (100, 149.449, 0.001),
        ] {
            let found = upper_tail(statistic, freedom);
            let error = (found - probability).abs() / probability;
            assert!(error < 0.005, "{freedom}, {statistic}: {found} in place of {probability}");
        }
        // exp(-x / 2) is exact with two degrees of freedom, also far out.
        for statistic in [0.1, 1.0, 3.9, 4.1, 10.0, 100.0, 1000.0] {
            let (found, exact) = (upper_tail(statistic, 2), (-statistic / 2.0_f64).exp());
            assert!((found / exact - 1.0).abs() < 1e-10, "{statistic}: {found} {exact}");
        }
    }

    #[test]
    fn spreads_have_their_probability() {
        for (counts, least, most) in [
            (&[100, 100][..], 1.0, 1.0),
            (&[104, 96], 0.5, 0.6),
            (&[67, 67, 66], 0.99, 1.0),
            (&[160, 40], 0.0, 1e-10),
            (&[120, 80], 0.004, 0.006),
            (&[114, 86], 0.04, 0.06),
            (&[200, 0], 0.0, 1e-40),
            (&[2, 1], 0.5, 0.6),
            (&[250, 250, 0], 0.0, 1e-40),
        ] {
            let p = p_value(counts).unwrap();
            assert!((least..=most).contains(&p), "{counts:?}: {p}");
        }
        assert_eq!(p_value(&[]), None);
        assert_eq!(p_value(&[200]), None);
        assert_eq!(p_value(&[0, 0]), None);
    }

    #[test]
    fn chance_alone_is_seldom_taken_for_a_skew() {
        use rand::rngs::SmallRng;
        use rand::{RngExt, SeedableRng};
        let mut random = SmallRng::seed_from_u64(1);
        let skewed = (0..2000).filter(|_| {
            let mut counts = [0; 3];
            (0..200).for_each(|_| counts[random.random_range(0..3)] += 1);
            p_value(&counts).unwrap() < SIGNIFICANT
        });
        // 20 are to be expected.
        assert!((5..=40).contains(&skewed.count()));
    }

    proptest! {
        #[test]
        fn a_probability_is_one(counts in prop::collection::vec(0..1_000_000_u64, 2..300)) {
            if let Some(p) = p_value(&counts) {
                prop_assert!((0.0..=1.0).contains(&p), "{p}");
            }
        }
    }
}
