//! Small pieces of text that more than one mode prints.

use std::time::Duration;

/// A number of things, `1 error` or `2 errors`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// A time in seconds with one decimal, `3.4 s`.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
