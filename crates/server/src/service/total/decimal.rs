//! Decimal numbers that are added without any rounding.
//!
//! The decimal types at hand round a sum that needs more digits than they have. Here it is an
//! error.

use std::fmt;
use std::str::FromStr;

/// Digits that a number may have, without leading zeros before the point and trailing ones
/// behind it.
pub(super) const MAX_DIGITS: usize = 38;

/// An integer of at most [`MAX_DIGITS`] digits, divided by a power of ten of at most as many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decimal {
    digits: i128,
    /// Digits behind the point; the last one is not zero.
    scale: u32,
}

/// A text that is no such number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    Form,
    Length,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("expected a number, whole or decimal, such as 42 or -0.5"),
            Self::Length => write!(f, "expected a number of at most {MAX_DIGITS} digits"),
        }
    }
}

impl Decimal {
    /// The number without zeros at its end; `None` if it has too many digits.
    fn new(mut digits: i128, mut scale: u32) -> Option<Self> {
        while scale > 0 && digits % 10 == 0 {
            digits /= 10;
            scale -= 1;
        }
        let limit = 10_u128.pow(MAX_DIGITS as u32);
        (digits.unsigned_abs() < limit && scale as usize <= MAX_DIGITS)
            .then_some(Self { digits, scale })
    }

    /// The exact sum; `None` if it has too many digits.
    pub(super) fn checked_add(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let sum = self.scaled(scale)?.checked_add(other.scaled(scale)?)?;
        Self::new(sum, scale)
    }

    /// The number as an integer, divided by ten to the power of `scale`.
    fn scaled(self, scale: u32) -> Option<i128> {
        self.digits.checked_mul(10_i128.checked_pow(scale - self.scale)?)
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
        let fraction = fraction.trim_end_matches('0');
        let digits = [whole, fraction].concat();
        let digits = digits.trim_start_matches('0');
        if digits.len() > MAX_DIGITS || fraction.len() > MAX_DIGITS {
            return Err(Invalid::Length);
        }
        let digits = digits.bytes().fold(0, |sum, digit| 10 * sum + i128::from(digit - b'0'));
        let digits = if is_negative { -digits } else { digits };
        Self::new(digits, fraction.len() as u32).ok_or(Invalid::Length)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.digits < 0 { "-" } else { "" };
        let width = self.scale as usize + 1;
        let digits = format!("{:0>width$}", self.digits.unsigned_abs());
        let (whole, fraction) = digits.split_at(digits.len() - self.scale as usize);
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction}")
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
            ("007", "7"),
            ("-1.50", "-1.5"),
            (".5", "0.5"),
            ("-.05", "-0.05"),
            ("5.", "5"),
            ("100", "100"),
            ("0.000", "0"),
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
        let most = "9".repeat(MAX_DIGITS);
        assert_eq!(decimal(&most).to_string(), most);
        assert_eq!(decimal(&format!("000{most}.000")).to_string(), most);
        let small = format!("0.{}1", "0".repeat(MAX_DIGITS - 1));
        assert_eq!(decimal(&small).to_string(), small);
        for text in [format!("1{most}"), format!("{most}.1"), format!("0.0{most}")] {
            assert_eq!(text.parse::<Decimal>(), Err(Invalid::Length), "{text}");
        }
    }

    #[test]
    fn a_sum_is_exact_or_none() {
        let most = decimal(&"9".repeat(MAX_DIGITS));
        assert_eq!(most.checked_add(decimal("1")), None);
        assert_eq!(most.checked_add(decimal("0.1")), None);
        assert_eq!(most.checked_add(decimal("-1")).unwrap().to_string().len(), MAX_DIGITS);
        let tenths = (0..10).try_fold(Decimal::default(), |sum, _| sum.checked_add(decimal("0.1")));
        assert_eq!(tenths.unwrap().to_string(), "1");
    }

    /// A number with so few digits that the sum of two never has too many: its digits, its scale and
    /// its text.
    fn number() -> impl Strategy<Value = (i128, u32, String)> {
        (-10_i128.pow(15)..10_i128.pow(15), 0_u32..15).prop_map(|(digits, scale)| {
            let divisor = 10_u128.pow(scale);
            let sign = if digits < 0 { "-" } else { "" };
            let (whole, fraction) =
                (digits.unsigned_abs() / divisor, digits.unsigned_abs() % divisor);
            let width = scale as usize;
            let point = if scale == 0 { String::new() } else { format!(".{fraction:0>width$}") };
            (digits, scale, format!("{sign}{whole}{point}"))
        })
    }

    proptest! {
        #[test]
        fn sums_are_those_of_integers((a, a_scale, a_text) in number(), (b, b_scale, b_text) in number()) {
            let sum = decimal(&a_text).checked_add(decimal(&b_text)).unwrap();
            let expected = a * 10_i128.pow(15 - a_scale) + b * 10_i128.pow(15 - b_scale);
            prop_assert_eq!(Some(sum), Decimal::new(expected, 15));
            prop_assert_eq!(decimal(&sum.to_string()), sum);
            let negated = Decimal::new(-b, b_scale).unwrap();
            prop_assert_eq!(sum.checked_add(negated), Some(decimal(&a_text)));
        }

        #[test]
        fn no_text_panics(text in any::<String>(), number in "[-+]?[0-9]{0,60}\\.?[0-9]{0,60}") {
            let _ = text.parse::<Decimal>();
            if let Ok(number) = number.parse::<Decimal>() {
                let _ = number.checked_add(number);
                prop_assert_eq!(decimal(&number.to_string()), number);
            }
        }
    }
}
