//! The time in front of each event.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Local, Utc};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Local time as `19-12-2023 12:43:12`. The text is kept for all events of the same second: looking
/// up the time zone costs more than the rest of an event.
#[derive(Debug, Default)]
pub(crate) struct Clock(Mutex<(i64, String)>);

impl FormatTime for Clock {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        let now = Utc::now();
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.0 != now.timestamp() || second.1.is_empty() {
            *second = (now.timestamp(), shown(now));
        }
        out.write_str(&second.1)
    }
}

fn shown(at: DateTime<Utc>) -> String {
    at.with_timezone(&Local).format("%d-%m-%Y %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_second_is_shown() {
        let clock = Clock::default();
        let mut text = String::new();
        let before = shown(Utc::now());
        clock.format_time(&mut Writer::new(&mut text)).unwrap();
        let after = shown(Utc::now());
        assert!(text == before || text == after, "{text}, not {before} or {after}");
    }
}
