//! Decimal numbers that are added without rounding. The decimal types of other crates have a fixed
//! number of digits, and round a sum that needs more.

use std::fmt;
use std::str::FromStr;

/// Most digits of a number before the point, without leading zeros, and after the point, without
/// trailing zeros.
///
/// A sum has room for 10^20 of the largest numbers, so that no client can exhaust the total of all
/// clients.
pub(super) const MAX_DIGITS: usize = 18;

/// Number of parts in one: ten to the power of [`MAX_DIGITS`].
const ONE: u64 = 10_u64.pow(MAX_DIGITS as u32);

/// A sum of numbers: `whole + parts / ONE`. For example, -0.5 is a `whole` of -1 and `parts` of
/// `ONE / 2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decimal {
    whole: i128,
    /// Always below [`ONE`].
    parts: u64,
}

/// Why a text is not a number that can be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    /// The text is not a decimal number.
    Form,
    /// The number has too many digits.
    Length,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("expected a number, whole or decimal, such as 42 or -0.5"),
            Self::Length => write!(
                f,
                "expected a number of at most {MAX_DIGITS} digits before the point and {MAX_DIGITS} behind it"
            ),
        }
    }
}

impl Decimal {
    /// The exact sum; `None` on overflow.
    pub(super) fn checked_add(self, other: Self) -> Option<Self> {
        let parts = self.parts + other.parts;
        let carry = i128::from(parts >= ONE);
        let whole = self.whole.checked_add(other.whole)?.checked_add(carry)?;
        Some(Self { whole, parts: parts % ONE })
    }

    /// The number `whole + parts / ONE`, or its negative.
    fn new(is_negative: bool, whole: u64, parts: u64) -> Self {
        let whole = i128::from(whole);
        match (is_negative, parts) {
            (false, _) => Self { whole, parts },
            (true, 0) => Self { whole: -whole, parts },
            (true, _) => Self { whole: -whole - 1, parts: ONE - parts },
        }
    }
}

impl FromStr for Decimal {
    type Err = Invalid;

    /// Reads `[+-]DIGITS[.DIGITS]`, where one of the two groups of digits may be missing.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (is_negative, number) = match text.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
            return Err(Invalid::Form);
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        if whole.len() > MAX_DIGITS || fraction.len() > MAX_DIGITS {
            return Err(Invalid::Length);
        }
        Ok(Self::new(is_negative, value(whole), value(&format!("{fraction:0<MAX_DIGITS$}"))))
    }
}

/// The value of at most [`MAX_DIGITS`] digits.
fn value(digits: &str) -> u64 {
    digits.bytes().fold(0, |sum, digit| 10 * sum + u64::from(digit - b'0'))
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, whole, parts) = match (self.whole < 0, self.parts) {
            (false, parts) => ("", self.whole.unsigned_abs(), parts),
            (true, 0) => ("-", self.whole.unsigned_abs(), 0),
            (true, parts) => ("-", self.whole.unsigned_abs() - 1, ONE - parts),
        };
        write!(f, "{sign}{whole}")?;
        if parts == 0 {
            return Ok(());
        }
        let fraction = format!("{parts:0>MAX_DIGITS$}");
        write!(f, ".{}", fraction.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_are_shown_in_their_shortest_form() {
        for (text, shown) in [
            ("0", "0"),
            ("-0", "0"),
            ("+7", "7"),
            ("007.50", "7.5"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("-1.5", "-1.5"),
            ("-2", "-2"),
            ("5.", "5"),
            ("100", "100"),
            ("0.000", "0"),
            ("0.001", "0.001"),
        ] {
            assert_eq!(decimal(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in
            ["", "-", ".", "+.", "1e3", "1,5", "0x10", "NaN", "inf", "--1", "1.2.3", "١", "1 2"]
        {
            assert_eq!(text.parse::<Decimal>(), Err(Invalid::Form), "{text}");
        }
    }

    #[test]
    fn as_many_digits_as_there_may_be() {
        let nines = "9".repeat(MAX_DIGITS);
        for text in [nines.clone(), format!("-{nines}.{nines}"), format!("0.{nines}")] {
            assert_eq!(decimal(&text).to_string(), text);
        }
        assert_eq!(decimal(&format!("000{nines}.5000")).to_string(), format!("{nines}.5"));
        for text in [format!("1{nines}"), format!("0.0{nines}"), "9".repeat(38)] {
            assert_eq!(text.parse::<Decimal>(), Err(Invalid::Length), "{text}");
        }
    }

    #[test]
    fn a_sum_goes_on_where_numbers_end() {
        let largest = decimal(&format!("{0}.{0}", "9".repeat(MAX_DIGITS)));
        let twice = largest.checked_add(largest).unwrap();
        assert_eq!(twice.to_string(), "1999999999999999999.999999999999999998");
        assert!(i128::MAX / i128::from(ONE) > 10_i128.pow(20), "room for as many numbers");
        let full = Decimal { whole: i128::MAX, parts: 0 };
        assert_eq!(full.checked_add(decimal("1")), None);
        assert_eq!(full.checked_add(decimal("-1")).unwrap().whole, i128::MAX - 1);
        let lowest = Decimal { whole: i128::MIN, parts: 1 };
        assert_eq!(lowest.checked_add(decimal("-1")), None);
        assert_eq!(lowest.to_string(), format!("{}.{}", i128::MIN + 1, "9".repeat(MAX_DIGITS)));
    }

    #[test]
    fn ten_tenths_are_one() {
        let tenths = (0..10).try_fold(Decimal::default(), |sum, _| sum.checked_add(decimal("0.1")));
        assert_eq!(tenths.unwrap().to_string(), "1");
    }

    /// A number: its digits, of which `scale` are after the point, and its text.
    fn number() -> impl Strategy<Value = (i128, u32, String)> {
        (-10_i128.pow(17)..10_i128.pow(17), 0_u32..=18).prop_map(|(digits, scale)| {
            let divisor = 10_u128.pow(scale);
            let sign = if digits < 0 { "-" } else { "" };
            let (whole, fraction) =
                (digits.unsigned_abs() / divisor, digits.unsigned_abs() % divisor);
            let width = scale as usize;
            let point = if scale == 0 { String::new() } else { format!(".{fraction:0>width$}") };
            (digits, scale, format!("{sign}{whole}{point}"))
        })
    }

    /// The whole number, counted in parts.
    fn in_parts(number: Decimal) -> i128 {
        number.whole * i128::from(ONE) + i128::from(number.parts)
    }

    proptest! {
        #[test]
        fn sums_are_those_of_integers((a, a_scale, a_text) in number(), (b, b_scale, b_text) in number()) {
            let sum = decimal(&a_text).checked_add(decimal(&b_text)).unwrap();
            prop_assert_eq!(in_parts(sum), a * 10_i128.pow(18 - a_scale) + b * 10_i128.pow(18 - b_scale));
            prop_assert_eq!(decimal(&sum.to_string()), sum);
            let negated = b_text.strip_prefix('-').map_or(format!("-{b_text}"), Into::into);
            prop_assert_eq!(sum.checked_add(decimal(&negated)), Some(decimal(&a_text)));
        }

        #[test]
        fn no_text_panics(text in any::<String>(), number in "[-+]?[0-9]{0,30}\\.?[0-9]{0,30}") {
            let _ = text.parse::<Decimal>();
            if let Ok(number) = number.parse::<Decimal>() {
                prop_assert!(number.checked_add(number).is_some());
                prop_assert_eq!(decimal(&number.to_string()), number);
            }
        }
    }
}
