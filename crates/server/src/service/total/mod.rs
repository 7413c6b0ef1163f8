//! The running total: numbers from all clients are added up, exactly.

mod decimal;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::{Answer, Reply, State};
use decimal::Decimal;

pub(super) const ABOUT: &str = "a number is added to the total of all clients";

/// The sum of all numbers, from zero.
#[derive(Debug, Default)]
pub struct Total(Mutex<Decimal>);

impl Total {
    /// Adds a number and returns the sum; `None` if it would not be exact, and then the total
    /// stays what it was.
    fn add(&self, number: Decimal) -> Option<Decimal> {
        let mut total = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *total = total.checked_add(number)?;
        Some(*total)
    }

    fn get(&self) -> Decimal {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

pub(super) fn answer<'a>(text: &'a str, state: &State) -> Result<Answer<'a>, String> {
    let number = text.trim().parse().map_err(|error: decimal::Invalid| error.to_string())?;
    let total = state.total.add(number).ok_or_else(|| {
        format!(
            "the total would need more than {} digits, so it stays {}",
            decimal::MAX_DIGITS,
            state.total
        )
    })?;
    Ok(Reply::text(format!("Server records total={total}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::new("host".into())
    }

    fn reply(state: &State, text: &str) -> Result<String, String> {
        let bytes = answer(text, state)?.reply.bytes.into_owned();
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn numbers_are_added_up_exactly() {
        let state = state();
        for text in ["41", " 1\r\n"] {
            reply(&state, text).unwrap();
        }
        assert_eq!(reply(&state, "0").unwrap(), "Server records total=42");
        for tenths in 1..=10 {
            let expected = if tenths == 10 { "43".into() } else { format!("42.{tenths}") };
            assert_eq!(reply(&state, "0.1").unwrap(), format!("Server records total={expected}"));
        }
        assert_eq!(reply(&state, "-43").unwrap(), "Server records total=0");
    }

    #[test]
    fn what_is_no_number_or_too_large_changes_nothing() {
        let state = state();
        let largest = "9".repeat(decimal::MAX_DIGITS);
        reply(&state, &largest).unwrap();
        assert_eq!(
            reply(&state, "1").unwrap_err(),
            format!("the total would need more than 38 digits, so it stays {largest}")
        );
        assert!(reply(&state, "0.1").unwrap_err().ends_with(&largest));
        assert!(reply(&state, "one").unwrap_err().starts_with("expected a number"));
        assert_eq!(reply(&state, "0").unwrap(), format!("Server records total={largest}"));
    }
}
