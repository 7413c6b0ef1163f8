//! The line of a ping in the log, and the time stamp at the beginning of each line that the
//! programs write.

use chrono::{Datelike, NaiveDateTime, Timelike};

use crate::escape;
use crate::ping::{Ping, unquoted};

/// A time stamp at the beginning of a line: `[19-12-2023 12:43:12] `, with the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp([u8; Stamp::LEN]);

impl Stamp {
    /// Length of every stamp, in bytes.
    pub const LEN: usize = 22;

    /// Every stamp, with a 0 in place of each digit.
    const FORM: [u8; Self::LEN] = *b"[00-00-0000 00:00:00] ";

    /// The stamp of a local time. A year below 0 or above 9999 is shown as 0 or 9999.
    #[must_use]
    pub fn new(at: &NaiveDateTime) -> Self {
        let mut text = Self::FORM;
        let year = u32::try_from(at.year().clamp(0, 9999)).unwrap_or(0);
        for (place, value) in [
            (1, at.day()),
            (4, at.month()),
            (7, year / 100),
            (9, year % 100),
            (12, at.hour()),
            (15, at.minute()),
            (18, at.second()),
        ] {
            text[place] = digit(value / 10);
            text[place + 1] = digit(value % 10);
        }
        Self(text)
    }

    /// The stamp as text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// The text between the stamp of a line and the name. The misspelt "Recieved" is part of the format.
const BEFORE_NAME: &[u8] = b"Recieved from client (\"";

fn digit(value: u32) -> u8 {
    b'0' + (value % 10) as u8
}

/// Appends the line of one ping, with its newline:
/// `[19-12-2023 12:43:12] Recieved from client ("Client-300"): Ping!`.
///
/// Name and message are escaped ([`escape::quoted`]), so neither can hold a newline.
pub fn append(lines: &mut Vec<u8>, stamp: &Stamp, ping: &Ping<'_>) {
    lines.extend_from_slice(stamp.as_bytes());
    lines.extend_from_slice(BEFORE_NAME);
    escape::quoted(lines, unquoted(&ping.client_name));
    lines.extend_from_slice(b"\"): ");
    escape::quoted(lines, &ping.message);
    lines.push(b'\n');
}

/// Whether a line made by [`append`] can begin with these bytes, as far as its name.
#[must_use]
pub fn can_begin_with(bytes: &[u8]) -> bool {
    let form = Stamp::FORM.iter().chain(BEFORE_NAME);
    form.zip(bytes).all(|(form, byte)| form == byte || *form == b'0' && byte.is_ascii_digit())
}

/// Replaces the stamp of each of `lines`, which are complete lines made by [`append`].
pub fn restamp(lines: &mut [u8], stamp: &Stamp) {
    for line in lines.split_mut(|&byte| byte == b'\n') {
        if let Some(place) = line.get_mut(..Stamp::LEN) {
            place.copy_from_slice(stamp.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;
    use proptest::prelude::*;

    fn at(y: i32, m: u32, d: u32, h: u32, min: u32, s: u32) -> Stamp {
        Stamp::new(&NaiveDate::from_ymd_opt(y, m, d).unwrap().and_hms_opt(h, min, s).unwrap())
    }

    fn line(name: &str, message: &str) -> String {
        let mut out = Vec::new();
        let ping = Ping { client_name: name.into(), message: message.into() };
        append(&mut out, &at(2023, 12, 19, 12, 43, 12), &ping);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_documented_line() {
        let expected = "[19-12-2023 12:43:12] Recieved from client (\"Client-300\"): Ping!\n";
        assert_eq!(line("Client-300", "Ping!"), expected);
        assert_eq!(line("\"Client-300\"", "Ping!"), expected);
    }

    #[test]
    fn stamps_are_padded() {
        assert_eq!(at(2026, 1, 2, 3, 4, 5).to_string(), "[02-01-2026 03:04:05] ");
        assert_eq!(at(12026, 1, 2, 3, 4, 5).to_string(), "[02-01-9999 03:04:05] ");
    }

    #[test]
    fn a_torn_line_is_told_from_other_text() {
        let line = line("Client-300", "Ping!");
        for end in 0..line.len() {
            assert!(can_begin_with(&line.as_bytes()[..end]), "{end}");
        }
        for other in ["# Notes", "[19-12-2023] Received", "[1a", "\0", " [19-12-2023 12:43:12]"] {
            assert!(!can_begin_with(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn restamping_changes_the_time_only() {
        let mut lines = [line("a", "1"), line("b", "2")].concat().into_bytes();
        restamp(&mut lines, &at(2024, 1, 1, 0, 0, 0));
        assert_eq!(
            String::from_utf8(lines).unwrap(),
            "[01-01-2024 00:00:00] Recieved from client (\"a\"): 1\n\
             [01-01-2024 00:00:00] Recieved from client (\"b\"): 2\n"
        );
    }

    proptest! {
        #[test]
        fn a_line_is_always_one_line(name in any::<String>(), message in any::<String>()) {
            let line = line(&name, &message);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(line.ends_with('\n'));
            prop_assert!(!line.trim_end_matches('\n').chars().any(char::is_control));
        }

        #[test]
        fn a_stamp_is_what_chrono_formats(seconds in 0i64..253_402_300_800) {
            let at = chrono::DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
            prop_assert_eq!(Stamp::new(&at).to_string(), at.format("[%d-%m-%Y %H:%M:%S] ").to_string());
        }
    }
}
