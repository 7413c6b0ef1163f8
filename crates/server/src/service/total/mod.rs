//! The running total: numbers from all clients are added up, exactly.

mod decimal;

use std::fmt;

use parking_lot::Mutex;

use super::{Answer, Reply, State};
use decimal::Decimal;

pub(super) const ABOUT: &str = "a number, of up to 18 digits before the point and 18 behind it, is added to the total of all clients";

/// The sum of all numbers, from zero.
#[derive(Debug, Default)]
pub struct Total(Mutex<Decimal>);

impl Total {
    /// Adds a number, and returns the sum; `None` if the sum is too large, in which case nothing
    /// changes.
    fn add(&self, number: Decimal) -> Option<Decimal> {
        let mut total = self.0.lock();
        *total = total.checked_add(number)?;
        Some(*total)
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lock().fmt(f)
    }
}

pub(super) fn answer<'a>(text: &'a str, state: &State) -> Result<Answer<'a>, String> {
    add(text, &state.total).map(|reply| Answer::Reply(Reply::text(reply)))
}

fn add(text: &str, total: &Total) -> Result<String, String> {
    let number = text.trim().parse().map_err(|error: decimal::Invalid| error.to_string())?;
    let sum = total.add(number).ok_or_else(|| {
        format!("the total is as large as it can be, so it stays {total}: expected a number of the other sign")
    })?;
    Ok(format!("Server records total={sum}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_added_up_exactly() {
        let total = Total::default();
        for text in ["41", " 1\r\n"] {
            add(text, &total).unwrap();
        }
        assert_eq!(add("0", &total).unwrap(), "Server records total=42");
        for tenths in 1..=10 {
            let expected = if tenths == 10 { "43".into() } else { format!("42.{tenths}") };
            assert_eq!(add("0.1", &total).unwrap(), format!("Server records total={expected}"));
        }
        assert_eq!(add("-43", &total).unwrap(), "Server records total=0");
    }

    #[test]
    fn an_invalid_number_changes_nothing() {
        let total = Total::default();
        add("42", &total).unwrap();
        assert_eq!(
            add(&"9".repeat(38), &total).unwrap_err(),
            "expected a number of at most 18 digits before the point and 18 behind it"
        );
        assert!(add("one", &total).unwrap_err().starts_with("expected a number"));
        assert_eq!(add("0", &total).unwrap(), "Server records total=42");
    }

    #[test]
    fn the_largest_number_leaves_room_for_others() {
        let total = Total::default();
        let largest = "9".repeat(decimal::MAX_DIGITS);
        for _ in 0..1000 {
            add(&largest, &total).unwrap();
        }
        add("0.000000000000000001", &total).unwrap();
        let sum = "Server records total=999999999999999999001.000000000000000001";
        assert_eq!(add("1", &total).unwrap(), sum);
    }

    #[test]
    fn the_description_tells_how_many_digits_there_may_be() {
        assert_eq!(ABOUT.matches(&decimal::MAX_DIGITS.to_string()).count(), 2);
    }
}
