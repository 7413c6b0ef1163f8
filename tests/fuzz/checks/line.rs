//! The check of the line of the log, which has to hold for any name, message and time.
//!
//! An input is eight bytes for the time in seconds, one for the length of the name, the name, and
//! the message. Bytes that are not UTF-8 are replaced. All bytes behind the time are also checked as
//! the text of a frame.

use chrono::DateTime;
use proto::ping::unquoted;
use proto::{Ping, Stamp, escape, line};
use serde_json::Value;

pub(crate) fn check(input: &[u8]) {
    let Some((seconds, text)) = input.split_first_chunk() else { return };
    let Some(at) = DateTime::from_timestamp(i64::from_le_bytes(*seconds), 0) else { return };
    let stamp = Stamp::new(&at.naive_utc());
    check_frame(&String::from_utf8_lossy(text), &stamp);

    let Some((&len, rest)) = text.split_first() else { return };
    let (name, message) = rest.split_at(usize::from(len).min(rest.len()));
    let [name, message] = [name, message].map(String::from_utf8_lossy);
    assert_is_visible(&escape::plain(&message));
    let ping = Ping { client_name: name, message };
    check_line(&ping, &stamp);
    assert_eq!(Ping::parse(&ping.to_json()).as_ref(), Ok(&ping));
}

/// A text is a ping if JSON says so, and then makes a line.
fn check_frame(text: &str, stamp: &Stamp) {
    let Ok(ping) = Ping::parse(text) else { return };
    // Unknown fields are skipped, so that they may have values that `Value` cannot hold, such as 1e999.
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        assert_eq!(value["client_name"], *ping.client_name);
        assert_eq!(value["message"], *ping.message);
    }
    check_line(&ping, stamp);
}

fn check_line(ping: &Ping<'_>, stamp: &Stamp) {
    // The line is appended to earlier lines.
    let mut lines = b"before\n".to_vec();
    line::append(&mut lines, stamp, ping);
    let lines = String::from_utf8(lines).unwrap();
    let line = lines.strip_prefix("before\n").and_then(|line| line.strip_suffix('\n')).unwrap();
    assert_is_visible(line);

    let (shown, quoted) = line.split_at(Stamp::LEN);
    assert_eq!(shown, stamp.to_string());
    let quoted = quoted.strip_prefix("Recieved from client (").unwrap();
    let (name, message) = json_string(quoted);
    assert_eq!(name, unquoted(&ping.client_name));
    let message = message.strip_prefix("): ").unwrap();
    assert_eq!(json_string(&format!("\"{message}\"")), (ping.message.to_string(), ""));

    let mut again = format!("{line}\n").into_bytes();
    line::restamp(&mut again, stamp);
    assert_eq!(again, format!("{line}\n").into_bytes());
}

/// The JSON string at the beginning of a text, and the rest of the text.
fn json_string(text: &str) -> (String, &str) {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let string = values.next().unwrap().unwrap();
    let end = values.byte_offset();
    (string, &text[end..])
}

/// No character ends a line, moves a cursor, hides, or turns text around.
fn assert_is_visible(text: &str) {
    let is_unsafe = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    assert!(!text.contains(is_unsafe), "{text:?}");
}
